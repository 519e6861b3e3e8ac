"""What a student's raw score means on the judge's scale: one monotone curve per slot."""

from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, FiniteFloat, model_validator

from mira_spark.lake.scale import FULL_SCALE, POINTS

FEWEST_ROWS = 10  # with fewer judged rows a slot keeps the student's own scale


class Curve(BaseModel):
    """Straight lines through knots, flat outside them.

    `x` are raw scores, strictly ascending; `y` are thousandths of a point, 0 to 10,000, never
    descending. Whole thousandths make the rounded curve monotone whatever float arithmetic does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: tuple[FiniteFloat, ...]
    y: tuple[int, ...]

    @model_validator(mode="after")
    def _check_knots(self) -> Self:
        if not self.x or len(self.x) != len(self.y):
            raise ValueError(f"found {len(self.x)} x and {len(self.y)} y, expected as many, >= 1")
        if any(a >= b for a, b in pairwise(self.x)):
            raise ValueError("x must ascend strictly")
        if any(a > b for a, b in pairwise(self.y)) or self.y[0] < 0 or self.y[-1] > FULL_SCALE:
            raise ValueError(f"y must not descend and stay within 0 and {FULL_SCALE}")
        return self


Calibration = tuple[Curve, ...]
"""One curve per slot, in slot order."""

IDENTITY = Curve(x=(0.0, float(POINTS)), y=(0, FULL_SCALE))


def fit(predicted: npt.NDArray[np.float32], judged: npt.NDArray[np.floating]) -> Calibration:
    """Isotonic curves from raw scores to the judge's points, both [rows, slots]; NaN = no answer.

    A slot with fewer than 10 judged rows gets the identity, clipped to 0-10.
    """
    return tuple(_fit_slot(predicted[:, slot], judged[:, slot]) for slot in range(judged.shape[1]))


def _fit_slot(predicted: npt.NDArray[np.float32], judged: npt.NDArray[np.floating]) -> Curve:
    from sklearn.isotonic import IsotonicRegression  # a second to import; executors never fit

    known = ~np.isnan(judged)
    if known.sum() < FEWEST_ROWS:
        return IDENTITY
    model = IsotonicRegression(y_min=0, y_max=10, out_of_bounds="clip")
    model.fit(predicted[known].astype(np.float64), judged[known].astype(np.float64))
    y = np.maximum.accumulate(np.floor(model.y_thresholds_ * 1000 + 0.5)).astype(int)
    return Curve(x=tuple(model.X_thresholds_.tolist()), y=tuple(y.tolist()))


def quantised(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Scores in whole thousandths of a point, halves rounded up, clipped to what int16 holds."""
    limits = np.iinfo(np.int16)
    whole = np.floor(scores.astype(np.float64) * 1000 + 0.5)
    return np.clip(whole, limits.min, limits.max).astype(np.int16)


def apply(calibration: Calibration, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Calibrated scores in thousandths of a point, int16 [rows, slots], 0 to 10,000.

    Halves are rounded up. A greater raw score never gets less. Infinities are clipped; ValueError
    on NaN, which has no place on a curve: set such rows aside first.
    """
    if np.isnan(scores).any():
        raise ValueError(f"{int(np.isnan(scores).any(axis=1).sum())} rows with a NaN score")
    thousandths = np.empty(scores.shape, np.int16)
    for slot, curve in enumerate(calibration):
        on_curve = np.interp(scores[:, slot].astype(np.float64), curve.x, curve.y)
        thousandths[:, slot] = np.floor(on_curve + 0.5)
    return thousandths
