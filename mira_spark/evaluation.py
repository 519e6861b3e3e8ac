"""How well a student and its references predict the judge, with intervals, and what leaks.

Arrays are [rows, slots] in points of 0-10, NaN = not answered, of validation rows nothing was
fitted on. Every interval is a percentile bootstrap: documents are drawn with replacement within
their source, so the mix of sources stays, and every figure is computed anew for each resample,
exactly: ranks too, ties at their mean rank. One seed gives all figures the same resamples.

Legend: n rows, B the original and its resamples. Weights [n, B] say how often a row was drawn; the
original comes first, so that it and its resamples go through the same arithmetic.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mira_spark.agreement import Estimate
from mira_spark.reliability import Mask, Points

Figures = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Weights = npt.NDArray[np.uint16]

JUDGE = "judge"
"""The ceiling: the judge's second answer as a prediction of its first."""
ROUNDS = 500
AT_ONCE = 64  # resamples computed together: their ranks stay in the processor's cache
NAME_LENGTH = 100
_UNDEFINED = Estimate(None, None, None)


@dataclass(frozen=True)
class Measured:
    """A predictor beside the judge on one slot (None: the mean over the reliable slots that have
    the figure) of one source's rows (None: all of the group's).

    `rows` have both answers, in some reliable slot where `slot` is None. `spearman` is undefined
    where either side is constant, `mae` where there is no row.
    """

    source: str | None
    slot: int | None
    predictor: str
    rows: int
    mae: Estimate
    spearman: Estimate


@dataclass(frozen=True)
class SourceLeak:
    """`auc` as `source_leak` says; `chance` is what 95 of 100 shufflings of the sources stay
    below: folding lifts noise above 0.5, the more the fewer the rows."""

    auc: Estimate
    chance: float | None


def measure(
    predicted: Mapping[str, Points],
    judged: Points,
    repeat_judged: Points,
    sources: Sequence[str],
    reliable: Mask,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> list[Measured]:
    """All predictors and `judge`, on the group and then on each source in order of name; of each
    the mean over `reliable` slots first, then every slot.

    `predicted` is predictor to predictions; `reliable` bool [slots]. The judge is measured where it
    was asked twice: fewer rows, and errors of both its answers.
    """
    everyone = {**predicted, JUDGE: repeat_judged}
    _check_alike(len(sources), judged, *everyone.values())
    if JUDGE in predicted:
        raise ValueError(f"{JUDGE!r} is measured from repeat_judged: expected another name")
    weights = _drawn(sources, rounds, seed)
    names = np.asarray(sources, object)
    found: list[Measured] = []
    for source in [None, *sorted(set(sources))]:
        rows = np.full(len(names), True) if source is None else names == source
        for predictor, points in everyone.items():
            found += _measured(
                source, predictor, points[rows], judged[rows], weights[rows], reliable
            )
    return found


def _measured(
    source: str | None,
    predictor: str,
    points: Points,
    judged: Points,
    weights: Weights,
    reliable: Mask,
) -> Iterator[Measured]:
    known = ~(np.isnan(points) | np.isnan(judged))
    slots = range(judged.shape[1])
    maes = np.full((len(slots), weights.shape[1]), np.nan)
    ranks = maes.copy()
    for slot in slots:
        rows = known[:, slot]
        guess, truth, drawn = points[rows, slot], judged[rows, slot], weights[rows]
        errors = np.abs(guess - truth).astype(np.float64)
        maes[slot] = _ratio(errors @ drawn, drawn.sum(axis=0))
        ranks[slot] = _rank_correlations(guess, truth, drawn)
    whole = int(known[:, reliable].any(axis=1).sum())
    mae, rank = _mean(maes[reliable]), _mean(ranks[reliable])
    yield Measured(source, None, predictor, whole, _estimate(mae, whole), _estimate(rank, whole))
    for slot in slots:
        n = int(known[:, slot].sum())
        yield Measured(
            source, slot, predictor, n, _estimate(maes[slot], n), _estimate(ranks[slot], n)
        )


def within_source_gain(
    student: Points,
    reference: Points,
    judged: Points,
    sources: Sequence[str],
    reliable: Mask,
    min_rows: int = 10,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Estimate:
    """How much better the student ranks inside a source: the difference of mean Spearman, the mean
    over sources and reliable slots with `min_rows` rows that all three answered.

    Student and reference are compared in the same resamples. A constant prediction ranks nothing
    and counts 0, as the source's mean always does; where the judge is constant there is nothing to
    rank and the cell is left out for both.
    """
    _check_alike(len(sources), student, reference, judged)
    weights = _drawn(sources, rounds, seed)
    names = np.asarray(sources, object)
    known = ~(np.isnan(student) | np.isnan(reference) | np.isnan(judged))
    gains = [np.full(weights.shape[1], np.nan)]
    for source in sorted(set(sources)):
        for slot in np.flatnonzero(reliable):
            rows = (names == source) & known[:, slot]
            if rows.sum() >= min_rows:
                truth, drawn = judged[rows, slot], weights[rows]
                of_student = _rank_correlations(student[rows, slot], truth, drawn)
                of_reference = _rank_correlations(reference[rows, slot], truth, drawn)
                gain = np.nan_to_num(of_student) - np.nan_to_num(of_reference)
                varies = ~np.isnan(_rank_correlations(truth, truth, drawn))
                gains.append(np.where(varies, gain, np.nan))
    return _estimate(_mean(np.stack(gains)), len(sources))


def source_leak(
    quality: npt.NDArray[np.number], sources: Sequence[str], rounds: int = ROUNDS, seed: int = 0
) -> SourceLeak:
    """How well quality alone tells sources apart: 0.5 = not at all, 1 = the source can be read off.

    Each source against each other one, the area under the ROC curve, folded (below 0.5 it is the
    other way round); the mean over the pairs. Not against all others together: a source whose
    quality lies between two others would seem hidden. Resamples are folded as the original, so the
    interval may reach below 0.5. `quality` [rows], any unit; NaN or negative = none, left out.
    Undefined with one source.
    """
    known = quality >= 0
    names, codes = np.unique(np.asarray(sources, object)[known], return_inverse=True)
    if len(names) < 2:
        return SourceLeak(_UNDEFINED, None)
    auc = _aucs(quality[known], codes[:, None], _drawn(codes, rounds, seed))
    unfolded = np.where(auc[:, :1] < 0.5, -1, 1)
    shuffled = np.random.default_rng(seed).permuted(np.tile(codes, (rounds, 1)), axis=1).T
    noise = _aucs(quality[known], shuffled, np.ones((len(codes), 1)))
    return SourceLeak(
        _estimate(_mean(0.5 + unfolded * (auc - 0.5)), len(codes)),
        float(np.percentile(_mean(0.5 + np.abs(noise - 0.5)), 95)) if rounds else None,
    )


def length_leak(
    quality: npt.NDArray[np.number], sizes: Sequence[int], rounds: int = ROUNDS, seed: int = 0
) -> Estimate:
    """Spearman of quality with the documents' bytes, over the group, drawn without regard to
    source; `quality` as in `source_leak`."""
    known = quality >= 0
    weights = _drawn([""] * int(known.sum()), rounds, seed)
    figures = _rank_correlations(quality[known], np.asarray(sizes)[known], weights)
    return _estimate(figures, len(weights))


def metrics(measured: Sequence[Measured], others: Mapping[str, Estimate]) -> dict[str, float]:
    """What MLflow gets, in the order given: by predictor the means over slots with intervals, of
    the group and of each source, and the slots of the group without; then `others` by name.

    Named `student/spearman`, `student/spearman_low`, `student/source/NAME/mae`,
    `student/slot_03/mae`; of names only a-z, 0-9, _ and - stay, two alike are numbered. Undefined
    figures are left out. All cells are in `frame`.
    """
    slugs = _slugs(sorted({m.source for m in measured if m.source is not None}))
    found: dict[str, Any] = {}
    for m in measured:
        place = m.predictor if m.source is None else f"{m.predictor}/source/{slugs[m.source]}"
        if m.slot is None:
            found |= _flat(f"{place}/mae", m.mae) | _flat(f"{place}/spearman", m.spearman)
        elif m.source is None:
            slot = f"{place}/slot_{m.slot:02d}"
            found |= {f"{slot}/mae": m.mae.value, f"{slot}/spearman": m.spearman.value}
    for name, estimate in others.items():
        found |= _flat(name, estimate)
    return {name: value for name, value in found.items() if value is not None}


def frame(measured: Sequence[Measured]) -> pd.DataFrame:
    """One row per measured cell and predictor; `source` None: the group, `slot` NA: the mean over
    reliable slots, NaN: undefined."""
    rows: list[dict[str, Any]] = [
        {"source": m.source, "slot": m.slot, "predictor": m.predictor, "rows": m.rows}
        | _flat("mae", m.mae)
        | _flat("spearman", m.spearman)
        for m in measured
    ]
    figures = [*_flat("mae", _UNDEFINED), *_flat("spearman", _UNDEFINED)]
    frame = pd.DataFrame(rows, columns=["source", "slot", "predictor", "rows", *figures])
    kinds = {"slot": "Int64", "rows": "int64"} | dict.fromkeys(figures, "float64")
    return frame.astype(kinds)


def _flat(name: str, estimate: Estimate) -> dict[str, Any]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _slugs(names: Sequence[str]) -> dict[str, str]:
    """Names as parts of metric names; two that would be the same get a number."""
    slugs: dict[str, str] = {}
    for name in names:
        plain = re.sub("[^a-z0-9_-]", "_", name.lower())[:NAME_LENGTH] or "_"
        slug, number = plain, 2
        while slug in slugs.values():
            slug, number = f"{plain}-{number}", number + 1
        slugs[name] = slug
    return slugs


def _check_alike(rows: int, *points: Points) -> None:
    shapes = {p.shape for p in points}
    if len(shapes) > 1 or any(len(shape) != 2 or shape[0] != rows for shape in shapes):
        raise ValueError(
            f"arrays of shapes {sorted(shapes)} for {rows} rows: expected [rows, slots], all alike"
        )


def _drawn(strata: Sequence[Any] | npt.NDArray[Any], rounds: int, seed: int) -> Weights:
    """How often each row is drawn, [n, B], within rows of the same stratum."""
    random = np.random.default_rng(seed)
    _, which, counts = np.unique(np.asarray(strata, str), return_inverse=True, return_counts=True)
    weights = np.ones((len(which), 1 + rounds), np.uint16)
    for stratum, count in enumerate(counts):
        draws = random.multinomial(count, np.full(count, 1 / count), rounds)
        weights[which == stratum, 1:] = draws.T
    return weights


def _levels(values: npt.NDArray[Any]) -> tuple[Index, Index, Index]:
    """(order, starts, level): rows in order of value, where in that order each distinct value
    starts, and each row's."""
    _, level, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.argsort(level, kind="stable"), np.cumsum(counts) - counts, level


def _blocks(weights: npt.NDArray[Any]) -> Iterator[slice]:
    return (slice(at, at + AT_ONCE) for at in range(0, weights.shape[1], AT_ONCE))


def _rank_correlations(
    a: npt.NDArray[Any], b: npt.NDArray[Any], weights: npt.NDArray[Any]
) -> Figures:
    """Spearman of each resample [B]; NaN where one side is constant in it."""
    sides = _levels(a), _levels(b)
    found = []
    for block in _blocks(weights):
        drawn = weights[:, block].astype(np.float64)
        (of_a, spread_a), (of_b, spread_b) = (_ranks(side, drawn) for side in sides)
        covariance = np.einsum("nb,nb,nb->b", drawn, of_a, of_b)
        found.append(_ratio(covariance, np.sqrt(spread_a * spread_b)))
    return np.clip(np.concatenate(found), -1, 1)


def _ranks(side: tuple[Index, Index, Index], drawn: Figures) -> tuple[Figures, Figures]:
    """Mean ranks less their mean [n, B], and their sum of squares [B]: exactly 0 if all tie."""
    order, starts, level = side
    counts = np.add.reduceat(drawn[order], starts, axis=0)
    ranks = counts.cumsum(axis=0) - counts / 2 - counts.sum(axis=0) / 2
    return ranks[level], (counts * ranks**2).sum(axis=0)


def _aucs(values: npt.NDArray[Any], codes: npt.NDArray[Any], weights: npt.NDArray[Any]) -> Figures:
    """How often a row of one code is above a row of another, ties half, [pairs of codes, B];
    `codes` and `weights` [n, B] or [n, 1]."""
    codes, weights = np.broadcast_arrays(codes, weights)
    order, starts, _ = _levels(values)
    found = []
    for block in _blocks(weights):
        own, drawn = codes[order, block], weights[order, block]
        counts = [
            np.add.reduceat(np.where(own == code, drawn, 0.0), starts, axis=0)
            for code in range(codes.max() + 1)
        ]
        below = [count.cumsum(axis=0) - count / 2 for count in counts]
        totals = [count.sum(axis=0) for count in counts]
        found.append(
            [
                _ratio((counts[a] * below[b]).sum(axis=0), totals[a] * totals[b])
                for a, b in combinations(range(len(counts)), 2)
            ]
        )
    return np.concatenate(found, axis=1)


def _mean(figures: Figures) -> Figures:
    """The mean over the first axis of what is defined; NaN where nothing is."""
    known = ~np.isnan(figures)
    return _ratio(np.where(known, figures, 0).sum(axis=0), known.sum(axis=0))


def _ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Figures:
    """NaN where `below` is 0, which is where a figure is undefined."""
    quotient: Figures = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=quotient, where=below > 0)
    return quotient


def _estimate(figures: Figures, rows: int) -> Estimate:
    """From the original's figure and its resamples', of which the undefined ones are left out."""
    if np.isnan(figures[0]):
        return _UNDEFINED
    defined = figures[1:][~np.isnan(figures[1:])]
    if rows < 2 or not len(defined):
        return Estimate(float(figures[0]), None, None)
    low, high = np.percentile(defined, [2.5, 97.5])
    return Estimate(float(figures[0]), float(low), float(high))
