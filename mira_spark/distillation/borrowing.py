"""A group with too few labels for a student of its own borrows the student of the nearest group."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from pyspark.sql import functions as F

from mira_spark.corpus.groups import current_grouping_id
from mira_spark.distillation.publishing import TableRows, publish
from mira_spark.distillation.registry import Registration
from mira_spark.lake.runs import package_version
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.embedder import Grouping
from mira_spark.settings.students import Registry
from mira_spark.students.artefact import Manifest
from mira_spark.students.protocol import Student

BORROWED = "borrowed"
"""What `students.gate` says of a student that another group lends: it was not measured here."""


class OwnLabels(NamedTuple):
    """The group's own labelling, and how many labels it has."""

    labelling_id: str
    labels: int


def nearest_group(lake: Lakehouse, settings: Grouping, group: str, others: Collection[str]) -> str:
    """The one of the `others`, at least one, whose documents are most like the group's: by the
    cosine of the mean vectors of their sources; ties by name."""
    rows = lake.read("source_groups").filter(
        F.col("grouping_id") == current_grouping_id(lake, settings)
    )
    vectors: dict[str, list[list[float]]] = {}
    for row in rows.select("source_group", "embedding").collect():
        vectors.setdefault(row["source_group"], []).append(row["embedding"])
    means = {name: np.mean(of_group, axis=0) for name, of_group in vectors.items()}

    def cosine(other: str) -> float:
        lengths = np.linalg.norm(means[group]) * np.linalg.norm(means[other])
        return float(means[group] @ means[other] / max(lengths, 1e-12))

    return max(sorted(others), key=cosine)


def borrow(
    lake: Lakehouse,
    place: Registry,
    group: str,
    lender: str,
    student: Student,
    manifest: Manifest,
    own_labels: OwnLabels,
    reasons: list[str],
    run_id: str,
) -> str:
    """Make the student `lender` of another group, with this manifest, champion of the group too:
    the id it has here. `reasons` say why the group's own may not score.

    It scores the dimensions of its own rubric. Its quality table knows none of the group's sources,
    so each uses the cells of the lender's whole group.
    """
    table = manifest.quality.model_copy(update={"sources": {}})
    lent = manifest.model_copy(update={"files": {}, "source_group": group, "quality": table})

    def record(student_id: str, columns: Mapping[str, Any], now: datetime) -> TableRows:
        row = {
            **_row(lent, own_labels, student_id),
            **columns,
            "kind": student.kind,
            "borrowed_from": lender,
            "gate_reasons": reasons,
        }
        return {"students": [row]}

    registration = Registration(
        parameters={"kind": student.kind, "borrowed_from": lender},
        metrics={"labels": own_labels.labels},
        inputs={},
        tables={},
        figures={},
        package_version=package_version(),
    )
    return publish(lake, place, student, lent, registration, record, True, run_id)


def _row(lent: Manifest, own_labels: OwnLabels, student_id: str) -> dict[str, Any]:
    return {
        "student_id": student_id,
        "source_group": lent.source_group,
        "rubric_id": lent.rubric_id,
        "labelling_id": own_labels.labelling_id,
        "rule": lent.quality.rule,
        "dimensions": list(lent.anchors),
        "labels_version": lent.labels_version,
        "labels": own_labels.labels,
        "held_out_rows": 0,
        "gate": BORROWED,
    }
