"""A lake with scores to select from, and the same documents for the oracle."""

import contextlib
import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession, functions as F

from mira_spark.corpus import grouping
from mira_spark.distillation import registry
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.selection import order
from mira_spark.settings.root import Settings, load
from tests import scoring_lake, selection_oracle as oracle
from tests.scoring_lake import NOW
from tests.selection_oracle import Document, Rule

TABLES = (*scoring_lake.TABLES, "score_histogram", "selections", "selection_cutoffs",
          "selected_documents")  # fmt: skip
GROUP_OF = {"code": "group_a", "tests": "group_a", "web": "group_b", "chat": "group_b"}
EACH = 40
DIGEST = "0" * 64


def texts() -> dict[str, str]:
    """doc_id to text; every fourth text is that of the document before it."""
    return {f"{s} {i}": f"text {i - (i % 4 == 3)} of {s}" for s in GROUP_OF for i in range(EACH)}


def settings_of(lake: Lakehouse, home: Path, folder: Path) -> Settings:
    """The settings that `prepared` gives, of a lake that is."""
    chosen = {
        "namespace": lake.namespace,
        "folder": folder,
        "registry.tracking_uri": f"sqlite:///{home}/mlflow.db",
        "registry.prefix": lake.namespace,
    }
    return load(None, [f"{key}={value}" for key, value in chosen.items()])


def prepared(lake: Lakehouse, home: Path, folder: Path) -> Settings:
    """Four sources in two groups, scored: many ties, some long documents, empty ones, a
    quarantined one in each source."""
    create_tables(lake, TABLES)
    settings = settings_of(lake, home, folder)
    draw = random.Random(7)
    documents, scores = [], []
    for place, (doc_id, text) in enumerate(texts().items()):
        source = doc_id.split()[0]
        digest = hashlib.sha256(text.encode()).digest()[:16]
        tokens = draw.choice((0, 1, 7, 7, 50, 400))
        same = {"doc_id": doc_id, "source": source, "bucket": place % 8, "n_tokens": tokens,
                "content_hash": digest}  # fmt: skip
        documents.append(
            same | {"text": text, "n_bytes": len(text), "sendable": True,
                    "repaired": place % 5 == 0,
                    "domain": f"host{place % 3}", "metadata": {"lang": "ab"[place % 2]},
                    "license": None if place % 7 else "MIT", "ingested_at": NOW}
        )  # fmt: skip
        quality = None if doc_id.endswith(" 5") else draw.choice((3000, 3000, 5000, 5001, 9000))
        scores.append(
            same | {"source_group": GROUP_OF[source], "student_id": student(lake, source),
                    "quality": quality, "status": "scored" if quality else "quarantined",
                    "reason": None if quality else "unreadable", "documents_version": 1,
                    "unit_id": "u", "run_id": "r", "scored_at": NOW}
        )  # fmt: skip
    grouping_id = grouping.grouping_id(settings.grouping)
    grouped = [
        {"grouping_id": grouping_id, "source": s, "source_group": g, "embedding": [1.0],
         "documents": EACH, "tokens": 1, "sampled": 1, "created_at": NOW}
        for s, g in GROUP_OF.items()
    ]  # fmt: skip
    lake.append_rows(documents, "documents", "r")
    lake.append_rows(scores, "scores", "r")
    lake.append_rows(grouped, "source_groups", "r")
    for group in sorted(set(GROUP_OF.values())):
        _champion(lake, settings, group)
    return settings


@contextlib.contextmanager
def open_lake(
    spark: SparkSession, name: str, home: Path, folders: pytest.TempPathFactory
) -> Iterator[tuple[Lakehouse, Settings]]:
    """`prepared` in a schema of its own, which is dropped at the end."""
    spark.sql(f"CREATE SCHEMA {name}")
    lake = Lakehouse(spark, name)
    yield lake, prepared(lake, home, folders.mktemp(name))
    spark.sql(f"DROP SCHEMA {name} CASCADE")


def student(lake: Lakehouse, source: str) -> str:
    return registry.student_id(f"{lake.namespace}_{GROUP_OF[source]}", 1, DIGEST)


def _champion(lake: Lakehouse, settings: Settings, group: str) -> None:
    student_id = scoring_lake.registered(settings, group, DIGEST, "file:///nowhere")
    row = {"student_id": student_id, "source_group": group, "rubric_id": "r",
           "labelling_id": "l", "kind": "linear", "dimensions": ["a", "b", "c"],
           "artefact_uri": "/nowhere", "artefact_sha256": DIGEST, "weights_sha256": "0",
           "labels_version": 1, "rule": "paper", "labels": 2, "held_out_rows": 1, "gate": "passed",
           "gate_reasons": [], "created_at": NOW}  # fmt: skip
    lake.append_rows([row], "students", "r")


def corpus(lake: Lakehouse, seed: int) -> list[Document]:
    """The scored documents as the oracle takes them."""
    return documents_of(lake.read("scores"), seed)


def documents_of(scores: DataFrame, seed: int) -> list[Document]:
    """Rows of `scores` as the oracle takes them."""
    rows = scores.withColumn("tie_hash", order.tie_hash(seed)).collect()
    return [Document(*(r[f] for f in ("doc_id", "source", "quality", "tie_hash", "n_tokens")))
            for r in rows]  # fmt: skip


def rule(
    documents: Sequence[Document],
    policy: str,
    floors: dict[str, str],
    caps: dict[str, str],
    groups: Mapping[str, str] = GROUP_OF,
    own_floors: Mapping[str, Fraction] | None = None,
    document_share: Fraction = Fraction(1, 100),
) -> Rule:
    """The policy with shares by tokens of what competes; `groups` is source to group."""
    pool_of = {"global": dict.fromkeys(groups, "all"), "group": groups,
               "source": {s: s for s in groups}}[policy]  # fmt: skip
    sizes = Rule(pool_of, {}, {}, {}, document_share=document_share)
    scored = oracle.sized(documents, sizes)
    total = sum(d.tokens for d in scored)
    shares = {
        pool: Fraction(sum(d.tokens for d in scored if pool_of[d.source] == pool), total)
        for pool in set(pool_of.values())
    }
    exact = [{s: Fraction(share) for s, share in given.items()} for given in (floors, caps)]
    return Rule(pool_of, shares, *exact, own_floors or {}, document_share)


def ids(lake: Lakehouse, view: str = "selected") -> set[str]:
    """The doc_ids of a selection."""
    return {r["doc_id"] for r in lake.read(view).select(F.col("doc_id")).collect()}
