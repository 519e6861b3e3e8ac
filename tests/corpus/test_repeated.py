"""Documents that are there twice: no ingest leaves them unsaid, and they are mended."""

import json
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from mira_spark.corpus import repeated
from mira_spark.errors import ReconciliationError
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.root import load
from mira_spark.steps import ingest_corpus
from tests import scoring_lake


def texts(lake: Lakehouse) -> dict[str, str]:
    rows = lake.read("documents").select("doc_id", "text").collect()
    assert len(rows) == len({row["doc_id"] for row in rows})
    return {row["doc_id"]: row["text"] for row in rows}


def test_doubled_documents_end_an_ingest_and_the_repair_leaves_the_latest(
    lake: Lakehouse, tmp_path: Path
) -> None:
    create_tables(lake, ["documents", "rejected_documents"])
    scoring_lake.add(lake, {f"doc {i}": f"text {i}" for i in range(9)})
    scoring_lake.add(lake, {"doc 0": "text 0", "doc 1": "a later text"})
    later = F.lit(scoring_lake.NOW) + F.expr("INTERVAL 1 SECOND")
    lake.update("documents", F.col("text") == "a later text", {"ingested_at": later})
    (tmp_path / "new.json").write_text(json.dumps({"id": "new", "source": "web", "text": "new"}))
    chosen = {"folder": tmp_path / "folder", "corpus.input": "json", "corpus.path": tmp_path,
              "corpus.columns.doc_id": "id"}  # fmt: skip
    settings = load(None, [f"{key}={value}" for key, value in chosen.items()])
    with pytest.raises(ReconciliationError) as found:
        ingest_corpus.run(lake, settings, "r")
    assert str(found.value) == (
        f"{lake.name('documents')}: 12 documents of 10 ids. "
        "mira doctor --repair leaves the latest of each id"
    )
    assert repeated.remove_repeated(lake, "r") == 2
    repeated.check_repeated(lake)
    left = {f"doc {i}": f"text {i}" for i in range(9)} | {"doc 1": "a later text", "new": "new"}
    assert texts(lake) == left
    version = lake.version("documents")
    assert repeated.remove_repeated(lake, "r") == 0
    assert lake.version("documents") == version
