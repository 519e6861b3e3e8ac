"""What the step stages for training."""

from datetime import UTC, datetime
from pathlib import Path

from mira_spark.distillation import shards
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.steps import distill_students

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_document(doc_id: str, text: str) -> dict[str, object]:
    return {"doc_id": doc_id, "source": "s", "text": text, "n_bytes": len(text), "n_tokens": 1,
            "content_hash": text.encode(), "bucket": 1, "sendable": True, "repaired": False,
            "metadata": {}, "ingested_at": NOW}  # fmt: skip


def a_label(doc_id: str, text: str, split: str) -> dict[str, object]:
    return {"doc_id": doc_id, "content_hash": text.encode(), "source": "s",
            "source_group": "group_a", "rubric_id": "r", "labelling_id": "l", "judge": "j",
            "scores": [1, 2], "reasons": ["", ""], "split": split, "unseen_share": 0.0,
            "call_key": doc_id}  # fmt: skip


def test_equal_texts_are_on_one_side_of_the_split(lake: Lakehouse, tmp_path: Path) -> None:
    create_tables(lake, ["documents", "labels"])
    texts = {"a": "same", "b": "same", "c": "same", "d": "other", "e": "third"}
    splits = {"a": "validation", "b": "train", "c": "train", "d": "train", "e": "validation"}
    lake.append_rows([a_document(*item) for item in texts.items()], "documents", "r")
    lake.append_rows([a_label(d, t, splits[d]) for d, t in texts.items()], "labels", "r")
    distill_students._stage(lake, lake.read("labels"), tmp_path / "shards")
    found = {
        split: sorted(d for rows in shards.rows(tmp_path / "shards", split) for d in
                      rows["doc_id"].to_pylist())
        for split in ("train", "validation")
    }  # fmt: skip
    assert found == {"train": ["d"], "validation": ["a", "b", "c", "e"]}
