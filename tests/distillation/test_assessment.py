"""What held-out labels tell of a student: its curves, its table, and what its quality is worth."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mira_spark.distillation import training
from mira_spark.distillation.assessment import MEASURED_ROWS, assess, gain, measured_quality
from mira_spark.distillation.figures import QualityFigure, as_points, quality_figures
from mira_spark.distillation.references import predictions
from mira_spark.distillation.shards import Labelled
from mira_spark.distillation.training import Distilled
from mira_spark.labels.verdict import verdicts
from mira_spark.settings.students import QualitySettings
from mira_spark.students.paper_rule import NO_QUALITY
from mira_spark.students.quality import quality
from tests.labelled_texts import LINEAR, RUBRIC, documents
from tests.staging import Row, staged

SETTINGS = QualitySettings()
WEIGHTS = RUBRIC.weights


def distilled(folder: Path, rows: list[Row], copies: list[Row] | None = None) -> Distilled:
    shards = staged(folder, rows, copies=copies or [])
    return training.distill(Labelled(shards), RUBRIC, LINEAR, folder / "checkpoints")


def test_held_out_labels_give_the_curves_the_table_and_the_quality(tmp_path: Path) -> None:
    rows = documents(200)
    held_out = distilled(tmp_path / "shards", rows).held_out
    found = assess(held_out, WEIGHTS, SETTINGS)
    assert len(found.curves) == 3
    assert {cell.rows for cell in found.cells if cell.source is None} == {200}
    assert found.table.sources.keys() == {"s0", "s1"}
    judged = verdicts(held_out.judged, held_out.sources, WEIGHTS)
    assert found.judged.verdict.tolist() == judged.tolist()
    assert np.abs(as_points(found.quality) - judged).mean() < 0.4
    assert gain(found).value > 0.8
    other = replace(held_out, judged=10 - held_out.judged)
    turned = assess(other, WEIGHTS, SETTINGS)
    assert turned.curves != found.curves
    assert turned.cells != found.cells
    without_slot = assess(held_out, (1_000, 0, 0), SETTINGS)
    assert without_slot.table.counts("s0") == (True, False, False)
    assert without_slot.judged.verdict.tolist() == held_out.judged[:, 0].tolist()


def test_what_ranks_rows_of_a_source_does_not_know_the_labels_of_their_domain(
    tmp_path: Path,
) -> None:
    """Noise that is fitted to the labels it is measured on would rank them. The labels move the
    mean of their source alone, by the same for all of its rows."""
    held_out = distilled(tmp_path / "a", documents(120)).held_out
    domains = [f"domain {n % 12}" for n in range(120)]
    own = np.array([domain == "domain 3" for domain in domains])
    first = replace(held_out, domains=domains)
    second = replace(first, judged=np.where(own[:, None], 10 - first.judged, first.judged))
    before, after = (assess(rows, WEIGHTS, SETTINGS) for rows in (first, second))
    moved = (after.quality - before.quality)[own].astype(int)
    sources = np.array(held_out.sources)[own]
    assert all(np.ptp(moved[sources == source]) <= 1 for source in set(sources))
    assert before.quality[~own].tolist() != after.quality[~own].tolist()
    assert before.table != after.table, "which scoring uses, and which is of all labels"


def test_rows_of_one_domain_are_rated_by_what_was_fitted_on_them(tmp_path: Path) -> None:
    held_out = distilled(tmp_path / "a", documents(60)).held_out
    one = assess(replace(held_out, domains=["d"] * 60), WEIGHTS, SETTINGS)
    rated = quality(one.dimension_scores, held_out.sources, one.table)
    assert one.quality.tolist() == rated.tolist()


def test_labels_whose_prediction_is_no_number_are_counted_and_left_out(tmp_path: Path) -> None:
    held_out = distilled(tmp_path / "a", documents(60)).held_out
    predicted = held_out.predicted.copy()
    predicted[3, 1], predicted[5, 0] = np.nan, np.inf
    found = assess(replace(held_out, predicted=predicted), WEIGHTS, SETTINGS)
    others = np.ones(60, bool)
    others[[3, 5]] = False
    alone = assess(held_out.only(others), WEIGHTS, SETTINGS)
    assert (found.without_prediction, alone.without_prediction) == (2, 0)
    assert found.rows.doc_ids == alone.rows.doc_ids
    assert found.quality.tolist() == alone.quality.tolist()
    assert found.table == alone.table


def test_where_nothing_was_predicted_nothing_counts(tmp_path: Path) -> None:
    found = assess(distilled(tmp_path / "a", documents(60, folds=1)).held_out, WEIGHTS, SETTINGS)
    for rule in ("shrunk", "paper"):
        settings = SETTINGS.model_copy(update={"rule": rule})
        found = assess(found.rows, WEIGHTS, settings)
        assert found.table.counts("s0") == found.table.counts("any") == (False, False, False)
        assert found.table.sources == {}
        assert found.quality.tolist() == []
    assert gain(found).value is None


def test_labels_without_one_answer_are_measured_as_nothing(tmp_path: Path) -> None:
    nothing: list[Row] = [(*row[:3], [None, None, None], row[4]) for row in documents(60)]
    found = assess(distilled(tmp_path / "a", nothing).held_out, WEIGHTS, SETTINGS)
    assert set(found.quality.tolist()) == {NO_QUALITY}
    assert {cell.reason for cell in found.cells if cell.source is None} == {
        "does not apply: 60 of 60 labels have no score for it"
    }
    measured = measured_quality(found, Labelled(tmp_path / "a"))
    assert {row.rows for row in measured} == {0}


def test_references_read_the_documents_and_not_their_spoilt_copies(tmp_path: Path) -> None:
    rows = documents(100)
    copies: list[Row] = [(*row[:2], "spoilt", [0, 0, 0], row[4]) for row in rows]
    spoilt = distilled(tmp_path / "a", rows, copies)
    found = assess(spoilt.held_out, WEIGHTS, SETTINGS)
    measured = measured_quality(found, Labelled(tmp_path / "a"))
    references = predictions(found.judged, [row[2] or "" for row in rows])
    assert measured == quality_figures(found.judged, found.quality, references)


def tfidf(measured: list[QualityFigure]) -> list[QualityFigure]:
    return [row for row in measured if row.predictor == "tfidf_ridge"]


def test_figures_do_not_depend_on_how_the_files_are_cut(tmp_path: Path) -> None:
    rows = documents(60)
    held_out = distilled(tmp_path / "a", rows).held_out
    found = assess(held_out, WEIGHTS, SETTINGS)
    staged(tmp_path / "b", rows, 7)
    first, second = (measured_quality(found, Labelled(tmp_path / name)) for name in "ab")
    assert first == second
    assert tfidf(first)
    assert len(rows) < MEASURED_ROWS
