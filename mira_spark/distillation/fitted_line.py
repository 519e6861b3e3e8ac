"""How far the judge moves where a student's score does: the judged scores on the predicted ones, of
one dimension, in points of 0-10."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mira_spark.students.quality import MAX_SLOPE
from mira_spark.students.shrunk_rule import ONE

_Points = npt.NDArray[np.floating]

SPREAD_OF_SLOPES = 0.1
"""How far a source's slope is expected from its group's (standard deviation, ours): with 0.3 the
noise of slopes cost more than their differences gave."""
PRIOR_ROWS = 5
"""A source's judged mean, and the variance around its line, count as much as its group's say when
it has so many rows (ours)."""


@dataclass(frozen=True)
class FittedLine:
    """Judged on predicted: means in points of `rows` rows, the slope and its standard error
    (infinite where nothing is known of it). `squares` is the sum of squared differences of the
    predictions from their mean, `variance` that of the judged scores around the line, with `free`
    degrees of freedom."""

    rows: int
    judged_mean: float
    mean_prediction: float
    slope: float = 0.0
    error: float = np.inf
    squares: float = 0.0
    variance: float = 0.0
    free: int = 0


def fitted_line(guess: _Points, truth: _Points) -> FittedLine:
    """By least squares."""
    n = len(truth)
    if n == 0:
        return FittedLine(0, 0.0, 0.0)
    x, y = guess - guess.mean(), truth - truth.mean()
    return FittedLine(n, float(truth.mean()), float(guess.mean()), *_slope(x, y, n - 2))


def line_within_sources(
    guess: _Points, truth: _Points, sources: npt.NDArray[np.object_]
) -> FittedLine:
    """The slope within sources, of all of them together; means over all rows."""
    if len(truth) == 0:
        return FittedLine(0, 0.0, 0.0)
    x, y = guess - guess.mean(), truth - truth.mean()
    names = set(sources)
    for source in names:
        own = sources == source
        x[own] -= x[own].mean()
        y[own] -= y[own].mean()
    free = len(truth) - len(names) - 1
    return FittedLine(len(truth), float(truth.mean()), float(guess.mean()), *_slope(x, y, free))


def through_means(line: FittedLine, guess: _Points, truth: _Points) -> FittedLine:
    """The line with its slope, through the means of these rows."""
    if len(truth) == 0:
        return FittedLine(0, 0.0, 0.0)
    judged, predicted = float(truth.mean()), float(guess.mean())
    return replace(line, rows=len(truth), judged_mean=judged, mean_prediction=predicted)


def _slope(x: _Points, y: _Points, free: int) -> tuple[float, float, float, float, int]:
    """Of y on x, both centred: the slope, its standard error, squares, variance and `free`."""
    squares = float(x @ x)
    if free < 1 or squares < 1e-9:
        return 0.0, np.inf, squares, 0.0, 0
    slope = float(x @ y) / squares
    variance = float(((y - slope * x) ** 2).sum()) / free
    return slope, (variance / squares) ** 0.5, squares, variance, free


def drawn_towards(own: FittedLine, group: FittedLine) -> FittedLine:
    """The source's line drawn towards the group's: the slope that may be used as far as its error
    is larger than sources differ, the judged mean as far as its rows are few. Nothing is left to be
    taken off the slope: its error is 0."""
    of_group = used_slope(group)
    drawn = group.judged_mean + of_group * (own.mean_prediction - group.mean_prediction)
    mean = (own.rows * own.judged_mean + PRIOR_ROWS * drawn) / (own.rows + PRIOR_ROWS)
    own = replace(own, error=_steadied_error(own, group))
    precision = max(own.error, 1e-6) ** -2
    prior = 1 / (SPREAD_OF_SLOPES**2 + group.error**2)
    total = precision + prior
    slope = (precision * used_slope(own) + prior * of_group) / total if total else 0.0
    return replace(own, judged_mean=mean, slope=slope, error=0.0)


def _steadied_error(own: FittedLine, group: FittedLine) -> float:
    """The standard error, the variance drawn towards the group's: three rows may happen to lie on
    one line."""
    if np.isinf(own.error):
        return own.error
    of_own, of_group = own.free * own.variance, PRIOR_ROWS * group.variance
    variance = (of_own + of_group) / (own.free + PRIOR_ROWS)
    return float((variance / own.squares) ** 0.5)


def used_slope(line: FittedLine) -> float:
    """The slope less what may be noise: 0 when it is no larger than its error, whole when it is
    much larger, continuous between (the positive part of James and Stein); 0 to 1.5."""
    if line.slope <= line.error:
        return 0.0
    return min(MAX_SLOPE / ONE, line.slope * (1 - (line.error / line.slope) ** 2))
