"""A lake of a few documents to discover a rubric from, and a judge behind HTTP for it."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pyspark.sql import SparkSession

from mira_spark.corpus import grouping
from mira_spark.corpus.python_environment import (
    CorpusLimits,
    documents,
    find_files,
    this_environment,
)
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.root import Settings, load
from tests.judge_stub import JudgeStub
from tests.scoring_lake import NOW

TABLES = ("documents", "source_groups", "judge_calls", "judgement_points", "pilot_labels",
          "rubrics", "labels", "runs")  # fmt: skip
SOURCES = ("stdlib_code", "docstring_qa")
EACH = 30
PRICE = {"input": 1, "output": 4, "read_on": "2026-01-01"}


def texts() -> dict[str, list[str]]:
    """`EACH` texts of each source, found beside the interpreter."""
    limits = CorpusLimits(EACH, 1_200_000)
    found = [f for f in find_files(this_environment(), limits) if f.source in SOURCES]
    by_source: dict[str, list[str]] = {source: [] for source in SOURCES}
    for document in documents(found, limits):
        by_source[document.source].append(document.text.decode(errors="replace"))
    return {source: own[:EACH] for source, own in by_source.items()}


def settings_of(lake: Lakehouse, folder: Path, stub: JudgeStub, *chosen: str) -> Settings:
    """Those of a discovery that separates, by the stub, with a folder of its own."""
    judge = {
        "kind": "openai",
        "model": "m",
        "url": stub.url,
        "hosts": ["127.0.0.1"],
        "secret": "none",
        "prices": {"m": PRICE},
        "pacing": {"base_s": 0.0},
    }
    return load(
        None,
        [
            f"namespace={lake.namespace}",
            f"folder={folder}",
            f"judge={json.dumps(judge)}",
            "discovery.selection=separating",
            "discovery.documents_per_group=60",
            "discovery.dimensions=6",
            "discovery.candidates=16",
            "discovery.pilot_documents=24",
            *chosen,
        ],
    )


@contextlib.contextmanager
def open_lake(
    spark: SparkSession, name: str, by_source: Mapping[str, Sequence[str]]
) -> Iterator[Lakehouse]:
    """A schema of its own, dropped at the end, with the texts in one group; all documents of
    `docstring_qa` are of one domain."""
    spark.sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")
    spark.sql(f"CREATE SCHEMA {name}")
    lake = Lakehouse(spark, name)
    create_tables(lake, TABLES)
    rows = [
        {"doc_id": f"{source} {i:02}", "source": source, "text": text, "n_bytes": len(text),
         "n_tokens": len(text) // 4, "bucket": i,
         "content_hash": hashlib.sha256(text.encode()).digest()[:16],
         "domain": "one" if source == "docstring_qa" else None, "license": None,
         "sendable": True, "repaired": False, "metadata": {}, "ingested_at": NOW}
        for source, own in by_source.items()
        for i, text in enumerate(own)
    ]  # fmt: skip
    lake.append_rows(rows, "documents", "r")
    grouping_id = grouping.grouping_id(load(None, ()).grouping)
    grouped = [
        {"grouping_id": grouping_id, "source": s, "source_group": "group_a", "embedding": [1.0],
         "documents": EACH, "tokens": 1, "sampled": 1, "created_at": NOW}
        for s in by_source
    ]  # fmt: skip
    lake.append_rows(grouped, "source_groups", "r")
    yield lake
    spark.sql(f"DROP SCHEMA {name} CASCADE")
