"""What quality gives away of a document besides its quality: its source, and its length.

`quality` is [rows], any unit; NaN or negative = none, left out. Intervals are those of `bootstrap`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mira_spark.distillation import bootstrap
from mira_spark.distillation.bootstrap import ROUNDS, UNDEFINED
from mira_spark.labels.agreement import Estimate


@dataclass(frozen=True)
class SourceLeak:
    """`auc` as `source_leak` says; `chance` is what 95 of 100 shufflings of the sources stay
    below: folding lifts noise above 0.5, the more the fewer the rows."""

    auc: Estimate
    chance: float | None


def source_leak(
    quality: npt.NDArray[np.number], sources: Sequence[str], rounds: int = ROUNDS, seed: int = 0
) -> SourceLeak:
    """How well quality alone tells sources apart: 0.5 = not at all, 1 = the source can be read off.

    Each source against each other one, the area under the ROC curve, folded (below 0.5 it is the
    other way round); the mean over the pairs. Not against all others together: a source whose
    quality lies between two others would seem hidden. Resamples are folded as the original, so the
    interval may reach below 0.5. Undefined with one source.
    """
    known = quality >= 0
    names, codes = np.unique(np.asarray(sources, object)[known], return_inverse=True)
    if len(names) < 2:
        return SourceLeak(UNDEFINED, None)
    auc = bootstrap.aucs(quality[known], codes[:, None], bootstrap.resamples(codes, rounds, seed))
    unfolded = np.where(auc[:, :1] < 0.5, -1, 1)
    shuffled = np.random.default_rng(seed).permuted(np.tile(codes, (rounds, 1)), axis=1).T
    noise = bootstrap.aucs(quality[known], shuffled, np.ones((len(codes), 1)))
    return SourceLeak(
        bootstrap.estimate(bootstrap.mean(0.5 + unfolded * (auc - 0.5)), len(codes)),
        float(np.percentile(bootstrap.mean(0.5 + np.abs(noise - 0.5)), 95)) if rounds else None,
    )


def length_leak(
    quality: npt.NDArray[np.number], sizes: Sequence[int], rounds: int = ROUNDS, seed: int = 0
) -> Estimate:
    """Spearman of quality with the documents' bytes, over the group, drawn without regard to
    source."""
    known = quality >= 0
    weights = bootstrap.resamples([""] * int(known.sum()), rounds, seed)
    figures = bootstrap.rank_correlations(quality[known], np.asarray(sizes)[known], weights)
    return bootstrap.estimate(figures, len(weights))
