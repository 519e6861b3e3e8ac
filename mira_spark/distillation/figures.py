"""How well predicted qualities agree with the judge's verdict, on documents that the predictor did
not learn from.

The verdict is the mean of the judge's scores over the dimensions that apply, in points of 0-10.
Intervals are percentiles of a bootstrap over domains: whole domains are drawn with replacement.

Legend: n rows, B the original and its resamples (see `bootstrap`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mira_spark.distillation import bootstrap
from mira_spark.distillation.bootstrap import ROUNDING, ROUNDS, Figures
from mira_spark.distillation.judged_rows import (
    JudgedRows,
    ResampledRows,
    all_known,
    as_points,
    resampled,
)
from mira_spark.labels.agreement import Estimate

STUDENT = "student"
REVERSED = "judge_reversed"
"""The judge's verdict when it was asked with the rubric in reversed order: the ceiling."""
VERDICT = "verdict"
"""The judge's own verdict, of which only the last two figures say something."""

SPEARMAN = "spearman"
WITHIN = "spearman_within_source"
GAIN = "gain_{:.0f}"
TOKEN_SHARES = (0.2, 0.4, 0.6)
GAIN_40 = GAIN.format(40)
LEAD = "student_lead_{:.0f}"
BETWEEN = "variance_between_sources"
LENGTH = "length_correlation_within_source"

WITHIN_ROWS = 10
"""A source with fewer rows does not count in the means within source."""
SOURCE_ROWS = 30
"""A source with fewer rows has no figures of its own."""


@dataclass(frozen=True)
class QualityFigure:
    """A figure of a predictor over `rows` documents of a source (None: of the group).

    `spearman` with the verdict; `spearman_within_source`, its mean over sources by rows; `gain_40`,
    what selecting 40 % of the tokens by the prediction gains in verdict over taking all, as a share
    of what selecting by the verdict gains; `student_lead_40`, the student's gain less this
    predictor's on the same rows and resamples; `variance_between_sources`, the share (eta squared)
    of the prediction's variance; `length_correlation_within_source`, Spearman of the prediction
    with the bytes, meant over sources as above. A constant prediction ranks nothing: its Spearman
    and gain are 0.
    """

    predictor: str
    figure: str
    source: str | None
    rows: int
    estimate: Estimate


def quality_figures(
    rows: JudgedRows,
    quality: npt.NDArray[np.int16],
    references: Mapping[str, Figures],
    rounds: int = ROUNDS,
    seed: int = 0,
) -> list[QualityFigure]:
    """Every figure of the student and its references on the rows that all of them predict, then of
    the judge asked in reversed order where it was.

    `quality` is in thousandths of a point, below 0: none; the references in any unit, NaN: none. A
    reference that predicts nothing is left out. Sources with `SOURCE_ROWS` rows have figures of
    their own.
    """
    student = as_points(quality)
    beside = {name: p for name, p in references.items() if not np.isnan(p).all()}
    common = all_known(rows.verdict, student, *beside.values())
    sample = resampled(rows.only(common), rounds, seed)
    figures = [*_figures(sample, STUDENT, student[common], student[common])]
    for name, points in beside.items():
        figures += _figures(sample, name, points[common], student[common])
    figures += _trait_figures(sample, VERDICT, sample.rows.verdict)
    both = all_known(rows.verdict, student, rows.reversed_verdict)
    asked_again = resampled(rows.only(both), rounds, seed)
    return [
        *figures,
        *_figures(asked_again, REVERSED, asked_again.rows.reversed_verdict, student[both]),
    ]


def gain_difference(
    rows: JudgedRows,
    challenger: npt.NDArray[np.int16],
    champion: npt.NDArray[np.int16],
    share: float = 0.4,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Estimate:
    """The challenger's gain at a share of the tokens less the champion's, on the rows that have
    both qualities (thousandths, below 0: none) and the same resamples."""
    new, old = as_points(challenger), as_points(champion)
    common = all_known(rows.verdict, new, old)
    sample = resampled(rows.only(common), rounds, seed)
    lead = _gains(sample, new[common], [share]) - _gains(sample, old[common], [share])
    return sample.estimate(lead[0])


def metrics(figures: Sequence[QualityFigure]) -> dict[str, float]:
    """The group's figures as MLflow gets them: `quality/student/gain_40`, with `_low` and `_high`;
    undefined ones are left out."""
    return {
        f"quality/{row.predictor}/{row.figure}{end}": value
        for row in figures
        if row.source is None
        for end, value in _interval_ends(row.estimate).items()
        if value is not None
    }


def frame(figures: Sequence[QualityFigure]) -> pd.DataFrame:
    """One row per figure; `source` None: the group, NaN: undefined."""
    rows: list[dict[str, Any]] = [
        {"source": f.source, "predictor": f.predictor, "figure": f.figure, "rows": f.rows}
        | {f"value{end}": value for end, value in _interval_ends(f.estimate).items()}
        for f in figures
    ]
    names = ["source", "predictor", "figure", "rows", "value", "value_low", "value_high"]
    table = pd.DataFrame(rows, columns=names)
    return table.astype({"rows": "int64"} | dict.fromkeys(names[4:], "float64"))


def _interval_ends(estimate: Estimate) -> dict[str, float | None]:
    return {"": estimate.value, "_low": estimate.low, "_high": estimate.high}


def _figures(
    sample: ResampledRows, name: str, points: Figures, student: Figures
) -> Iterator[QualityFigure]:
    """Those of the group, then those of each source, in order of name."""
    rows = sample.rows
    spearman = bootstrap.rank_correlations(points, rows.verdict, sample.weights)
    gains = _gains(sample, points, TOKEN_SHARES)
    yield from _figure_rows(sample, name, {SPEARMAN: spearman} | _by_share(GAIN, gains))
    if name != STUDENT:
        yield from _figure_rows(
            sample, name, _by_share(LEAD, _gains(sample, student, TOKEN_SHARES) - gains)
        )
    yield from _figure_rows(sample, name, {WITHIN: _within_source(sample, points, rows.verdict)})
    yield from _trait_figures(sample, name, points)
    for source, place in sample.by_source(SOURCE_ROWS).items():
        own = sample.at(place)
        spearman = bootstrap.rank_correlations(points[place], own.rows.verdict, own.weights)
        gains = _gains(own, points[place], TOKEN_SHARES)
        yield from _figure_rows(own, name, {SPEARMAN: spearman} | _by_share(GAIN, gains), source)


def _trait_figures(sample: ResampledRows, name: str, points: Figures) -> Iterator[QualityFigure]:
    """What a prediction follows besides the verdict: the source, and the length."""
    between = bootstrap.variance_between(points, sample.rows.sources, sample.weights)
    length = _within_source(sample, points, sample.rows.n_bytes)
    return _figure_rows(sample, name, {BETWEEN: between, LENGTH: length})


def _figure_rows(
    sample: ResampledRows, name: str, figures: Mapping[str, Figures], source: str | None = None
) -> Iterator[QualityFigure]:
    n = len(sample.rows.verdict)
    for figure, values in figures.items():
        yield QualityFigure(name, figure, source, n, sample.estimate(values))


def _by_share(name: str, gains: Figures) -> dict[str, Figures]:
    return {name.format(100 * share): own for share, own in zip(TOKEN_SHARES, gains, strict=True)}


def _within_source(sample: ResampledRows, points: Figures, target: npt.NDArray[Any]) -> Figures:
    """The mean over sources of Spearman with the target [B], each counting by its rows drawn."""
    means, drawn = [np.full(sample.weights.shape[1], np.nan)], [np.ones(sample.weights.shape[1])]
    for place in sample.by_source(WITHIN_ROWS).values():
        weights = sample.weights[place]
        means.append(bootstrap.rank_correlations(points[place], target[place], weights))
        drawn.append(weights.sum(axis=0).astype(np.float64))
    return bootstrap.mean(np.stack(means), np.stack(drawn))


def _gains(sample: ResampledRows, points: Figures, shares: Sequence[float]) -> Figures:
    """[shares, B]; NaN where no selection gains anything."""
    rows = sample.rows

    def gained(by: Figures) -> Figures:
        return bootstrap.selection_gains(by, rows.verdict, rows.n_tokens, sample.weights, shares)

    best = gained(rows.verdict)
    return bootstrap.ratio(gained(points), np.where(best > ROUNDING, best, 0))
