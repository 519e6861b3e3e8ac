"""What is to be said of a rubric when documents are scored on it: figures of each dimension and of
all together, and warnings in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

import numpy as np

from mira_spark.corpus.draws import draw
from mira_spark.rubrics import dimension_figures
from mira_spark.rubrics.dimension_figures import DimensionScores
from mira_spark.rubrics.separation import LEAST_AGREEMENT, LEAST_SPREAD, MOST_CORRELATED, MOST_NULL

Basis = Literal["labels", "pilot"]
LEAST_ALPHA = 0.5
"""Below it the dimensions have so little in common that their mean is hardly a scale."""
FEW_DOCUMENTS = 100
"""With fewer, a correlation is known to about 0.2 or worse."""


@dataclass(frozen=True)
class ScoredDocuments:
    """Documents scored on a rubric: by its labels, or by the pilot of its discovery. Both scores
    are [documents, slots], NaN where a dimension does not apply; the reversed also where it was not
    asked."""

    basis: Basis
    doc_ids: list[str]
    sources: list[str]
    scores: DimensionScores
    reversed_scores: DimensionScores


@dataclass(frozen=True)
class AuditedSlot:
    """Figures of one dimension, as `separation.Separation` has them; `highest_spread` is that of
    the source where it varies most, `nearest` the slot it is most correlated with, of either
    sign."""

    slot: int
    name: str
    applying: float
    most_applying: float
    spread: float | None
    highest_spread: float | None
    agreement: float | None
    item_rest: float
    nearest: int | None


@dataclass(frozen=True)
class Audit:
    """A rubric's figures. `correlations` [slots, slots] is the redundancy matrix, within sources;
    `effective_dimensions` the participation ratio of its eigenvalues; `alpha` is Cronbach's,
    standardised. `halves` are (effective dimensions, alpha) of two disjoint halves of the
    documents, by hash of doc_id."""

    source_group: str
    rubric_id: str
    basis: str
    documents: int
    slots: list[AuditedSlot]
    correlations: DimensionScores = field(repr=False, compare=False)
    effective_dimensions: float = 0.0
    alpha: float | None = None
    halves: tuple[tuple[float, float | None], ...] = ()
    warnings: tuple[str, ...] = ()


def audit(
    source_group: str, rubric_id: str, names: Sequence[str], scored: ScoredDocuments
) -> Audit:
    """The audit of a rubric with these dimensions, in slot order; `scored` has documents."""
    centred = dimension_figures.within_sources(scored.scores, scored.sources)
    r = dimension_figures.correlations(centred)
    slots = _slots(names, scored, centred, r)
    effective, alpha = (
        dimension_figures.effective_dimensions(r),
        dimension_figures.cronbach_alpha(r),
    )
    first = np.array([draw(doc_id, "half") < 0.5 for doc_id in scored.doc_ids])
    halves = [dimension_figures.correlations(centred[half]) for half in (first, ~first)]
    return Audit(
        source_group,
        rubric_id,
        scored.basis,
        len(scored.doc_ids),
        slots,
        r,
        effective,
        alpha,
        tuple(
            (dimension_figures.effective_dimensions(h), dimension_figures.cronbach_alpha(h))
            for h in halves
        ),
        tuple(_warnings(slots, r, effective, alpha, len(scored.doc_ids))),
    )


def _slots(
    names: Sequence[str], scored: ScoredDocuments, centred: DimensionScores, r: DimensionScores
) -> list[AuditedSlot]:
    shares = np.stack(
        list(dimension_figures.applying_shares(scored.scores, scored.sources).values())
    )
    spreads = dimension_figures.source_spreads(scored.scores, scored.sources)
    by_source = np.stack(list(spreads.values()))
    spread = dimension_figures.pooled_spread(centred, len(spreads))
    agreement = dimension_figures.agreement(scored.scores, scored.reversed_scores)
    item_rest = dimension_figures.item_rest(centred)
    others = np.abs(r) - np.eye(len(r)) * 2
    return [
        AuditedSlot(
            slot=slot,
            name=name,
            applying=float(shares[:, slot].mean()),
            most_applying=float(shares[:, slot].max()),
            spread=dimension_figures.known(spread[slot]),
            highest_spread=dimension_figures.known(_highest(by_source[:, slot])),
            agreement=dimension_figures.known(agreement[slot]),
            item_rest=float(item_rest[slot]),
            nearest=int(np.argmax(others[slot])) if len(names) > 1 else None,
        )
        for slot, name in enumerate(names)
    ]


def _warnings(
    slots: Sequence[AuditedSlot],
    r: DimensionScores,
    effective: float,
    alpha: float | None,
    documents: int,
) -> Iterator[str]:
    if documents < FEW_DOCUMENTS:
        yield f"{documents} documents are few: correlations are known to about 0.2 or worse"
    for each in slots:
        yield from _slot_warnings(each, documents)
    for one, other in combinations(slots, 2):
        if abs(r[one.slot, other.slot]) > MOST_CORRELATED:
            yield (
                f"slots {one.slot} and {other.slot}, {one.name!r} and {other.name!r}, say the "
                f"same: correlation {r[one.slot, other.slot]:.2f}"
            )
    if effective < len(slots) / 2:
        yield f"{len(slots)} dimensions are worth {effective:.1f} that are independent"
    if alpha is None or alpha < LEAST_ALPHA:
        shown = "undefined" if alpha is None else f"{alpha:.2f}"
        yield f"the dimensions have little in common (alpha {shown}): their mean is hardly a scale"


def _slot_warnings(each: AuditedSlot, documents: int) -> Iterator[str]:
    head = f"slot {each.slot}, {each.name!r},"
    if each.most_applying < 1 - MOST_NULL:
        yield f"{head} applies to no source: at most to {each.most_applying:.0%} of its documents"
    elif each.highest_spread is not None and each.highest_spread < LEAST_SPREAD:
        yield (
            f"{head} separates nothing: its scores vary by {each.highest_spread:.2f} points within "
            "a source at most"
        )
    if each.agreement is not None and each.agreement < LEAST_AGREEMENT:
        yield f"{head} is not judged alike in reversed order: agreement {each.agreement:.2f}"
    if each.item_rest < -2 / np.sqrt(documents):
        yield f"{head} goes against the others: item-rest correlation {each.item_rest:.2f}"


def _highest(values: DimensionScores) -> float:
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else np.nan
