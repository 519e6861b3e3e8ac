"""A student just trained, with what was measured of it, as the tables and MLflow record it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mira_spark.distillation import figures
from mira_spark.distillation.assessment import Assessment
from mira_spark.distillation.comparison import Comparison
from mira_spark.distillation.figures import STUDENT, QualityFigure
from mira_spark.distillation.gate import Gate
from mira_spark.distillation.planted_noise import NoiseCheck
from mira_spark.distillation.registry import Registration
from mira_spark.labels.agreement import Estimate
from mira_spark.settings.students import DistillationSettings
from mira_spark.students.artefact import Manifest
from mira_spark.students.protocol import Student


@dataclass(frozen=True)
class Trained:
    """`assessment` is of rows it did not learn from. `next_doubling` is what twice the labels would
    add to the gain, None where the learning curve was not measured; `noise` is of documents without
    a label where there are any."""

    student: Student
    manifest: Manifest
    labelling_id: str
    labels: int
    assessment: Assessment
    figures: Sequence[QualityFigure]
    noise: Sequence[NoiseCheck]
    curve: dict[float, Estimate]
    next_doubling: float | None
    gate: Gate
    comparison: Comparison

    def registration(self, settings: DistillationSettings, inputs: dict[str, int]) -> Registration:
        """What MLflow records of it; `inputs` is table to the version it was read from."""
        return Registration(
            parameters=self.parameters(settings),
            metrics=self.metrics(),
            inputs=inputs,
            tables={"evaluation": self.comparison.cells},
            figures=self.comparison.figures,
            package_version=self.manifest.package_version,
        )

    def parameters(self, settings: DistillationSettings) -> dict[str, Any]:
        """What MLflow lists as the run's parameters."""
        of_kind: dict[str, Any] = getattr(settings, self.student.kind).model_dump()
        rule = self.manifest.quality.rule
        named = {"kind": self.student.kind, "rule": rule, "rubric_id": self.manifest.rubric_id}
        return named | of_kind

    def metrics(self) -> dict[str, float]:
        """Figures by name: of the quality, the noise, the learning curve, and the dimensions."""
        found: dict[str, float] = {
            "labels": self.labels,
            "held_out_rows": len(self.assessment.quality),
        }
        for share, gain in self.curve.items():
            if gain.value is not None:
                found[f"quality/gain_40_of_{100 * share:.0f}_percent_of_labels"] = gain.value
        if self.next_doubling is not None:
            found["quality/gain_40_added_by_twice_the_labels"] = self.next_doubling
        for check in self.noise:
            if check.source is None and check.auc.value is not None:
                found[f"noise_auc/{check.kind}"] = check.auc.value
        return found | figures.metrics(self.figures) | self.comparison.metrics

    def rows(
        self, student_id: str, published: Mapping[str, Any], now: datetime, run_id: str
    ) -> dict[str, list[dict[str, Any]]]:
        """Table to the rows that record the student; `published` are the columns of `students`
        that publishing it gave."""
        return {
            "student_reliability": self.reliability_rows(student_id),
            "student_figures": self.figure_rows(student_id),
            "student_predictions": self.prediction_rows(student_id),
            "noise_checks": [check.row(student_id, run_id, now) for check in self.noise],
            "students": [self.row(student_id, published)],
        }

    def reliability_rows(self, student_id: str) -> list[dict[str, Any]]:
        """Rows of `student_reliability`."""
        return [
            {
                "student_id": student_id,
                "source": cell.source,
                "slot": cell.slot,
                "rows": cell.rows,
                "nulls": cell.nulls,
                "applies": cell.applies,
                "judged_mean": cell.line.judged_mean if cell.rows else None,
                "mean_prediction": cell.line.mean_prediction if cell.rows else None,
                "slope": cell.slope,
                "weight": cell.weight,
                "mae": cell.mae,
                "spearman": cell.spearman.value,
                "spearman_low": cell.spearman.low,
                "spearman_high": cell.spearman.high,
                "ceiling": cell.ceiling,
                "counts": cell.counts,
                "reason": cell.reason,
            }
            for cell in self.assessment.cells
        ]

    def figure_rows(self, student_id: str) -> list[dict[str, Any]]:
        """Rows of `student_figures`."""
        return [
            {
                "student_id": student_id,
                "predictor": row.predictor,
                "figure": row.figure,
                "source": row.source,
                "rows": row.rows,
                "value": row.estimate.value,
                "low": row.estimate.low,
                "high": row.estimate.high,
            }
            for row in self.figures
        ]

    def prediction_rows(self, student_id: str) -> list[dict[str, Any]]:
        """Rows of `student_predictions`."""
        rows = self.assessment.rows
        verdicts, qualities = self.assessment.judged.verdict, self.assessment.quality
        columns = zip(rows.doc_ids, rows.sources, qualities.tolist(), verdicts, strict=True)
        return [
            {
                "student_id": student_id,
                "doc_id": doc_id,
                "source": source,
                "quality": None if quality < 0 else quality,
                "verdict": None if verdict != verdict else float(verdict),
            }
            for doc_id, source, quality, verdict in columns
        ]

    def row(self, student_id: str, published: Mapping[str, Any]) -> dict[str, Any]:
        """The row of `students`; `published` are the columns that publishing the student gave."""
        manifest = self.manifest
        of_student = {
            f.figure: f.estimate.value
            for f in self.figures
            if f.predictor == STUDENT and f.source is None
        }
        return {
            "student_id": student_id,
            "source_group": manifest.source_group,
            "rubric_id": manifest.rubric_id,
            "labelling_id": self.labelling_id,
            "kind": self.student.kind,
            "rule": manifest.quality.rule,
            "dimensions": list(manifest.anchors),
            "labels_version": manifest.labels_version,
            "labels": self.labels,
            "held_out_rows": len(self.assessment.quality),
            "spearman": of_student.get(figures.SPEARMAN),
            "spearman_within_source": of_student.get(figures.WITHIN),
            "gain_40": of_student.get(figures.GAIN_40),
            "next_doubling": self.next_doubling,
            "gate": "passed" if self.gate.passed else "failed",
            "gate_reasons": self.gate.reasons,
            **published,
        }
