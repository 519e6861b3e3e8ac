"""Resamples of measured rows, and figures computed anew in each of them, exactly.

Rows are drawn with replacement within their stratum. Ranks are exact too, ties at their mean rank.

Legend: n rows, B the original and its resamples. Weights [n, B] say how often a row was drawn; the
original comes first, so that it and its resamples go through the same arithmetic.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from mira_spark.labels.agreement import Estimate

Figures = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Weights = npt.NDArray[np.uint16]

ROUNDS = 500
UNDEFINED = Estimate(None, None, None)
_AT_ONCE = 64  # resamples computed together: their ranks stay in the processor's cache


def resamples(strata: Sequence[Any] | npt.NDArray[Any], rounds: int, seed: int) -> Weights:
    """How often each row is drawn, [n, B], within rows of the same stratum."""
    random = np.random.default_rng(seed)
    _, which, counts = np.unique(np.asarray(strata, str), return_inverse=True, return_counts=True)
    weights = np.ones((len(which), 1 + rounds), np.uint16)
    for stratum, count in enumerate(counts):
        draws = random.multinomial(count, np.full(count, 1 / count), rounds)
        weights[which == stratum, 1:] = draws.T
    return weights


def rank_correlations(
    a: npt.NDArray[Any], b: npt.NDArray[Any], weights: npt.NDArray[Any]
) -> Figures:
    """Spearman of each resample [B]; NaN where one side is constant in it."""
    sides = _levels(a), _levels(b)
    correlations = []
    for block in _blocks(weights):
        drawn = weights[:, block].astype(np.float64)
        (of_a, spread_a), (of_b, spread_b) = (_ranks(side, drawn) for side in sides)
        covariance = np.einsum("nb,nb,nb->b", drawn, of_a, of_b)
        correlations.append(ratio(covariance, np.sqrt(spread_a * spread_b)))
    return np.clip(np.concatenate(correlations), -1, 1)


def aucs(values: npt.NDArray[Any], codes: npt.NDArray[Any], weights: npt.NDArray[Any]) -> Figures:
    """How often a row of one code is above a row of another, ties half, [pairs of codes, B];
    `codes` and `weights` [n, B] or [n, 1]."""
    codes, weights = np.broadcast_arrays(codes, weights)
    order, starts, _ = _levels(values)
    areas = []
    for block in _blocks(weights):
        own, drawn = codes[order, block], weights[order, block]
        counts = [
            np.add.reduceat(np.where(own == code, drawn, 0.0), starts, axis=0)
            for code in range(codes.max() + 1)
        ]
        below = [count.cumsum(axis=0) - count / 2 for count in counts]
        totals = [count.sum(axis=0) for count in counts]
        areas.append(
            [
                ratio((counts[a] * below[b]).sum(axis=0), totals[a] * totals[b])
                for a, b in combinations(range(len(counts)), 2)
            ]
        )
    return np.concatenate(areas, axis=1)


def mean(figures: Figures) -> Figures:
    """The mean over the first axis of what is defined; NaN where nothing is."""
    known = ~np.isnan(figures)
    return ratio(np.where(known, figures, 0).sum(axis=0), known.sum(axis=0))


def ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Figures:
    """NaN where `below` is 0, which is where a figure is undefined."""
    quotient: Figures = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=quotient, where=below > 0)
    return quotient


def estimate(figures: Figures, rows: int) -> Estimate:
    """From the original's figure and its resamples', of which the undefined ones are left out."""
    if np.isnan(figures[0]):
        return UNDEFINED
    defined = figures[1:][~np.isnan(figures[1:])]
    if rows < 2 or not len(defined):
        return Estimate(float(figures[0]), None, None)
    low, high = np.percentile(defined, [2.5, 97.5])
    return Estimate(float(figures[0]), float(low), float(high))


def _levels(values: npt.NDArray[Any]) -> tuple[Index, Index, Index]:
    """(order, starts, level): rows in order of value, where in that order each distinct value
    starts, and each row's."""
    _, level, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.argsort(level, kind="stable"), np.cumsum(counts) - counts, level


def _blocks(weights: npt.NDArray[Any]) -> Iterator[slice]:
    return (slice(at, at + _AT_ONCE) for at in range(0, weights.shape[1], _AT_ONCE))


def _ranks(side: tuple[Index, Index, Index], drawn: Figures) -> tuple[Figures, Figures]:
    """Mean ranks less their mean [n, B], and their sum of squares [B]: exactly 0 if all tie."""
    order, starts, level = side
    counts = np.add.reduceat(drawn[order], starts, axis=0)
    ranks = counts.cumsum(axis=0) - counts / 2 - counts.sum(axis=0) / 2
    return ranks[level], (counts * ranks**2).sum(axis=0)
