"""What a student's raw score means on the judge's scale: one monotone curve per slot."""

from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, FiniteFloat, model_validator

from mira_spark.lake.scale import FULL_SCALE, POINT, POINTS

FEWEST_ROWS = 10  # with fewer judged rows a slot keeps the student's own scale
FEWEST_FOR_ISOTONIC = 100  # below, a line errs less than an isotonic curve


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
    """Curves from raw scores to the judge's points, both [rows, slots]; NaN = no answer.

    Isotonic for a slot with at least 100 judged rows, a line with at least 10; with fewer the
    identity, clipped to 0-10.
    """
    return tuple(_fit_slot(predicted[:, slot], judged[:, slot]) for slot in range(judged.shape[1]))


def _fit_slot(predicted: npt.NDArray[np.float32], judged: npt.NDArray[np.floating]) -> Curve:
    known = ~np.isnan(judged)
    x, y = predicted[known].astype(np.float64), judged[known].astype(np.float64)
    if len(x) < FEWEST_ROWS:
        return IDENTITY
    return _isotonic(x, y) if len(x) >= FEWEST_FOR_ISOTONIC else _line(x, y)


def _isotonic(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Curve:
    from sklearn.isotonic import IsotonicRegression  # a second to import; executors never fit

    model = IsotonicRegression(y_min=0, y_max=POINTS, out_of_bounds="clip").fit(x, y)
    heights = np.maximum.accumulate(np.floor(model.y_thresholds_ * POINT + 0.5)).astype(int)
    return Curve(x=tuple(model.X_thresholds_.tolist()), y=tuple(heights.tolist()))


def _line(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Curve:
    """Least squares, cut at 0 and 10; level at the mean where the line would not rise."""
    spread = x - x.mean()
    slope = float(spread @ y / max(spread @ spread, 1e-12))
    if slope < 1e-6:
        return Curve(x=(0.0,), y=(int(np.floor(y.mean() * POINT + 0.5)),))
    zero = float(x.mean() - y.mean() / slope)
    return Curve(x=(zero, zero + POINTS / slope), y=(0, FULL_SCALE))


def quantised(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Scores in whole thousandths of a point, halves rounded up, clipped to what int16 holds."""
    limits = np.iinfo(np.int16)
    whole = np.floor(scores.astype(np.float64) * POINT + 0.5)
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
