"""Which documents are labelled: each text once, the same at any partitioning."""

import hashlib
from datetime import UTC, datetime

from pyspark.sql import DataFrame, functions as F

from mira_spark.labels.label_sample import label_sample
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.labels import LabellingSettings
from mira_spark.steps import label_documents

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def documents(lake: Lakehouse, texts: dict[str, str]) -> DataFrame:
    rows = [
        (doc_id, "web" if n % 2 else "code", f"d{n % 7}",
         bytearray(hashlib.sha256(text.encode()).digest()[:16]))
        for n, (doc_id, text) in enumerate(texts.items())
    ]  # fmt: skip
    columns = "doc_id string, source string, domain string, content_hash binary"
    return lake.spark.createDataFrame(rows, columns)


def write_documents(lake: Lakehouse, hashes: dict[str, bytes]) -> None:
    rows = [
        {"doc_id": doc_id, "source": "web", "text": "a", "n_bytes": 1, "n_tokens": 1,
         "content_hash": content_hash, "bucket": 0, "sendable": True, "repaired": False,
         "metadata": {}, "ingested_at": NOW}
        for doc_id, content_hash in hashes.items()
    ]  # fmt: skip
    lake.append_rows(rows, "documents", "r")


def ids(rows: DataFrame) -> list[str]:
    return sorted(row["doc_id"] for row in rows.collect())


TEXTS = {f"{n:03}": f"text {n % 60}" for n in range(100)}
"""40 texts stand twice: 000 and 060, 001 and 061, and so on."""


def test_equal_texts_are_labelled_once_and_it_is_the_first_of_them(lake: Lakehouse) -> None:
    sampled = label_sample(documents(lake, TEXTS), LabellingSettings())
    assert ids(sampled) == [f"{n:03}" for n in range(60)]


def test_the_sample_is_the_same_at_any_partitioning(lake: Lakehouse) -> None:
    few = LabellingSettings(documents_per_source=20, documents_per_domain=5)
    rows = documents(lake, TEXTS)
    once, again = (ids(label_sample(rows.repartition(n), few)) for n in (1, 5))
    assert once == again
    assert 20 <= len(once) <= 40


def test_texts_that_are_labelled_are_not_asked_about_again(lake: Lakehouse) -> None:
    """Under whatever doc_id; those of another labelling are."""
    create_tables(lake, ["documents", "labels"])
    rows = documents(lake, {"a": "labelled", "b": "new", "c": "labelled elsewhere"})
    hash_of = {row["doc_id"]: bytes(row["content_hash"]) for row in rows.collect()}
    labels = [
        {"doc_id": doc_id, "content_hash": hash_of[of], "source": "web", "source_group": "group_a",
         "rubric_id": "r", "labelling_id": labelling, "scores": [1], "reasons": [""], "judge": "j",
         "unseen_share": 0.0, "call_key": "k"}
        for doc_id, of, labelling in (("other id", "a", "l"), ("c", "c", "another"))
    ]  # fmt: skip
    lake.append_rows(labels, "labels", "r")
    there = {"other id": hash_of["a"], "c": hash_of["c"]}
    write_documents(lake, there)
    assert ids(label_documents._pending(lake, "l", rows)) == ["b", "c"]
    assert ids(label_documents._pending(lake, "another", rows)) == ["a", "b"]
    # Nobody has the first label's text any more, and the second one's document was withdrawn.
    lake.delete("documents", F.lit(True))
    write_documents(lake, {"other id": hash_of["b"]})
    assert ids(label_documents._pending(lake, "l", rows)) == ["a", "b", "c"]
    assert ids(label_documents._pending(lake, "another", rows)) == ["a", "b", "c"]


def test_label_points_show_no_spoilt_copy(lake: Lakehouse) -> None:
    create_tables(lake, ["documents", "labels", "rubrics"])
    label = {"doc_id": "a", "content_hash": b"a", "source": "web", "source_group": "group_a",
             "rubric_id": "r", "labelling_id": "l", "scores": [7], "reasons": ["why"], "judge": "j",
             "unseen_share": 0.0, "call_key": "k"}  # fmt: skip
    copy = label | {"content_hash": b"b", "scores": [1], "spoilt": "kind", "spoilt_text": "b"}
    lake.append_rows([label, copy], "labels", "r")
    rubric = {"rubric_id": "r", "discovery_id": "d", "source_group": "group_a", "slot": 0,
              "name": "clear", "definition": "", "status": "approved"}  # fmt: skip
    lake.append_rows([rubric], "rubrics", "r")
    write_documents(lake, {"a": b"a"})
    label_documents._view(lake)
    points = lake.read("label_points").collect()
    assert [(row["doc_id"], row["name"], row["score"]) for row in points] == [("a", "clear", 7)]
