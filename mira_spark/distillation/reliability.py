"""Where a student may be believed: its agreement with the judge by source and slot, and the gate.

All arrays are [rows, slots] in points, 0-10, of validation rows the calibration was not fitted on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mira_spark.settings.students import ReliabilitySettings

Points = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cell:
    """Agreement on one slot over one source's rows, or over all of the group's (source None).

    `spearman` is None where either side is constant, `mae` where there is no row, `judge_mae` (the
    judge against its own repeat) where no row was asked twice.
    """

    source: str | None
    slot: int
    rows: int
    mae: float | None
    spearman: float | None
    judge_mae: float | None
    reliable: bool


@dataclass(frozen=True)
class Gate:
    """Whether a student may become champion: what it does not meet and what it meets, each saying
    what was found and needed."""

    reasons: list[str]
    met: list[str]

    @property
    def passed(self) -> bool:
        """Nothing speaks against it."""
        return not self.reasons


def cells(
    predicted: Points,
    judged: Points,
    sources: Sequence[str],
    repeat_judged: Points,
    settings: ReliabilitySettings,
) -> list[Cell]:
    """The group's cells, then those of each source in order of name; NaN = not answered.

    A source's cell with fewer than `min_rows` rows is as reliable as the group's.
    """
    everything = np.ones(len(sources), bool)
    slots = range(judged.shape[1])
    names = np.asarray(sources, dtype=object)
    errors = np.abs(judged - repeat_judged)

    def cell(source: str | None, rows: Mask, slot: int, group: Cell | None) -> Cell:
        guess, truth = predicted[rows, slot], judged[rows, slot]
        known = ~(np.isnan(guess) | np.isnan(truth))
        guess, truth = guess[known], truth[known]
        mae = _mean(np.abs(guess - truth))
        rho = spearman(guess, truth)
        enough = len(truth) >= settings.min_rows
        reliable = enough and _good(mae, rho, settings)
        if group is not None and not enough:
            reliable = group.reliable
        return Cell(source, slot, len(truth), mae, rho, _mean(errors[rows, slot]), reliable)

    group_cells = [cell(None, everything, slot, None) for slot in slots]
    return group_cells + [
        cell(source, names == source, slot, group_cells[slot])
        for source in sorted(set(sources))
        for slot in slots
    ]


def _good(mae: float | None, rho: float | None, settings: ReliabilitySettings) -> bool:
    return (
        mae is not None
        and rho is not None
        and mae < settings.max_mae_points
        and rho >= settings.min_spearman
    )


def _mean(values: Points) -> float | None:
    known = values[~np.isnan(values)].astype(np.float64)
    return float(known.mean()) if len(known) else None


def spearman(a: Points, b: Points) -> float | None:
    """Rank correlation with ties at their mean rank; None where one side is constant."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: Points) -> npt.NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def masks(
    found: Sequence[Cell], sources: Sequence[str], settings: ReliabilitySettings
) -> tuple[dict[str, Mask], Mask]:
    """Which slots count for each of `sources`, and for the group, bool [slots].

    A source without cells, or with fewer than `min_slots` reliable ones, uses the group's.
    """
    by_source: dict[str | None, list[Cell]] = {}
    for cell in sorted(found, key=lambda cell: cell.slot):
        by_source.setdefault(cell.source, []).append(cell)
    group = np.array([cell.reliable for cell in by_source[None]], bool)
    own = {
        source: np.array([cell.reliable for cell in by_source.get(source, [])], bool)
        for source in sources
    }
    return {
        source: mask if mask.sum() >= settings.min_slots else group for source, mask in own.items()
    }, group


def mean_spearman(found: Sequence[Cell]) -> float | None:
    """The gate's figure: the mean over the group's reliable slots; None when there is none."""
    ranks = [
        c.spearman for c in found if c.source is None and c.reliable and c.spearman is not None
    ]
    return sum(ranks) / len(ranks) if ranks else None


def gate(
    found: Sequence[Cell], champion_spearman: float | None, settings: ReliabilitySettings
) -> Gate:
    """Whether the student may become champion; `champion_spearman` None: there is no champion yet.

    Give the champion's `mean_spearman` on the same validation rows.
    """
    group = [cell for cell in found if cell.source is None]
    reliable = sum(cell.reliable for cell in group)
    rows = max((cell.rows for cell in group), default=0)
    checks = [
        (
            reliable >= settings.min_slots,
            f"{reliable} of {len(group)} slots are reliable on {rows} validation rows; "
            f"needed {settings.min_slots}, each with MAE below {settings.max_mae_points:g} and "
            f"Spearman of at least {settings.min_spearman:g} on {settings.min_rows} rows",
        )
    ]
    mean = mean_spearman(found)
    if mean is not None:
        said = f"mean Spearman over reliable slots is {mean:.3f}; needed "
        needed = settings.min_gate_spearman
        checks.append((mean >= needed, f"{said}{needed:g}"))
    if mean is not None and champion_spearman is not None:
        least = champion_spearman - settings.max_champion_loss
        of_champion = f"the champion's {champion_spearman:.3f} less {settings.max_champion_loss:g}"
        checks.append((mean >= least, f"{said}{least:.3f}, {of_champion}"))
    return Gate([what for met, what in checks if not met], [what for met, what in checks if met])
