"""How the scores of dimensions behave over documents: spread, correlation, agreement.

All scores are float64 [documents, dimensions] in points of 0-10, NaN where a dimension does not
apply. Correlations and spreads are within sources: each source's mean is taken off first, so that a
dimension which only tells sources apart separates nothing.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

DimensionScores = npt.NDArray[np.float64]

FEWEST = 5
"""Documents with a score below which a spread in a source, or a correlation, is not known."""


def source_spreads(scores: DimensionScores, sources: Sequence[str]) -> dict[str, DimensionScores]:
    """Standard deviation of each dimension in each source [dimensions], by source; NaN where fewer
    than `FEWEST` documents have a score."""
    spreads, named = {}, np.array(sources, object)
    for source in sorted(set(sources)):
        own = scores[named == source]
        n = (~np.isnan(own)).sum(axis=0)
        squares = np.nansum((own - _means(own)) ** 2, axis=0)
        spreads[source] = np.where(n >= FEWEST, np.sqrt(squares / np.maximum(n - 1, 1)), np.nan)
    return spreads


def applying_shares(scores: DimensionScores, sources: Sequence[str]) -> dict[str, DimensionScores]:
    """The share of the documents of each source with a score [dimensions], by source."""
    known, named = ~np.isnan(scores), np.array(sources, object)
    return {source: known[named == source].mean(axis=0) for source in sorted(set(sources))}


def within_sources(scores: DimensionScores, sources: Sequence[str]) -> DimensionScores:
    """The scores less the mean of their source."""
    centred, named = np.full_like(scores, np.nan), np.array(sources, object)
    for source in set(sources):
        own = named == source
        centred[own] = scores[own] - _means(scores[own])
    return centred


def pooled_spread(centred: DimensionScores, n_sources: int) -> DimensionScores:
    """Standard deviation within sources [dimensions], over all of them; NaN without documents to
    tell."""
    n = (~np.isnan(centred)).sum(axis=0) - n_sources
    squares = np.nansum(centred**2, axis=0)
    return np.where(n > 0, np.sqrt(squares / np.maximum(n, 1)), np.nan)


def correlations(centred: DimensionScores) -> DimensionScores:
    """Pearson's of every two dimensions over the documents that have a score in both [dimensions,
    dimensions]. 0 where either is constant there or fewer than `FEWEST` have both; on the diagonal
    1, but 0 for a dimension that is constant everywhere."""
    known = (~np.isnan(centred)).astype(np.float64)
    filled = np.nan_to_num(centred)
    n = known.T @ known
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (filled.T @ known) / n
        covariances = (filled.T @ filled) / n - means * means.T
        variances = (filled.T**2 @ known) / n - means**2
        r = covariances / np.sqrt(variances * variances.T)
    r = np.where((n >= FEWEST) & (np.minimum(variances, variances.T) > 1e-9), r, 0.0)
    return np.clip(r, -1, 1)


def item_rest(centred: DimensionScores) -> DimensionScores:
    """Correlation of each dimension with the mean of the others in the same documents
    [dimensions], each dimension counted in units of its own spread; 0 where undefined."""
    spread = np.sqrt(np.nanmean(centred**2, axis=0, where=~np.isnan(centred)))
    units = centred / np.where(spread > 0, spread, np.inf)
    found = np.zeros(centred.shape[1])
    for item in range(centred.shape[1]):
        rest = _row_means(np.delete(units, item, axis=1))
        found[item] = correlations(np.stack([units[:, item], rest], axis=1))[0, 1]
    return found


def agreement(first: DimensionScores, second: DimensionScores) -> DimensionScores:
    """How far two askings about the same documents agree on each dimension [dimensions]: one less
    their mean squared difference as a share of what it would be if they had nothing to do with each
    other. 1 is perfect, 0 chance; NaN where fewer than `FEWEST` documents have both or all scores
    are the same."""
    both = ~(np.isnan(first) | np.isnan(second))
    n = both.sum(axis=0)
    a, b = np.where(both, first, np.nan), np.where(both, second, np.nan)
    apart = np.nansum((a - b) ** 2, axis=0) / np.maximum(n, 1)
    pooled = np.concatenate([a, b])
    by_chance = 2 * np.nansum((pooled - _means(pooled)) ** 2, axis=0) / np.maximum(2 * n, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((n >= FEWEST) & (by_chance > 0), 1 - apart / by_chance, np.nan)


def effective_dimensions(r: DimensionScores) -> float:
    """The participation ratio of the eigenvalues l of `correlations`, (sum l)**2 / sum l**2: as
    many as there are dimensions that vary where none is correlated with another, 1 where all say
    the same, 0 where none varies."""
    squares = float(np.sum(r**2))
    return float(np.trace(r) ** 2 / squares) if squares else 0.0


def cronbach_alpha(r: DimensionScores) -> float | None:
    """Standardised Cronbach's alpha of `correlations`, k r / (1 + (k - 1) r) of the k dimensions
    that vary and their mean correlation r; None with fewer than two or where it is undefined."""
    k = round(float(np.trace(r)))
    if k < 2:
        return None
    mean = (float(r.sum()) - k) / (k * (k - 1))
    below = 1 + (k - 1) * mean
    return k * mean / below if below > 0 else None


def known(value: float) -> float | None:
    """The figure; None where it is NaN."""
    return None if np.isnan(value) else float(value)


def _means(scores: DimensionScores) -> DimensionScores:
    """Of each dimension; 0 where no document has a score."""
    n = (~np.isnan(scores)).sum(axis=0)
    means: DimensionScores = np.nansum(scores, axis=0) / np.maximum(n, 1)
    return means


def _row_means(scores: DimensionScores) -> DimensionScores:
    n = (~np.isnan(scores)).sum(axis=1)
    return np.where(n > 0, np.nansum(scores, axis=1) / np.maximum(n, 1), np.nan)
