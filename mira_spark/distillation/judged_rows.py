"""Labelled documents that figures are measured on, and resamples of them by domain.

Legend: n rows, B the original and its resamples (see `bootstrap`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mira_spark.distillation import bootstrap
from mira_spark.distillation.bootstrap import Figures, Index, Weights
from mira_spark.labels.agreement import Estimate
from mira_spark.lake.scale import POINT


@dataclass(frozen=True)
class JudgedRows:
    """Labelled documents, arrays [n]: verdicts in points, NaN = none; `domains` is what folds were
    cut by, and `folds` says which fold a document is in."""

    verdict: Figures
    reversed_verdict: Figures
    sources: Sequence[str]
    domains: Sequence[str]
    folds: npt.NDArray[np.integer]
    n_tokens: npt.NDArray[np.integer]
    n_bytes: npt.NDArray[np.integer]

    def only(self, rows: npt.NDArray[np.bool_] | Index) -> "JudgedRows":
        """The rows marked, or numbered."""
        names = np.array([self.sources, self.domains], object)[:, rows].tolist()
        arrays = (self.folds, self.n_tokens, self.n_bytes)
        verdicts = self.verdict[rows], self.reversed_verdict[rows]
        return JudgedRows(*verdicts, *names, *(column[rows] for column in arrays))


class ResampledRows(NamedTuple):
    """Rows that have a verdict and a prediction, and how often each resample draws them."""

    rows: JudgedRows
    weights: Weights

    def by_source(self, least: int) -> dict[str, Index]:
        """Where the rows of each source with at least so many rows are."""
        names = np.asarray(self.rows.sources, object)
        places = {source: np.flatnonzero(names == source) for source in sorted(set(names))}
        return {source: place for source, place in places.items() if len(place) >= least}

    def at(self, place: Index) -> "ResampledRows":
        """These rows alone, in the same resamples."""
        return ResampledRows(self.rows.only(place), self.weights[place])

    def estimate(self, figures: Figures) -> Estimate:
        """With an interval where the rows are of several domains."""
        return bootstrap.estimate(figures, len(set(self.rows.domains)))


def resampled(rows: JudgedRows, rounds: int, seed: int) -> ResampledRows:
    """The rows, and resamples of their domains."""
    return ResampledRows(rows, bootstrap.domain_resamples(rows.domains, rounds, seed))


def all_known(*columns: Figures) -> npt.NDArray[np.bool_]:
    """Where no column is NaN."""
    known: npt.NDArray[np.bool_] = ~np.isnan(np.stack(columns).sum(axis=0))
    return known


def as_points(quality: npt.NDArray[np.int16]) -> Figures:
    """Stored qualities in points; NaN where there is none."""
    return np.where(quality < 0, np.nan, quality / POINT)
