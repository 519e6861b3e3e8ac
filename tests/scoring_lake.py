"""A small lake that is ready to be scored: documents, a grouping, a champion in a registry.

`python -m tests.scoring_lake FOLDER DOCUMENTS A_UNIT A_FILE` makes one for other processes, its
settings in FOLDER/lake.yaml.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import deltalake
import yaml
from pyspark.sql import functions as F

from mira_spark.corpus import grouping
from mira_spark.distillation import mlflow_runs, registry
from mira_spark.lake.creation import create_tables
from mira_spark.lake.session import open_local
from mira_spark.lake.tables import Lakehouse
from mira_spark.scoring import isolation
from mira_spark.scoring.scorer import Scorer
from mira_spark.settings.root import Settings, load
from mira_spark.students import artefact
from mira_spark.students.linear import LinearStudent
from tests.quality_tables import a_table
from tests.scoring.test_batches import a_manifest, linear

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TABLES = ("documents", "source_groups", "students", "scores", "score_checks", "leases", "runs")
FAILPOINTS = (
    "lease.asked", "lease.taken", "run.starting", "run.started", "unit.appending", "unit.committed",
    "unit.reconciled", "units.done", "view.replaced", "run.ending", "run.ended", "lease.ending",
    "lease.ended",
)  # fmt: skip
"""On both sides of everything durable that the step does, in its order."""
SCHEMA = "drill"


def prepared(
    lake: Lakehouse, home: Path, folder: Path, texts: Mapping[str, str], unit_tokens: int = 400
) -> Settings:
    """Tables with these documents of source `web` (doc_id to text) and `group_a`'s champion."""
    create_tables(lake, TABLES)
    chosen = {
        "namespace": lake.namespace,
        "folder": folder,
        "scoring.unit_tokens": unit_tokens,
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


def document(doc_id: str, text: str, place: int = 0) -> dict[str, object]:
    """A row of `documents`, of 100 tokens."""
    return {"doc_id": doc_id, "source": "web", "text": text, "n_bytes": len(text), "n_tokens": 100,
            "content_hash": hashlib.sha256(text.encode()).digest()[:16], "bucket": place % 8,
            "sendable": True, "repaired": False, "metadata": {}, "ingested_at": NOW}  # fmt: skip


def add(lake: Lakehouse, texts: Mapping[str, str]) -> None:
    """Documents of 100 tokens each."""
    rows = [document(doc_id, text, place) for place, (doc_id, text) in enumerate(texts.items())]
    lake.append_rows(rows, "documents", "r")


def champion(
    lake: Lakehouse,
    settings: Settings,
    folder: Path,
    student: LinearStudent,
    counts: Sequence[bool] = (True, True, True),
) -> Scorer:
    """A student as the registry and `students` know it; `counts`: which slots do."""
    manifest = a_manifest(quality=a_table(counts))
    digest = artefact.write(folder, student, manifest)
    student_id = registered(settings, "group_a", digest, folder.as_uri())
    files = artefact.read_manifest(folder).files
    row = {"student_id": student_id, "source_group": "group_a", "rubric_id": "r",
           "labelling_id": "l", "kind": "linear", "dimensions": ["a", "b", "c"],
           "artefact_uri": str(folder), "artefact_sha256": digest,
           "weights_sha256": files[artefact.MODEL], "labels_version": 1,
           "rule": "paper", "labels": 2, "held_out_rows": 1, "gate": "passed", "gate_reasons": [],
           "created_at": NOW}  # fmt: skip
    lake.append_rows([row], "students", "r")
    return Scorer(student_id, str(folder), digest)


def registered(settings: Settings, group: str, digest: str, source: str) -> str:
    """The id of a student that is now the group's champion in the registry."""
    name = registry.model_name(settings.student_registry, group)
    with mlflow_runs.quiet():
        client = mlflow_runs.client(settings.student_registry)
        version = registry.add_version(client, name, source, digest)
    student_id = registry.student_id(name, version, digest)
    registry.promote(settings.student_registry, student_id)
    return student_id


def rows(lake: Lakehouse) -> list[tuple[object, ...]]:
    """What `scores` says of every document, sorted."""
    columns = ("doc_id", "student_id", "raw_scores", "dimension_scores", "quality", "status",
               "reason", "unit_id")  # fmt: skip
    found = lake.read("scores").select(*columns).collect()
    return sorted((tuple(row) for row in found), key=str)


def stored(folder: Path, *more: str) -> list[tuple[object, ...]]:
    """`rows` of a lake made by `main`, read without Spark, and further columns."""
    columns = ["doc_id", "student_id", "raw_scores", "dimension_scores", "quality", "status",
               "reason", "unit_id", *more]  # fmt: skip
    table = deltalake.DeltaTable(str(folder / "warehouse" / f"{SCHEMA}.db" / "scores"))
    found = table.to_pyarrow_table(columns=columns).to_pylist()
    return sorted((tuple(row[c] for c in columns) for row in found), key=str)


def tries(seen: Path) -> Counter[str]:
    """How often a student began each text, by what the drill noted in this folder."""
    lines = (line for file in seen.iterdir() for line in file.read_text().splitlines())
    return Counter(line for line in lines if line != isolation._WARM_UP)


def main(folder: Path, documents: int, a_unit: int, a_file: int) -> None:
    """Documents of 100 tokens in so many to a unit of work and so many to a file."""
    lake = Lakehouse(open_local(folder, cores=2, memory="2g"), SCHEMA)
    create_tables(lake)
    settings = prepared(lake, folder, folder, {})
    text = F.concat_ws(" ", F.lit("text"), F.col("id"), F.lit("of some, like"), F.col("id") % 7)
    numbered = lake.spark.range(0, documents, 1, -(-documents // a_file))
    made = numbered.select(
        F.format_string("doc %06d", "id").alias("doc_id"), F.lit("web").alias("source"),
        text.alias("text"), F.length(text).alias("n_bytes"), F.lit(100).alias("n_tokens"),
        F.unhex(F.substring(F.sha2(text, 256), 1, 32)).alias("content_hash"),
        F.floor(F.col("id") / a_unit).alias("bucket"), F.lit(None).alias("domain"),
        F.lit(None).alias("license"), F.lit(True).alias("sendable"),
        F.lit(False).alias("repaired"), F.create_map().cast("map<string,string>").alias("metadata"),
        F.lit(None).alias("messages"), F.lit(NOW).alias("ingested_at"),
    )  # fmt: skip
    lake.append(made, "documents", "r")
    chosen = settings.model_dump(mode="json", include={"namespace", "folder"})
    chosen["corpus"] = {"input": "json", "path": str(folder / "input")}
    chosen["scoring"] = {"unit_tokens": 100 * a_unit}
    chosen["registry"] = settings.registry.model_dump(mode="json", exclude_defaults=True)
    (folder / "lake.yaml").write_text(yaml.safe_dump(chosen))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
