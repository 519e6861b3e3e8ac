"""Which labels are staged, with which text, and in which fold."""

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from pyspark.sql import SparkSession, functions as F

from mira_spark.distillation import staging
from mira_spark.distillation.shards import Labelled
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = [f"word{n}" for n in range(500)]


class Document(NamedTuple):
    doc_id: str
    source: str
    domain: str | None
    text: str


def text(seed: object) -> str:
    return " ".join(random.Random(str(seed)).choices(WORDS, k=200))


def corpus() -> Iterator[Document]:
    for n in range(30):
        yield Document(f"many {n}", "many", f"d{n % 10}", text(f"many {n}"))
    for n in range(20):  # 11 of 20 of one domain
        yield Document(f"half {n}", "half", "big" if n < 11 else f"h{n % 3}", text(f"half {n}"))
    for n in range(5):  # in the domain again: twice nearly the same text, and once the same
        yield Document(f"half a{n}", "half", "big", text("half 0") + f" {n}")
    yield Document("half b", "half", "big", text("half 1"))
    for n in range(6):  # the same domain, not over half of this source
        yield Document(f"less {n}", "less", "big" if n < 3 else f"l{n}", text(f"less {n}"))
    for n in range(12):
        yield Document(f"alone {n}", "alone", "its only one", text(f"alone {n}"))
    for n in range(20):  # ten pairs that differ in a word
        yield Document(f"none {n}", "none", None, text(f"none {n // 2}") + f" {n}")
    yield Document("same a", "many", "same x", text("same"))
    yield Document("same b", "less", "same y", text("same"))
    yield Document("same c", "none", None, text("same"))
    for name, source in (("near a", "many"), ("near b", "less"), ("near c", "none")):
        yield Document(name, source, None if name == "near c" else name, text(name))
    yield Document("near d", "less", "near d", text("near c"))


CORPUS = list(corpus())
COPIES = [document for document in CORPUS if document.doc_id.endswith(("1", "c"))]
DOMAIN = {document.doc_id: document.domain for document in CORPUS}


class Staged(NamedTuple):
    cut: dict[str, str]
    rows: list[dict[str, object]]

    def folds(self, *doc_ids: str) -> set[object]:
        return {row["fold"] for row in self.rows if row["doc_id"] in doc_ids}

    def of_source(self, source: str) -> list[str]:
        return [str(row["doc_id"]) for row in self.rows if row["source"] == source]


@pytest.fixture(scope="module")
def labelled(spark: SparkSession) -> Iterator[Lakehouse]:
    spark.sql("CREATE SCHEMA staging")
    lake = Lakehouse(spark, "staging")
    create_tables(lake, ["documents", "labels", "near_duplicates"])
    documents = [
        {"doc_id": d.doc_id, "source": d.source, "text": d.text, "domain": d.domain,
         "n_bytes": len(d.text), "n_tokens": len(d.text) // 4, "content_hash": d.text.encode(),
         "bucket": 1, "sendable": True, "repaired": False, "metadata": {}, "ingested_at": NOW}
        for d in CORPUS
    ]  # fmt: skip
    lake.append_rows(documents, "documents", "r")
    near = [
        {"doc_id": d, "content_hash": text(name).encode(), "representative": "near b",
         "similarity": 0.9}
        for d, name in (("near a", "near a"), ("near c", "near c"), ("near d", "near c"),
                        ("many 1", "a text that it no longer has"))
    ]  # fmt: skip
    lake.append_rows(near, "near_duplicates", "r")
    labels = [label(d, d.text) for d in CORPUS]
    labels += [
        label(d, spoilt, spoilt="words_shuffled", spoilt_text=spoilt)
        for d in COPIES
        for spoilt in (f"spoilt {d.doc_id}",)
    ]
    former = Document("many 2", "many", "d2", "the text before it was changed")
    gone = Document("withdrawn", "many", "d2", "a document that is not there any more")
    lake.append_rows([*labels, label(former, former.text), label(gone, gone.text)], "labels", "r")
    yield lake
    spark.sql("DROP SCHEMA staging CASCADE")


def label(document: Document, text: str, **more: object) -> dict[str, object]:
    return {"doc_id": document.doc_id, "content_hash": text.encode(), "source": document.source,
            "source_group": "group_a", "rubric_id": "r", "labelling_id": "l", "judge": "j",
            "scores": [1, 2], "reasons": ["", ""], "unseen_share": 0.0, "call_key": "k",
            **more}  # fmt: skip


def stage(lake: Lakehouse, folder: Path, only: str = "true", partitions: int = 2) -> Staged:
    labels = lake.read("labels").filter(only).repartition(partitions)
    cut = staging.stage(lake, labels, folder)
    return Staged(cut, [row for batch in Labelled(folder).rows() for row in batch.to_pylist()])


@pytest.fixture(scope="module")
def staged(labelled: Lakehouse, tmp_path_factory: pytest.TempPathFactory) -> Staged:
    return stage(labelled, tmp_path_factory.mktemp("staged"))


def test_labels_of_the_text_that_is_there_are_staged_with_it(staged: Staged) -> None:
    texts = sorted((str(r["doc_id"]), r["text"]) for r in staged.rows if not r["spoilt"])
    assert texts == sorted((d.doc_id, d.text) for d in CORPUS)
    assert {row["fold"] for row in staged.rows} == set(range(5))


def test_rows_of_one_domain_are_in_one_fold(staged: Staged) -> None:
    folds = defaultdict(set)
    for doc_id, domain in DOMAIN.items():
        if domain not in (None, "big", "its only one", "same y", "near b", "near d"):
            folds[domain] |= staged.folds(doc_id)
    assert len(folds) > 10
    assert {domain: len(found) for domain, found in folds.items()} == dict.fromkeys(folds, 1)


def test_a_domain_of_over_half_of_a_source_is_cut_by_text(staged: Staged) -> None:
    assert staged.cut == {"half": "big", "alone": "its only one"}
    big = [doc_id for doc_id in staged.of_source("half") if DOMAIN[doc_id] == "big"]
    assert len(staged.folds(*big)) > 2, "cut"
    assert len(staged.folds(*(f"half a{n}" for n in range(5)), "half 0")) == 1, "nearly equal"
    assert len(staged.folds("half 1", "half b")) == 1, "equal"
    assert len(staged.folds(*(f"less {n}" for n in range(3)))) == 1, "no half of this source"


def test_documents_without_a_domain_are_with_those_that_nearly_equal_them(staged: Staged) -> None:
    for n in range(0, 20, 2):
        assert len(staged.folds(f"none {n}", f"none {n + 1}")) == 1
    assert len(staged.folds(*(f"none {n}" for n in range(20)))) > 2


def test_equal_texts_are_in_the_fold_of_the_first_of_them(staged: Staged) -> None:
    assert len(staged.folds("same a", "same b", "same c")) == 1
    domains = {row["domain"] for row in staged.rows if str(row["doc_id"]).startswith("same")}
    assert domains == {"domain same x"}, "though they are of other domains and sources"


def test_a_cluster_is_in_the_fold_of_the_first_of_it(staged: Staged) -> None:
    assert len(staged.folds("near a", "near b", "near c", "near d")) == 1
    domains = {row["domain"] for row in staged.rows if str(row["doc_id"]).startswith("near")}
    assert domains == {"domain near a"}, "though they are of other domains and sources"
    stale = {row["domain"] for row in staged.rows if row["doc_id"] == "many 1"}
    assert stale == {"domain d1"}, "it has another text since"


def test_a_spoilt_copy_is_in_the_fold_of_its_original(staged: Staged) -> None:
    copies = [row for row in staged.rows if row["spoilt"]]
    assert len(copies) == len(COPIES) > 10
    for copy in copies:
        assert copy["text"] == f"spoilt {copy['doc_id']}"
        (original,) = (r for r in staged.rows if r["doc_id"] == copy["doc_id"] and not r["spoilt"])
        assert (copy["fold"], copy["domain"]) == (original["fold"], original["domain"])


def test_labels_of_one_domain_alone_are_cut_by_text(labelled: Lakehouse, tmp_path: Path) -> None:
    found = stage(labelled, tmp_path, "source = 'alone'")
    assert found.cut == {"alone": "its only one"}
    assert {row["fold"] for row in found.rows} == set(range(5))


def test_copies_do_not_count_in_the_half_of_a_source(labelled: Lakehouse, tmp_path: Path) -> None:
    """Of two domains with three documents each one has a copy of each of its own."""
    rows = ["many 1", "many 11", "many 21", "many 2", "many 12", "many 22"]
    listed = ", ".join(f"'{doc_id}'" for doc_id in rows)
    assert stage(labelled, tmp_path, f"doc_id IN ({listed})").cut == {}


def test_rows_and_order_are_the_same_at_any_partitioning(
    labelled: Lakehouse, staged: Staged, tmp_path: Path
) -> None:
    again = stage(labelled, tmp_path, partitions=5)
    assert again == staged
    in_order = [row["doc_id"] for row in staged.rows if not row["spoilt"]]
    assert in_order != sorted(in_order), "an order unlike any other"
    order = labelled.read("labels").select("doc_id").distinct().orderBy(F.xxhash64("doc_id"))
    assert in_order == [r[0] for r in order.collect() if r[0] != "withdrawn"]
