"""One student beside the judge, dimension by dimension, on rows it did not learn from."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mira_spark.distillation import evaluation, evaluation_plots
from mira_spark.distillation.figures import STUDENT
from mira_spark.distillation.shards import Floats
from mira_spark.distillation.training import Evaluation


@dataclass(frozen=True)
class Comparison:
    """Figures by name, a row for every (source, slot, predictor) measured, and plots by name."""

    metrics: dict[str, float]
    cells: pd.DataFrame
    figures: dict[str, Any]


def compare(
    held_out: Evaluation,
    calibrated: Floats,
    counting: Collection[tuple[str | None, int]],
    dimensions: Sequence[str],
) -> Comparison:
    """The student's calibrated scores of `held_out` (points [rows, slots]) beside the judge's
    answers and its repeats. `counting` are the (source, slot) that the plots mark, source None: the
    group's."""
    measured = evaluation.measure(
        calibrated, held_out.judged, held_out.repeated, held_out.sources, held_out.domains
    )
    figures = {
        "reliability": evaluation_plots.heatmap(measured, STUDENT, dimensions, counting),
        "calibration": evaluation_plots.calibration(calibrated, held_out.judged),
        "predicted_against_judged": evaluation_plots.density(calibrated, held_out.judged),
    }
    return Comparison(evaluation.metrics(measured), evaluation.frame(measured), figures)
