"""Which candidates become the slots of a rubric: those that tell documents of a source apart.

A pilot has labelled some documents on all candidates. The rules, in order:

1. It applies: a candidate that applies to no more than half of the documents of every source is
   left out, as it would count in no verdict.
2. It varies: a candidate whose scores have a standard deviation below `LEAST_SPREAD` points in
   every source is left out. It may tell sources apart, but not documents.
3. The judge agrees with itself: where documents were asked about in reversed order, too, a
   candidate with an agreement below `LEAST_AGREEMENT` is left out.
4. It points the way the others do: as long as the mean of the others has a correlation with some
   candidate that is clearly negative, more than two standard errors below 0, the candidate with the
   lowest is left out. In a verdict its points would be taken off again by the others'.
5. It says something of its own: the candidates are gone through by how much they separate, which is
   their standard deviation within sources times the share of documents that they apply to. One
   whose correlation with one that is taken already is above `MOST_CORRELATED`, of either sign, is
   left out. So are those that come when all slots are taken.

All correlations are within sources. With fewer than `FEWEST_DOCUMENTS` nothing is known, and the
commonest candidates are taken, as many as there are slots.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mira_spark.rubrics import dimension_figures
from mira_spark.rubrics.dimension_figures import DimensionScores
from mira_spark.rubrics.rubric import MIN_DIMENSIONS

MOST_NULL = 0.5
"""Share of a source's documents without a score, above which a dimension does not apply to it."""
LEAST_SPREAD = 0.5
LEAST_AGREEMENT = 0.4
MOST_CORRELATED = 0.8
FEWEST_DOCUMENTS = 10


@dataclass(frozen=True)
class Separation:
    """What a pilot says of one candidate.

    `applying` is the mean over sources of the share of documents with a score; `spread` the
    standard deviation within sources in points, `source_spreads` that of each source that it is
    known of; `agreement` of the reversed asking with the first, 1 perfect, 0 chance; `item_rest`
    the correlation with the mean of the candidates that were left when it was taken or left out;
    `correlation` the one of most size with a slot that was taken before it. None where unknown.
    `reason` says why it is left out, None for one that is taken.
    """

    reason: str | None
    applying: float | None = None
    spread: float | None = None
    source_spreads: dict[str, float] | None = None
    agreement: float | None = None
    item_rest: float | None = None
    correlation: float | None = None


def separations(
    names: Sequence[str],
    scores: DimensionScores,
    reversed_scores: DimensionScores,
    sources: Sequence[str],
    most: int,
) -> list[Separation]:
    """What the pilot says of each candidate, in their order; at most `most` are taken.

    Both scores are [documents, candidates], NaN where one does not apply, the reversed also where
    it was not asked; `sources` is the source of each document.
    """
    if len(scores) < FEWEST_DOCUMENTS:
        why = (
            f"it is not among the {most} commonest, and the pilot has {len(scores)} documents only"
        )
        return [Separation(None if i < most else why) for i in range(len(names))]
    centred = dimension_figures.within_sources(scores, sources)
    spreads = dimension_figures.source_spreads(scores, sources)
    spread = dimension_figures.pooled_spread(centred, len(spreads))
    shares = dimension_figures.applying_shares(scores, sources)
    agreement = dimension_figures.agreement(scores, reversed_scores)
    reasons = _unfit(shares, spreads, agreement)
    left = [i for i in range(len(names)) if i not in reasons]
    left, item_rest = _same_direction(centred, left, reasons)
    applying = np.mean(list(shares.values()), axis=0)
    left.sort(key=lambda i: -spread[i] * applying[i])
    nearest = _distinct(names, dimension_figures.correlations(centred), left, most, reasons)
    return [
        Separation(
            reasons.get(i),
            applying=float(applying[i]),
            spread=dimension_figures.known(spread[i]),
            source_spreads={s: float(own[i]) for s, own in spreads.items() if own[i] == own[i]},
            agreement=dimension_figures.known(agreement[i]),
            item_rest=item_rest.get(i),
            correlation=nearest.get(i),
        )
        for i in range(len(names))
    ]


def _unfit(
    shares: Mapping[str, DimensionScores],
    spreads: Mapping[str, DimensionScores],
    agreement: DimensionScores,
) -> dict[int, str]:
    """Those that the first three rules leave out, and why."""
    reasons: dict[int, str] = {}
    most_applying = np.max(list(shares.values()), axis=0)
    highest = np.nan_to_num(list(spreads.values())).max(axis=0)
    for i, share in enumerate(most_applying):
        if share < 1 - MOST_NULL:
            reasons[i] = f"it applies to {share:.0%} of the documents of a source at most"
        elif highest[i] < LEAST_SPREAD:
            reasons[i] = f"its scores vary by {highest[i]:.2f} points within a source at most"
        elif agreement[i] < LEAST_AGREEMENT:
            reasons[i] = (
                f"asked in reversed order the judge agrees with itself by {agreement[i]:.2f}"
            )
    return reasons


def _same_direction(
    centred: DimensionScores, candidates: Sequence[int], reasons: dict[int, str]
) -> tuple[list[int], dict[int, float]]:
    """The candidates that the fourth rule leaves, whose reasons it adds for the others; and the
    item-rest correlation of all when they were taken or left out."""
    left, item_rest = list(candidates), dict[int, float]()
    n = (~np.isnan(centred)).sum(axis=0)
    while len(left) > MIN_DIMENSIONS:
        found = dimension_figures.item_rest(centred[:, left])
        item_rest |= {i: float(value) for i, value in zip(left, found, strict=True)}
        lowest = min(left, key=lambda i: item_rest[i])
        if item_rest[lowest] >= -2 / np.sqrt(n[lowest]):
            break
        reasons[lowest] = (
            f"it goes against the others: item-rest correlation {item_rest[lowest]:.2f}"
        )
        left.remove(lowest)
    return left, item_rest


def _distinct(
    names: Sequence[str],
    r: DimensionScores,
    ordered: Sequence[int],
    most: int,
    reasons: dict[int, str],
) -> dict[int, float]:
    """The correlation of each of `ordered` with the slot taken before that it is nearest to; adds
    the reasons of those that the last rule leaves out."""
    taken: list[int] = []
    nearest: dict[int, float] = {}
    for i in ordered:
        other = max(taken, key=lambda slot: abs(r[i, slot]), default=None)
        if other is not None:
            nearest[i] = float(r[i, other])
        if other is not None and abs(nearest[i]) > MOST_CORRELATED:
            reasons[i] = f"it says what {names[other]!r} says: correlation {nearest[i]:.2f}"
        elif len(taken) == most:
            reasons[i] = f"it separates less than the {most} that are taken"
        else:
            taken.append(i)
    return nearest
