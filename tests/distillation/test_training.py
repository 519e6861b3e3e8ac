"""A student learns from all labels, and what is said of it comes from labels that it did not."""

from pathlib import Path

import numpy as np
import pytest

from mira_spark.distillation import training
from mira_spark.distillation.assessment import assess
from mira_spark.distillation.rank_correlation import rank_correlation
from mira_spark.distillation.shards import Labelled
from mira_spark.distillation.training import Distilled, Evaluation, predict
from mira_spark.errors import InputError
from mira_spark.settings.students import QualitySettings
from tests.labelled_texts import LINEAR, RUBRIC, documents
from tests.staging import Row, staged

FOLD = 2


def distilled(folder: Path, rows: list[Row], copies: list[Row] | None = None) -> Distilled:
    shards = staged(folder, rows, copies=copies or [])
    return training.distill(Labelled(shards), RUBRIC, LINEAR, folder / "checkpoints")


def judged_anew(rows: list[Row], *folds: int) -> list[Row]:
    return [(*row[:3], [9, 0, 5], row[4]) if row[4] in folds else row for row in rows]


def of_fold(seen: Evaluation, fold: int) -> np.ndarray:
    return seen.predicted[seen.folds == fold]


def test_every_label_is_predicted_by_a_student_that_did_not_learn_from_its_fold(
    tmp_path: Path,
) -> None:
    rows = documents(200)
    first, second = (
        distilled(tmp_path / "a", rows),
        distilled(tmp_path / "b", judged_anew(rows, FOLD)),
    )
    assert first.held_out.doc_ids == [row[0] for row in rows]
    assert not np.isnan(first.held_out.predicted).any()
    for fold in range(5):
        before, after = of_fold(first.held_out, fold), of_fold(second.held_out, fold)
        assert np.array_equal(before, after) == (fold == FOLD)
    ranks = [
        rank_correlation(first.held_out.predicted[:, slot], first.held_out.judged[:, slot])
        for slot in range(3)
    ]
    assert min(ranks[:2]) > 0.9


@pytest.mark.parametrize("fold", range(5))
def test_the_student_that_ships_learns_from_every_fold(fold: int, tmp_path: Path) -> None:
    rows = documents(60)
    first, second = (
        distilled(tmp_path / "a", rows),
        distilled(tmp_path / "b", judged_anew(rows, fold)),
    )
    labelled = Labelled(tmp_path / "a")
    assert not np.array_equal(
        predict(first.student, labelled).predicted, predict(second.student, labelled).predicted
    )


def test_the_learning_curve_is_of_a_quarter_half_and_all_of_the_labels_on_the_same_rows(
    tmp_path: Path,
) -> None:
    """The folds that follow the two it is measured on: 0 from 1, and 1 from 2; 0 from 1 and 2, and
    1 from 2 and 3; each from all others."""
    rows = documents(200)
    curve = distilled(tmp_path / "a", rows).curve
    wanted = [row[0] for row in rows if row[4] < 2]
    assert {share: seen.doc_ids for share, seen in curve.items()} == dict.fromkeys(
        (0.25, 0.5, 1.0), wanted
    )
    without = {fold: distilled(tmp_path / str(fold), judged_anew(rows, fold)).curve
               for fold in range(5)}  # fmt: skip
    learnt_from = {
        (share, measured): {
            fold
            for fold in range(5)
            if not np.array_equal(of_fold(seen, measured), of_fold(without[fold][share], measured))
        }
        for share, seen in curve.items()
        for measured in (0, 1)
    }
    assert learnt_from == {
        (0.25, 0): {1}, (0.25, 1): {2},
        (0.5, 0): {1, 2}, (0.5, 1): {2, 3},
        (1.0, 0): {1, 2, 3, 4}, (1.0, 1): {0, 2, 3, 4},
    }  # fmt: skip


def test_spoilt_copies_are_learnt_from_and_never_measured_on(tmp_path: Path) -> None:
    rows = documents(100)
    copies: list[Row] = [(*row[:2], "spoilt " * 20, [0, 0, 0], row[4]) for row in rows[::10]]
    plain, spoilt = distilled(tmp_path / "a", rows), distilled(tmp_path / "b", rows, copies)
    for seen in (spoilt.held_out, *spoilt.curve.values()):
        measured = assess(seen, RUBRIC.weights, QualitySettings()).rows
        assert seen.spoilt.any()
        assert not measured.spoilt.any()
        assert len(set(measured.doc_ids)) == len(measured.doc_ids)
    seen = spoilt.held_out.only(~spoilt.held_out.spoilt)
    assert seen.doc_ids == plain.held_out.doc_ids
    assert np.array_equal(seen.judged, plain.held_out.judged)
    texts = staged(tmp_path / "texts", [("d", "s0", "spoilt " * 20, [0, 0, 0], 0)])
    of_plain, of_spoilt = (
        predict(each.student, Labelled(texts)).predicted.max() for each in (plain, spoilt)
    )
    assert of_spoilt < 1 < of_plain, "it knows a spoilt text for what it is"
    fold = of_fold(spoilt.held_out, FOLD)
    less = [copy for copy in copies if copy[4] != FOLD]
    assert np.array_equal(fold, of_fold(distilled(tmp_path / "c", rows, less).held_out, FOLD))


def test_labels_of_one_fold_are_learnt_from_and_nothing_is_predicted(tmp_path: Path) -> None:
    rows = documents(50, folds=1)
    found = distilled(tmp_path / "a", rows)
    assert found.held_out.doc_ids == []
    assert found.curve == {}
    seen = predict(found.student, Labelled(tmp_path / "a"))
    assert rank_correlation(seen.predicted[:, 0], seen.judged[:, 0]) > 0.8


def test_folds_that_are_missing_are_not_learnt_from_nor_measured_on(tmp_path: Path) -> None:
    rows = documents(100, folds=3)
    found = distilled(tmp_path / "a", rows)
    assert found.held_out.doc_ids == [row[0] for row in rows]
    assert found.curve == {}, "a curve needs all folds"


def test_no_label_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        distilled(tmp_path / "none", [])
    assert str(refused.value) == (
        f"{tmp_path / 'none'}: there is no labelled row to train on in *.parquet"
    )
