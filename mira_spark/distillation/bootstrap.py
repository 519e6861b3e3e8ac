"""Resamples of measured rows, and figures computed anew in each of them, exactly.

Rows are drawn with replacement within their stratum, or whole domains of rows. Ranks are exact too,
ties at their mean rank.

Legend: n rows, B the original and its resamples. Weights [n, B] say how often a row was drawn; the
original comes first, so that it and its resamples go through the same arithmetic.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mira_spark.labels.agreement import Estimate

Figures = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Weights = npt.NDArray[np.uint16]

ROUNDS = 500
UNDEFINED = Estimate(None, None, None)
ROUNDING = 1e-9
"""What is less is the rounding of a figure that is 0."""
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


def domain_resamples(domains: Sequence[str], rounds: int, seed: int) -> Weights:
    """How often each row is drawn, [n, B], where whole domains are drawn: rows of one domain are
    alike, and drawing them one by one would make intervals too narrow."""
    names, which = np.unique(np.asarray(domains, str), return_inverse=True)
    drawn: Weights = resamples([""] * len(names), rounds, seed)[which]
    return drawn


def rank_correlations(
    predicted: npt.NDArray[Any], truth: npt.NDArray[Any], weights: npt.NDArray[Any]
) -> Figures:
    """Spearman of each resample [B]: 0 where the prediction is constant, which ranks nothing; NaN
    where the truth is, where there is nothing to rank."""
    sides = _levels(predicted), _levels(truth)
    blocks = []
    for block in _blocks(weights):
        drawn = weights[:, block].astype(np.float64)
        (guess, guess_spread), (rank, spread) = (_ranks(side, drawn) for side in sides)
        covariance = np.einsum("nb,nb,nb->b", drawn, guess, rank)
        correlation = np.nan_to_num(ratio(covariance, np.sqrt(guess_spread * spread)))
        blocks.append(np.where(spread > 0, correlation, np.nan))
    correlations: Figures = np.clip(np.concatenate(blocks), -1, 1)
    return correlations


def selection_gains(
    predicted: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    n_tokens: npt.NDArray[Any],
    weights: npt.NDArray[Any],
    shares: Sequence[float],
) -> Figures:
    """The token-weighted mean of `truth` over the share of the tokens with the highest predictions,
    less that over all tokens, [shares, B]; NaN without tokens.

    The last document counts in part. Rows of one prediction count as their mean, so that no order
    among them matters.
    """
    order, starts, _ = _levels(-predicted)
    centred = (truth - truth.mean())[order, None] if len(truth) else truth[:, None]
    gains = np.full((len(shares), weights.shape[1]), np.nan)
    for block in _blocks(weights):
        drawn = weights[order, block] * n_tokens[order, None].astype(np.float64)
        curves = zip(
            _cumulated(drawn, starts).T, _cumulated(drawn * centred, starts).T, strict=True
        )
        for column, (tokens, points) in enumerate(curves, block.start):
            if tokens[-1] > 0:
                budgets = np.asarray(shares) * tokens[-1]
                selected = np.interp(budgets, tokens, points) / budgets
                gains[:, column] = selected - points[-1] / tokens[-1]
    return gains


def variance_between(
    values: npt.NDArray[Any], sources: Sequence[str], weights: npt.NDArray[Any]
) -> Figures:
    """The share of the variance of `values` that lies between sources (eta squared) [B], 0 to 1;
    NaN where they are constant."""
    _, codes = np.unique(np.asarray(sources, str), return_inverse=True)
    order, starts, _ = _levels(codes)
    centred = (values - values.mean())[order, None] if len(values) else values[:, None]
    blocks = []
    for block in _blocks(weights):
        drawn = weights[order, block].astype(np.float64)
        rows = np.add.reduceat(drawn, starts, axis=0)
        sums = np.add.reduceat(drawn * centred, starts, axis=0)
        at_mean = ratio(sums.sum(axis=0) ** 2, rows.sum(axis=0))
        between = np.nansum(ratio(sums**2, rows), axis=0) - at_mean
        whole = (drawn * centred**2).sum(axis=0) - at_mean
        blocks.append(ratio(between, np.where(whole > ROUNDING, whole, 0)))
    shares: Figures = np.clip(np.concatenate(blocks), 0, 1)
    return shares


def mean(figures: Figures, weights: npt.NDArray[Any] | float = 1.0) -> Figures:
    """The weighted mean over the first axis of what is defined; NaN where nothing is."""
    counted = np.where(np.isnan(figures), 0, weights)
    return ratio((np.nan_to_num(figures) * counted).sum(axis=0), counted.sum(axis=0))


def ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Figures:
    """NaN where `below` is 0, which is where a figure is undefined."""
    quotient: Figures = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=quotient, where=below > 0)
    return quotient


def estimate(figures: Figures, drawn: int) -> Estimate:
    """From the original's figure and its resamples', of which the undefined ones are left out.

    `drawn` is how many rows, or domains of rows, the resamples draw from: with fewer than two of
    them there is no interval.
    """
    if np.isnan(figures[0]):
        return UNDEFINED
    defined = figures[1:][~np.isnan(figures[1:])]
    if drawn < 2 or not len(defined):
        return Estimate(float(figures[0]), None, None)
    low, high = np.percentile(defined, [2.5, 97.5])
    return Estimate(float(figures[0]), float(low), float(high))


def _levels(values: npt.NDArray[Any]) -> tuple[Index, Index, Index]:
    """(order, starts, level): rows in order of value, where in that order each distinct value
    starts, and each row's."""
    _, level, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.argsort(level, kind="stable"), np.cumsum(counts) - counts, level


def _cumulated(values: Figures, starts: Index) -> Figures:
    """Sums of the levels up to each, from none on: [1 + levels, B]."""
    levels = np.add.reduceat(values, starts, axis=0)
    return np.concatenate([np.zeros((1, values.shape[1])), levels.cumsum(axis=0)])


def _blocks(weights: npt.NDArray[Any]) -> Iterator[slice]:
    return (slice(at, at + _AT_ONCE) for at in range(0, weights.shape[1], _AT_ONCE))


def _ranks(side: tuple[Index, Index, Index], drawn: Figures) -> tuple[Figures, Figures]:
    """Mean ranks less their mean [n, B], and their sum of squares [B]: exactly 0 if all tie."""
    order, starts, level = side
    counts = np.add.reduceat(drawn[order], starts, axis=0)
    ranks = counts.cumsum(axis=0) - counts / 2 - counts.sum(axis=0) / 2
    return ranks[level], (counts * ranks**2).sum(axis=0)
