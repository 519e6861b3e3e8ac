"""What labelled rows that a student did not learn from tell of it: its curves, its quality table,
and the quality that each row gets."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mira_spark.corpus.draws import draw
from mira_spark.distillation import cells, references
from mira_spark.distillation.cells import Cell
from mira_spark.distillation.figures import QualityFigure, gain_difference, quality_figures
from mira_spark.distillation.folds import balanced_folds
from mira_spark.distillation.judged_rows import JudgedRows
from mira_spark.distillation.shards import FOLDS, Floats, Labelled
from mira_spark.distillation.training import Evaluation
from mira_spark.labels import verdict
from mira_spark.labels.agreement import Estimate
from mira_spark.lake.scale import POINT
from mira_spark.settings.students import QualitySettings
from mira_spark.students import calibration
from mira_spark.students.calibration import Calibration
from mira_spark.students.quality import QualityTable, SourceCells, quality

MEASURED_ROWS = 5_000
"""Most rows that figures are measured on: references learn from them, too."""


@dataclass(frozen=True)
class Assessment:
    """`dimension_scores` (int16 [rows, slots], thousandths of a point) are what the rows get by
    `curves`, which were fitted on them, as was `table`. `quality` (int16 [rows], -1 = none) is by
    curves and slopes fitted on rows of other domains: noise, fitted to the rows that it is measured
    on, would rank them a little. Judged means are of all rows, as those of the reference that gives
    each source its mean: they rank nothing within a source, and means of other domains would rank
    backwards, lowest where verdicts are highest. Spoilt copies, which help to find slopes, are not
    among the rows. `without_prediction` counts the documents that are left out, as the student gave
    them no number in some slot."""

    rows: Evaluation
    without_prediction: int
    curves: Calibration
    cells: list[Cell]
    table: QualityTable
    dimension_scores: npt.NDArray[np.int16]
    quality: npt.NDArray[np.int16]
    judged: JudgedRows


def assess(rows: Evaluation, weights: Sequence[int], settings: QualitySettings) -> Assessment:
    """The student calibrated and its quality table made; `weights` are the rubric's, thousandths.
    Where all rows are of one domain, `quality` is by what was fitted on them."""
    is_predicted = np.logical_and.reduce(np.isfinite(rows.predicted), axis=1)
    left_out = int((~is_predicted & ~rows.spoilt).sum())
    with_copies = rows.only(is_predicted)
    curves, found, table = _fit(with_copies, weights, settings)
    rows = with_copies.only(~with_copies.spoilt)
    scores = dimension_scores(curves, rows.predicted)
    qualities = quality(scores, rows.sources, table)
    fold_of = balanced_folds(Counter(rows.domains), FOLDS)
    folds, folds_with_copies = (
        np.array([fold_of.get(domain, FOLDS) for domain in each.domains], np.intp)
        for each in (rows, with_copies)
    )
    for fold in np.unique(folds) if len(fold_of) > 1 else ():
        own = rows.only(folds == fold)
        others = _fit(with_copies.only(folds_with_copies != fold), weights, settings)
        rated = dimension_scores(others.curves, own.predicted)
        with_means = _with_judged_means(others.table, table)
        qualities[folds == fold] = quality(rated, own.sources, with_means)
    judged = judged_rows(rows, weights)
    return Assessment(rows, left_out, curves, found, table, scores, qualities, judged)


def _with_judged_means(slopes: QualityTable, means: QualityTable) -> QualityTable:
    """The first table with the judged means of the second."""

    def cells_of(source: str | None) -> SourceCells:
        judged_mean = means.cells(source).judged_mean
        return slopes.cells(source).model_copy(update={"judged_mean": judged_mean})

    sources = {source: cells_of(source) for source in slopes.sources}
    return slopes.model_copy(update={"sources": sources, "group": cells_of(None)})


class _Fitted(NamedTuple):
    curves: Calibration
    cells: list[Cell]
    table: QualityTable


def _fit(rows: Evaluation, weights: Sequence[int], settings: QualitySettings) -> _Fitted:
    """On all of these rows; the curves on the documents among them."""
    documents = rows.only(~rows.spoilt)
    curves = calibration.fit(documents.predicted, documents.judged)
    points = cells.in_points(dimension_scores(curves, rows.predicted))
    answers = rows.judged, rows.reversed
    found = cells.cells(points, *answers, rows.sources, rows.spoilt, weights, settings)
    return _Fitted(curves, found, cells.quality_table(found, weights, settings))


def measured_quality(assessment: Assessment, labelled: Labelled) -> list[QualityFigure]:
    """All figures of the quality beside those of the references, at most MEASURED_ROWS rows of
    `labelled`, the lowest by hash of doc_id."""
    doc_ids = assessment.rows.doc_ids
    drawn = sorted(range(len(doc_ids)), key=lambda row: draw(doc_ids[row], "references"))
    rows = np.array(sorted(drawn[:MEASURED_ROWS]), np.intp)
    judged = assessment.judged.only(rows)
    wanted = {doc_ids[row]: place for place, row in enumerate(rows.tolist())}
    texts = [""] * len(wanted)
    for batch in labelled.rows():
        columns = (batch[name].to_pylist() for name in ("doc_id", "text", "spoilt"))
        for doc_id, text, is_spoilt in zip(*columns, strict=True):
            if doc_id in wanted and not is_spoilt:
                texts[wanted[doc_id]] = (text or "")[: references.CHARACTERS]
    beside = references.predictions(judged, texts)
    return quality_figures(judged, assessment.quality[rows], beside)


def dimension_scores(curves: Calibration, predicted: Floats) -> npt.NDArray[np.int16]:
    """As scoring gives them: of scores that were stored in thousandths."""
    stored = calibration.quantised(predicted).astype(np.float32) / np.float32(POINT)
    return calibration.apply(curves, stored)


def judged_rows(rows: Evaluation, weights: Sequence[int]) -> JudgedRows:
    """The judge's verdicts on the rows, in the rubric's order and in the reversed one, and what
    figures need to know of them."""
    applying = verdict.applies(rows.judged, rows.sources)
    return JudgedRows(
        verdict.weighted_means(rows.judged, rows.sources, applying, weights),
        verdict.weighted_means(rows.reversed, rows.sources, applying, weights),
        rows.sources,
        rows.domains,
        rows.folds,
        rows.n_tokens,
        rows.n_bytes,
    )


def gain(assessment: Assessment) -> Estimate:
    """The gain of the quality at 40 % of the tokens."""
    nothing = np.full_like(assessment.quality, 0)
    return gain_difference(assessment.judged, assessment.quality, nothing)
