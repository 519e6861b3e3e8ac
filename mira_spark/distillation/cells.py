"""What is known of a student on each slot of each source, and the quality table made of it.

A cell is a source and a slot. All arrays are [rows, slots] in points, 0-10, of labelled rows that
the student did not learn from; NaN = not answered. Rows that are copies, spoilt on purpose, help to
find the slopes: how far the judge moves where the student's score does. All else is of documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mira_spark.distillation.fitted_line import (
    FittedLine,
    drawn_towards,
    fitted_line,
    line_within_sources,
    through_means,
    used_slope,
)
from mira_spark.distillation.rank_correlation import spearman
from mira_spark.labels import verdict
from mira_spark.labels.agreement import Estimate
from mira_spark.lake.scale import FULL_SCALE, POINT
from mira_spark.settings.students import QualitySettings
from mira_spark.students.quality import MAX_SLOPE, QualityTable, SourceCells
from mira_spark.students.shrunk_rule import ONE

Points = npt.NDArray[np.floating]

FEWEST_CEILING = 10


@dataclass(frozen=True)
class Cell:
    """One slot of one source, or of all of the group's rows (source None).

    `rows` were judged, `nulls` were not. `line` is what the rule uses: drawn towards the group's
    where rows are few. `spearman` has no value where either side is constant, `mae` where there is
    no row. `ceiling` is the judge's Spearman with itself, asked with the rubric reversed. `reason`
    says why the cell `counts`, or why not.
    """

    source: str | None
    slot: int
    rows: int
    nulls: int
    applies: bool
    line: FittedLine
    weight: float
    mae: float | None
    spearman: Estimate
    ceiling: float | None
    counts: bool
    reason: str

    @property
    def slope(self) -> float:
        """As the shrunk rule uses it, 0 to 1.5."""
        return used_slope(self.line)


def cells(
    predicted: Points,
    judged: Points,
    reversed_judged: Points,
    sources: Sequence[str],
    is_copy: npt.NDArray[np.bool_],
    weights: Sequence[int],
    settings: QualitySettings,
) -> list[Cell]:
    """The group's cells, then those of each source in order of name, by slot. `is_copy` marks the
    rows that are spoilt copies, `weights` are the rubric's, thousandths."""
    names = np.asarray(sources, dtype=object)
    known = ~np.isnan(judged)
    documents = judged[~is_copy]
    applying = verdict.applies(documents, names[~is_copy].tolist())
    of_group = verdict.applies(documents, [""] * len(documents)).get("")
    if of_group is None:
        of_group = np.zeros(len(weights), bool)
    found: list[Cell] = []
    for source in [None, *sorted(applying)]:
        with_copies = np.ones(len(names), bool) if source is None else names == source
        rows = with_copies & ~is_copy
        for slot, weight in enumerate(weights):
            answered, own = with_copies & known[:, slot], rows & known[:, slot]
            guess, truth = predicted[own, slot].astype(float), judged[own, slot].astype(float)
            both = predicted[answered, slot].astype(float), judged[answered, slot].astype(float)
            if source is None:
                line, above = line_within_sources(*both, names[answered]), None
                line = through_means(line, guess, truth)
            else:
                above = found[slot]
                line = drawn_towards(through_means(fitted_line(*both), guess, truth), above.line)
            applies = bool((of_group if source is None else applying[source])[slot])
            mae = float(np.abs(guess - truth).mean()) if len(guess) else None
            rank = spearman(guess, truth)
            counts, reason = _decided(
                settings, applies, weight, (len(truth), int(rows.sum())), mae, rank.value, above
            )
            asked = own & ~np.isnan(reversed_judged[:, slot])
            ceiling = spearman(judged[asked, slot], reversed_judged[asked, slot]).value
            found.append(
                Cell(
                    source, slot, len(truth), int(rows.sum()) - len(truth), applies, line,
                    weight / ONE, mae, rank, ceiling if asked.sum() >= FEWEST_CEILING else None,
                    counts, reason,
                )
            )  # fmt: skip
    return found


def quality_table(
    found: Sequence[Cell], weights: Sequence[int], settings: QualitySettings
) -> QualityTable:
    """The cells as a rule applies them. A source of whose slots too few count (fewer than
    `min_slots` under the paper's rule, none under the shrunk) uses the group's."""
    by_source: dict[str | None, list[Cell]] = {}
    for cell in sorted(found, key=lambda cell: cell.slot):
        by_source.setdefault(cell.source, []).append(cell)
    fewest = settings.min_slots if settings.rule == "paper" else 1
    return QualityTable(
        rule=settings.rule,
        weights=tuple(weights),
        group=_source_cells(by_source[None]),
        sources={
            source: _source_cells(own)
            for source, own in by_source.items()
            if source is not None and sum(cell.counts for cell in own) >= fewest
        },
    )


def _source_cells(own: Sequence[Cell]) -> SourceCells:
    def thousandths(values: Sequence[float], most: int) -> tuple[int, ...]:
        return tuple(min(most, max(0, int(np.floor(v * ONE + 0.5)))) for v in values)

    return SourceCells(
        counts=tuple(cell.counts for cell in own),
        judged_mean=thousandths([cell.line.judged_mean for cell in own], FULL_SCALE),
        mean_prediction=thousandths([cell.line.mean_prediction for cell in own], FULL_SCALE),
        slope=thousandths([used_slope(cell.line) for cell in own], MAX_SLOPE),
    )


def _decided(
    settings: QualitySettings,
    applies: bool,
    weight: int,
    rows: tuple[int, int],
    mae: float | None,
    rank: float | None,
    group: Cell | None,
) -> tuple[bool, str]:
    """Whether a cell counts, and why; `rows` are those judged and all."""
    judged, total = rows
    if not applies:
        return False, f"does not apply: {total - judged} of {total} labels have no score for it"
    if settings.rule == "shrunk":
        return (True, "applies") if weight else (False, "its weight is 0")
    if judged < settings.min_rows and group is not None:
        return group.counts, f"has {judged} rows, needed {settings.min_rows}: as in the group"
    if mae is None or rank is None:
        return False, "the judge or the student gave one score to all"
    good = mae < settings.max_mae_points and rank >= settings.min_spearman
    return good and judged >= settings.min_rows, (
        f"MAE {mae:.2f}, needed below {settings.max_mae_points:g}; Spearman {rank:.2f}, needed "
        f"{settings.min_spearman:g}; {judged} rows, needed {settings.min_rows}"
    )


def in_points(thousandths: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Stored scores as points."""
    return thousandths.astype(np.float64) / POINT
