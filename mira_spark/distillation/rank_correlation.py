"""Spearman's rank correlation, exact, with ties at their mean rank."""

import numpy as np
import numpy.typing as npt

from mira_spark.labels.agreement import Estimate

_Points = npt.NDArray[np.floating]


def spearman(a: _Points, b: _Points) -> Estimate:
    """`rank_correlation` with Fisher's interval (Bonett and Wright 2000), rows taken as
    independent."""
    rank = rank_correlation(a, b)
    if rank is None or len(a) < 4:
        return Estimate(rank, None, None)
    z = np.arctanh(min(max(rank, -0.999999), 0.999999))
    half = 1.96 * np.sqrt((1 + rank**2 / 2) / (len(a) - 3))
    return Estimate(rank, float(np.tanh(z - half)), float(np.tanh(z + half)))


def rank_correlation(a: _Points, b: _Points) -> float | None:
    """Spearman's, ties at their mean rank; None where one side is constant."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: _Points) -> npt.NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
