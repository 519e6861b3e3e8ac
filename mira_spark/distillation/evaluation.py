"""How well a student predicts each dimension, with intervals.

Arrays are [rows, slots] in points of 0-10, NaN = not answered, of rows that the student did not
learn from. Every interval is a percentile bootstrap: whole domains are drawn with replacement, and
every figure is computed anew for each resample (see `bootstrap`). One seed gives all figures the
same resamples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mira_spark.distillation import bootstrap
from mira_spark.distillation.bootstrap import ROUNDS, UNDEFINED, Weights
from mira_spark.distillation.figures import STUDENT
from mira_spark.labels.agreement import Estimate

_Points = npt.NDArray[np.floating]

JUDGE = "judge"
"""The ceiling: the judge's second answer as a prediction of its first."""


@dataclass(frozen=True)
class Measured:
    """A predictor beside the judge on one slot of one source's rows (None: all of the group's).

    `rows` have both answers. `spearman` is undefined where the judge is constant and 0 where the
    predictor is; `mae` is undefined where there is no row. No interval for rows of one domain.
    """

    source: str | None
    slot: int
    predictor: str
    rows: int
    mae: Estimate
    spearman: Estimate


def measure(
    student: _Points,
    judged: _Points,
    repeat_judged: _Points,
    sources: Sequence[str],
    domains: Sequence[str],
    rounds: int = ROUNDS,
    seed: int = 0,
) -> list[Measured]:
    """`student`, then `judge`, slot by slot: on the group, then on each source in order of name.

    The judge is measured where it was asked twice: fewer rows, and errors of both its answers.
    """
    _check_alike(len(sources), student, judged, repeat_judged)
    weights = bootstrap.domain_resamples(domains, rounds, seed)
    names, places = np.asarray(sources, object), np.asarray(domains, object)
    cells: list[Measured] = []
    for source in [None, *sorted(set(sources))]:
        rows = np.full(len(names), True) if source is None else names == source
        for predictor, points in ((STUDENT, student), (JUDGE, repeat_judged)):
            cells += _cells(
                source, predictor, points[rows], judged[rows], weights[rows], places[rows]
            )
    return cells


def _cells(
    source: str | None,
    predictor: str,
    points: _Points,
    judged: _Points,
    weights: Weights,
    domains: Sequence[str],
) -> Iterator[Measured]:
    known = ~(np.isnan(points) | np.isnan(judged))
    for slot, rows in enumerate(known.T):
        guess, truth, drawn = points[rows, slot], judged[rows, slot], weights[rows]
        errors = np.abs(guess - truth).astype(np.float64)
        maes = bootstrap.ratio(errors @ drawn, drawn.sum(axis=0))
        ranks = bootstrap.rank_correlations(guess, truth, drawn)
        n_domains = len(set(np.asarray(domains)[rows]))
        mae, spearman = (bootstrap.estimate(each, n_domains) for each in (maes, ranks))
        yield Measured(source, slot, predictor, int(rows.sum()), mae, spearman)


def metrics(measured: Sequence[Measured]) -> dict[str, float]:
    """What MLflow gets: the slots of the group, `student/slot_03/mae` and so on. Undefined figures
    are left out. All cells with their intervals are in `frame`."""
    return {
        f"{m.predictor}/slot_{m.slot:02d}/{name}": estimate.value
        for m in measured
        if m.source is None
        for name, estimate in (("mae", m.mae), ("spearman", m.spearman))
        if estimate.value is not None
    }


def frame(measured: Sequence[Measured]) -> pd.DataFrame:
    """One row per measured cell and predictor; `source` None: the group, NaN: undefined."""
    rows: list[dict[str, Any]] = [
        {"source": m.source, "slot": m.slot, "predictor": m.predictor, "rows": m.rows}
        | _flat("mae", m.mae)
        | _flat("spearman", m.spearman)
        for m in measured
    ]
    figures = [*_flat("mae", UNDEFINED), *_flat("spearman", UNDEFINED)]
    frame = pd.DataFrame(rows, columns=["source", "slot", "predictor", "rows", *figures])
    kinds = {"slot": "int64", "rows": "int64"} | dict.fromkeys(figures, "float64")
    return frame.astype(kinds)


def _flat(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _check_alike(rows: int, *points: _Points) -> None:
    shapes = {p.shape for p in points}
    if len(shapes) > 1 or any(len(shape) != 2 or shape[0] != rows for shape in shapes):
        raise ValueError(
            f"arrays of shapes {sorted(shapes)} for {rows} rows: expected [rows, slots], all alike"
        )
