"""The shrunk rule, ours (Kelley's formula; the best linear predictor): every score counts as far as
it has been seen to follow the judge in its source."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mira_spark.lake.scale import FULL_SCALE
from mira_spark.students.paper_rule import NO_QUALITY

ONE = 1000
"""Slopes and weights are whole thousandths."""


class ShrunkCells(NamedTuple):
    """What the rule knows of each row's slots, int64 [rows, slots].

    `judged_mean` and `mean_prediction` are thousandths of a point over the same labels, `slope`
    (0 to 1,500) and `weight` (0 where the slot does not count) are thousandths of one.
    """

    judged_mean: npt.NDArray[np.int64]
    mean_prediction: npt.NDArray[np.int64]
    slope: npt.NDArray[np.int64]
    weight: npt.NDArray[np.int64]


def shrunk_quality(
    dimension_scores: npt.NDArray[np.int16], cells: ShrunkCells
) -> npt.NDArray[np.int16]:
    """The weighted mean over the slots of `judged_mean + slope * (score - mean_prediction)`, within
    0 and 10,000, half rounded up, int16 [rows]; -1 where no slot has a weight.

    `dimension_scores` [rows, slots] are thousandths of a point, 0 to 10,000. A slot of slope 0 adds
    its source's judged mean. Continuous in every number, and integers only: the same on every
    machine.
    """
    estimate = ONE * cells.judged_mean
    estimate = estimate + cells.slope * (dimension_scores.astype(np.int64) - cells.mean_prediction)
    total = (cells.weight * estimate).sum(axis=1)
    weight = cells.weight.sum(axis=1) * ONE
    mean = (2 * total + weight) // np.maximum(2 * weight, 1)
    return np.where(weight > 0, np.clip(mean, 0, FULL_SCALE), NO_QUALITY).astype(np.int16)
