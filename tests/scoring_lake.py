"""A small lake that is ready to be scored: documents, a grouping, a champion in a registry."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mira_spark import grouping, registry
from mira_spark.scoring import Scorer
from mira_spark.settings import Settings, load
from mira_spark.students import artefact
from mira_spark.students.linear import LinearStudent
from mira_spark.tables import Lakehouse
from tests.test_scoring import a_manifest, linear

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TABLES = ("documents", "source_groups", "students", "scores", "leases", "runs")


def prepared(lake: Lakehouse, home: Path, folder: Path, texts: Mapping[str, str]) -> Settings:
    """Tables with these documents of source `web` (doc_id to text) and `group_a`'s champion."""
    lake.create(TABLES)
    chosen = {
        "namespace": lake.namespace,
        "folder": folder,
        "scoring.unit_tokens": 400,
        # A new database takes MLflow ten seconds.
        "registry.tracking_uri": f"sqlite:///{home}/mlflow.db",
        "registry.prefix": lake.namespace,
    }
    settings = load(None, [f"{key}={value}" for key, value in chosen.items()])
    add(lake, texts)
    row = {"grouping_id": grouping.grouping_id(settings.grouping), "source": "web",
           "source_group": "group_a", "embedding": [1.0], "documents": 1, "tokens": 1,
           "sampled": 1, "created_at": NOW}  # fmt: skip
    lake.append_rows([row], "source_groups", "r")
    champion(lake, settings, folder / "student", linear(1))
    return settings


def add(lake: Lakehouse, texts: Mapping[str, str]) -> None:
    """Documents of 100 tokens each."""
    rows = [
        {"doc_id": doc_id, "source": "web", "text": text, "n_bytes": len(text), "n_tokens": 100,
         "content_hash": hashlib.sha256(text.encode()).digest()[:16], "bucket": place % 8,
         "sendable": True, "repaired": False, "metadata": {}, "ingested_at": NOW}
        for place, (doc_id, text) in enumerate(texts.items())
    ]  # fmt: skip
    lake.append_rows(rows, "documents", "r")


def champion(
    lake: Lakehouse,
    settings: Settings,
    folder: Path,
    student: LinearStudent,
    counts: Sequence[bool] = (True, True, True),
) -> Scorer:
    """A student as the registry and `students` know it; `counts`: which slots are reliable."""
    manifest = a_manifest(reliability={}, group_reliability=tuple(counts))
    digest = artefact.write(folder, student, manifest)
    client = registry._client(settings)
    name = registry.model_name(settings, "group_a")
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    version = client.create_model_version(name, source=folder.as_uri()).version
    registry.promote(settings, f"{name}/{version}")
    files = artefact.read_manifest(folder).files
    row = {"student_id": f"{name}/{version}", "source_group": "group_a", "rubric_id": "r",
           "labelling_id": "l", "kind": "linear", "dimensions": ["a", "b", "c"],
           "artefact_uri": str(folder), "artefact_sha256": digest,
           "weights_sha256": files[artefact.MODEL], "labels_version": 1, "train_rows": 1,
           "validation_rows": 1, "gate": "passed", "gate_reasons": [],
           "created_at": NOW}  # fmt: skip
    lake.append_rows([row], "students", "r")
    return Scorer(f"{name}/{version}", str(folder), digest)


def rows(lake: Lakehouse) -> list[tuple[object, ...]]:
    """What `scores` says of every document, sorted."""
    columns = ("doc_id", "student_id", "raw_scores", "dimension_scores", "quality", "status",
               "reason", "unit_id")  # fmt: skip
    found = lake.read("scores").select(*columns).collect()
    return sorted((tuple(row) for row in found), key=str)
