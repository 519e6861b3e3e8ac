"""How far the judge agrees with itself when asked about the same documents twice, by dimension.

Every figure follows from the 11 x 11 table of score pairs alone. To draw documents with replacement
is to draw such a table from a multinomial, so all resamples of a bootstrap are made at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["repeat", "reversed"]
_Scores = npt.NDArray[np.floating]
_Figures = npt.NDArray[np.float64]

_LEVELS = 11
RESAMPLES = 1_000
_LEVEL = np.arange(_LEVELS, dtype=np.float64)
_SHIFT = _LEVEL[None, :] - _LEVEL[:, None]
_APART = np.abs(_SHIFT)
_NEAR = (_APART <= 1).astype(np.float64)


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % bootstrap interval over documents (percentiles of 1,000 resamples,
    less those in which it is undefined).

    `value` is None where the figure is undefined, `low` and `high` also with fewer than two
    documents.
    """

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Agreement:
    """Two askings about the same documents on one dimension; `n` documents got a score in both.

    `kind` says how the second was asked: as the first, or with the rubric reversed. `null_in_one`
    is the share of all documents with a score in one asking and null in the other, None without
    documents. `kappa` and `alpha` are 1 for perfect agreement and 0 for chance, undefined where
    every score is the same. `mae` and `shift` (mean of second less first: the order effect where
    the rubric was reversed) are in points, `within_one` is the share at most one point apart.
    """

    slot: int
    kind: Kind
    n: int
    null_in_one: float | None
    kappa: Estimate
    alpha: Estimate
    mae: Estimate
    within_one: Estimate
    shift: Estimate


def by_slot(first: _Scores, second: _Scores, kind: Kind, seed: int) -> list[Agreement]:
    """The agreement of each slot of [documents, slots] scores, row by row the same document."""
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"scores of shapes {first.shape} and {second.shape}: expected two alike")
    return [
        agreement(first[:, slot], second[:, slot], slot, kind, seed)
        for slot in range(first.shape[1])
    ]


def agreement(first: _Scores, second: _Scores, slot: int, kind: Kind, seed: int) -> Agreement:
    """The agreement of two askings, whole scores from 0 to 10 with NaN for null, in pairs.

    The interval of a slot depends on its own scores and `seed` alone. ValueError for other
    scores.
    """
    nulls = np.isnan(first), np.isnan(second)
    both = ~(nulls[0] | nulls[1])
    table = _table(first[both], second[both])
    n = int(table.sum())
    resampled = np.random.default_rng(seed).multinomial(
        n, table.ravel() / max(n, 1), RESAMPLES if n > 1 else 0
    )
    tables = resampled.reshape(-1, _LEVELS, _LEVELS).astype(np.float64)

    def estimate(figure: Callable[[_Figures], _Figures]) -> Estimate:
        return _estimate(figure(table), figure(tables))

    return Agreement(
        slot=slot,
        kind=kind,
        n=n,
        null_in_one=float(np.mean(nulls[0] ^ nulls[1])) if len(first) else None,
        kappa=estimate(weighted_kappa),
        alpha=estimate(lambda t: ordinal_alpha(t + np.swapaxes(t, -1, -2))),
        mae=estimate(lambda t: _mean(t, _APART)),
        within_one=estimate(lambda t: _mean(t, _NEAR)),
        shift=estimate(lambda t: _mean(t, _SHIFT)),
    )


def weighted_kappa(tables: _Figures) -> _Figures:
    """Cohen's kappa with quadratic weights (Cohen 1968) of tables [..., levels, levels] of pairs;
    NaN where all scores are the same."""
    rows, columns = tables.sum(-1), tables.sum(-2)
    observed = (tables * _APART**2).sum((-1, -2))
    expected = _ratio(((rows @ _APART**2) * columns).sum(-1), rows.sum(-1))
    return 1 - _ratio(observed, expected)


def ordinal_alpha(coincidences: _Figures) -> _Figures:
    """Krippendorff's alpha with the ordinal metric of symmetric coincidence matrices [..., levels,
    levels]; NaN where all values are the same.

    Krippendorff 2011, Computing Krippendorff's Alpha-Reliability. Its ordinal distance, the sum of
    the counts from one level to the other less half of both ends', is that of their mid-ranks.
    """
    totals = coincidences.sum(-1)
    ranks = totals.cumsum(-1) - totals / 2
    distances = (ranks[..., :, None] - ranks[..., None, :]) ** 2
    observed = (coincidences * distances).sum((-1, -2))
    expected = (totals[..., :, None] * totals[..., None, :] * distances).sum((-1, -2))
    alpha: _Figures = 1 - (totals.sum(-1) - 1) * _ratio(observed, expected)
    return alpha


def _table(first: _Scores, second: _Scores) -> _Figures:
    pairs = np.stack([first, second])
    wrong = pairs[~np.isin(pairs, _LEVEL)]
    if len(wrong):
        raise ValueError(f"score {wrong[0]:g} is not an integer from 0 to 10")
    cells = (pairs[0] * _LEVELS + pairs[1]).astype(np.intp)
    table: _Figures = np.bincount(cells, minlength=_LEVELS**2).astype(np.float64)
    return table.reshape(_LEVELS, _LEVELS)


def _mean(tables: _Figures, values: _Figures) -> _Figures:
    return _ratio((tables * values).sum((-1, -2)), tables.sum((-1, -2)))


def _ratio(above: _Figures, below: _Figures) -> _Figures:
    """NaN where both are 0, which is where a figure is undefined."""
    with np.errstate(invalid="ignore"):
        quotient: _Figures = np.divide(above, below)
    return quotient


def _estimate(value: _Figures, resampled: _Figures) -> Estimate:
    defined = resampled[~np.isnan(resampled)]
    if np.isnan(value):
        return Estimate(None, None, None)
    if not len(defined):
        return Estimate(float(value), None, None)
    low, high = np.percentile(defined, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))
