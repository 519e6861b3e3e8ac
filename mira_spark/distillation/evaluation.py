"""How well a student and its references predict the judge, with intervals.

Arrays are [rows, slots] in points of 0-10, NaN = not answered, of validation rows nothing was
fitted on. Every interval is a percentile bootstrap: documents are drawn with replacement within
their source, so the mix of sources stays, and every figure is computed anew for each resample (see
`bootstrap`). One seed gives all figures the same resamples.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mira_spark.distillation import bootstrap
from mira_spark.distillation.bootstrap import ROUNDS, UNDEFINED, Figures, Weights
from mira_spark.distillation.reliability import Mask, Points
from mira_spark.labels.agreement import Estimate

JUDGE = "judge"
"""The ceiling: the judge's second answer as a prediction of its first."""
NAME_LENGTH = 100


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
    weights = bootstrap.resamples(sources, rounds, seed)
    names = np.asarray(sources, object)
    measurements: list[Measured] = []
    for source in [None, *sorted(set(sources))]:
        rows = np.full(len(names), True) if source is None else names == source
        for predictor, points in everyone.items():
            measurements += _measure_predictor(
                source, predictor, points[rows], judged[rows], weights[rows], reliable
            )
    return measurements


def _measure_predictor(
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
        maes[slot] = bootstrap.ratio(errors @ drawn, drawn.sum(axis=0))
        ranks[slot] = bootstrap.rank_correlations(guess, truth, drawn)

    def cell(slot: int | None, n: int, mae: Figures, rank: Figures) -> Measured:
        estimates = bootstrap.estimate(mae, n), bootstrap.estimate(rank, n)
        return Measured(source, slot, predictor, n, *estimates)

    whole = int(known[:, reliable].any(axis=1).sum())
    yield cell(None, whole, bootstrap.mean(maes[reliable]), bootstrap.mean(ranks[reliable]))
    for slot in slots:
        yield cell(slot, int(known[:, slot].sum()), maes[slot], ranks[slot])


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
    weights = bootstrap.resamples(sources, rounds, seed)
    names = np.asarray(sources, object)
    known = ~(np.isnan(student) | np.isnan(reference) | np.isnan(judged))
    gains = [np.full(weights.shape[1], np.nan)]
    for source in sorted(set(sources)):
        for slot in np.flatnonzero(reliable):
            rows = (names == source) & known[:, slot]
            if rows.sum() >= min_rows:
                truth, drawn = judged[rows, slot], weights[rows]
                of_student = bootstrap.rank_correlations(student[rows, slot], truth, drawn)
                of_reference = bootstrap.rank_correlations(reference[rows, slot], truth, drawn)
                gain = np.nan_to_num(of_student) - np.nan_to_num(of_reference)
                varies = ~np.isnan(bootstrap.rank_correlations(truth, truth, drawn))
                gains.append(np.where(varies, gain, np.nan))
    return bootstrap.estimate(bootstrap.mean(np.stack(gains)), len(sources))


def metrics(measured: Sequence[Measured], others: Mapping[str, Estimate]) -> dict[str, float]:
    """What MLflow gets, in the order given: by predictor the means over slots with intervals, of
    the group and of each source, and the slots of the group without; then `others` by name.

    Named `student/spearman`, `student/spearman_low`, `student/source/NAME/mae`,
    `student/slot_03/mae`; of names only a-z, 0-9, _ and - stay, two alike are numbered. Undefined
    figures are left out. All cells are in `frame`.
    """
    slugs = _slugs(sorted({m.source for m in measured if m.source is not None}))
    values: dict[str, Any] = {}
    for m in measured:
        place = m.predictor if m.source is None else f"{m.predictor}/source/{slugs[m.source]}"
        if m.slot is None:
            values |= _flat(f"{place}/mae", m.mae) | _flat(f"{place}/spearman", m.spearman)
        elif m.source is None:
            slot = f"{place}/slot_{m.slot:02d}"
            values |= {f"{slot}/mae": m.mae.value, f"{slot}/spearman": m.spearman.value}
    for name, estimate in others.items():
        values |= _flat(name, estimate)
    return {name: value for name, value in values.items() if value is not None}


def frame(measured: Sequence[Measured]) -> pd.DataFrame:
    """One row per measured cell and predictor; `source` None: the group, `slot` NA: the mean over
    reliable slots, NaN: undefined."""
    rows: list[dict[str, Any]] = [
        {"source": m.source, "slot": m.slot, "predictor": m.predictor, "rows": m.rows}
        | _flat("mae", m.mae)
        | _flat("spearman", m.spearman)
        for m in measured
    ]
    figures = [*_flat("mae", UNDEFINED), *_flat("spearman", UNDEFINED)]
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
