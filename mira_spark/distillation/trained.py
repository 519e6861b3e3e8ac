"""A student just trained, with what was measured of it, as the tables and MLflow record it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from mira_spark.corpus.draws import draw
from mira_spark.distillation import comparison, reliability, training
from mira_spark.distillation.comparison import Comparison
from mira_spark.distillation.reliability import Cell, Gate, Mask
from mira_spark.settings.students import DistillationSettings, ReliabilitySettings
from mira_spark.students import aggregation, artefact, calibration
from mira_spark.students.artefact import Manifest
from mira_spark.students.calibration import Calibration
from mira_spark.students.protocol import Student


@dataclass(frozen=True)
class Assessment:
    """What the validation rows tell of a student: the curves are fitted on one half of them, all
    else is measured on the other. `masks`: which slots count for each source, bool [slots]."""

    validation_rows: int
    curves: Calibration
    cells: list[Cell]
    masks: dict[str, Mask]
    group_mask: Mask
    comparison: Comparison


def assess(
    student: Student, shards: Path, dimensions: tuple[str, ...], settings: ReliabilitySettings
) -> Assessment:
    """The student calibrated on half of the validation rows in `shards`, drawn by hash of doc_id,
    and measured on the others beside the judge and the references."""
    held_out = training.predict(student, shards, "validation")
    fitted = np.array([draw(d, "calibration") < 0.5 for d in held_out.doc_ids], bool)
    curves = calibration.fit(held_out.predicted[fitted], held_out.judged[fitted])
    rows = held_out.only(~fitted)
    thousandths = calibration.apply(curves, rows.predicted)
    points = (thousandths / 1_000).astype(np.float32)
    cells = reliability.cells(points, rows.judged, rows.sources, rows.repeated, settings)
    masks, group_mask = reliability.masks(cells, sorted(set(held_out.sources)), settings)
    mask = np.array([masks[source] for source in rows.sources]).reshape(-1, len(dimensions))
    quality = aggregation.quality(thousandths, mask)
    compared = comparison.compare(shards, rows, points, quality, cells, dimensions)
    return Assessment(len(held_out.doc_ids), curves, cells, masks, group_mask, compared)


@dataclass(frozen=True)
class Trained:
    """`cells`, `gate` and `comparison` are of the half of the validation rows that the calibration
    was not fitted on."""

    student: Student
    manifest: Manifest
    labelling_id: str
    train_rows: int
    validation_rows: int
    cells: list[Cell]
    gate: Gate
    comparison: Comparison

    @property
    def labels(self) -> int:
        """Rows of both splits."""
        return self.train_rows + self.validation_rows

    def parameters(self, settings: DistillationSettings) -> dict[str, Any]:
        """What MLflow lists as the run's parameters."""
        of_kind: dict[str, Any] = getattr(settings, self.student.kind).model_dump()
        return {"kind": self.student.kind, "rubric_id": self.manifest.rubric_id} | of_kind

    def metrics(self) -> dict[str, float]:
        """Figures by name: of the gate, the group's slots, the references and the leaks."""
        found: dict[str, float] = {"labels": self.labels, "validation_rows": self.validation_rows}
        if self.cells:
            found["reliable_cells_share"] = float(np.mean([c.reliable for c in self.cells]))
        spearman = reliability.mean_spearman(self.cells)
        if spearman is not None:
            found["spearman_reliable"] = spearman
        return found | self.comparison.metrics

    def reliability_rows(self, student_id: str) -> list[dict[str, Any]]:
        """Rows of `student_reliability`."""
        return [
            {
                "student_id": student_id,
                "source": cell.source,
                "slot": cell.slot,
                "validation_rows": cell.rows,
                "mae": cell.mae,
                "spearman": cell.spearman,
                "judge_mae": cell.judge_mae,
                "reliable": cell.reliable,
            }
            for cell in self.cells
        ]

    def row(self, student_id: str, folder: Path, digest: str, now: datetime) -> dict[str, Any]:
        """The row of `students`; its artefact with this digest lies in `folder`."""
        manifest = self.manifest
        return {
            "student_id": student_id,
            "source_group": manifest.source_group,
            "rubric_id": manifest.rubric_id,
            "labelling_id": self.labelling_id,
            "kind": self.student.kind,
            "dimensions": list(manifest.anchors),
            "artefact_uri": str(folder),
            "artefact_sha256": digest,
            "weights_sha256": artefact.read_manifest(folder).files[artefact.MODEL],
            "labels_version": manifest.labels_version,
            "train_rows": self.train_rows,
            "validation_rows": self.validation_rows,
            "spearman": reliability.mean_spearman(self.cells),
            "gate": "passed" if self.gate.passed else "failed",
            "gate_reasons": self.gate.reasons,
            "created_at": now,
        }
