"""Each reference finds what it may know and nothing else, of rows whose labels it did not see."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import spearmanr

from mira_spark.distillation import references
from mira_spark.distillation.judged_rows import JudgedRows
from mira_spark.distillation.references import length, source_mean, tfidf_ridge

NAN = float("nan")
WORDS = ["river", "stone", "cloud", "ember", "maple", "harbour", "violet", "copper", "meadow"]
Floats = npt.NDArray[np.float64]


def marked_texts(rows: int, seed: int) -> tuple[list[str], Floats]:
    """Random words, and 1 where `seldom seen` is among them."""
    random = np.random.default_rng(seed)
    marks = random.integers(0, 2, rows)
    texts = []
    for mark in marks:
        words = random.choice(WORDS, random.integers(5, 200)).tolist()
        texts.append(" ".join(words + ["seldom seen"] * int(mark)))
    return texts, marks.astype(float)


def sizes(texts: list[str]) -> npt.NDArray[np.int64]:
    return np.array([len(text.encode()) for text in texts], np.int64)


def folds(rows: int) -> npt.NDArray[np.int8]:
    return (np.arange(rows) % 5).astype(np.int8)


def test_the_source_mean_is_one_number_a_source() -> None:
    verdict = np.array([2.0, 4, NAN] * 10 + [8.0, 9] * 10 + [1.0] * 9)
    sources = ["a"] * 30 + ["b"] * 20 + ["few labels"] * 9
    predicted = source_mean(verdict, sources)
    assert set(predicted[:30]) == {3.0}
    assert set(predicted[30:50]) == {8.5}
    assert set(predicted[50:]) == {np.nanmean(verdict)}


@pytest.mark.parametrize("bend", [False, True])
def test_length_finds_what_length_alone_says(bend: bool) -> None:
    n_bytes = sizes(marked_texts(500, 1)[0])
    share = np.log(n_bytes) / np.log(1500)
    verdict = 10 - 40 * np.abs(share - 0.8) if bend else 10 * share
    assert spearmanr(length(verdict, n_bytes, folds(500)), verdict).statistic > 0.95


def test_length_knows_nothing_but_length() -> None:
    texts, marks = marked_texts(500, 2)
    assert abs(spearmanr(length(8 * marks, sizes(texts), folds(500)), marks).statistic) < 0.3
    assert spearmanr(tfidf_ridge(8 * marks, texts, folds(500)), marks).statistic > 0.8


@pytest.mark.parametrize("predict", ["length", "tfidf_ridge"])
def test_no_row_is_predicted_from_labels_of_its_own_fold(predict: str) -> None:
    texts, marks = marked_texts(200, 3)

    def predicted(verdict: Floats) -> Floats:
        of = sizes(texts) if predict == "length" else texts
        return getattr(references, predict)(verdict, of, folds(200))[::5]

    verdict = marks + np.random.default_rng(0).normal(size=200)
    other = verdict.copy()
    other[::5] = other[::5][::-1]
    assert np.allclose(predicted(verdict), predicted(other))
    other[1::5] = other[1::5][::-1]
    assert not np.allclose(predicted(verdict), predicted(other))


def test_where_there_is_nothing_to_learn_no_fold_is_predicted_above_another() -> None:
    """Means of the other folds would rank the folds backwards."""
    verdict = np.repeat([2.0, 4, 6, 8, 5], 40) + np.random.default_rng(0).normal(size=200)
    in_folds = np.repeat(np.arange(5), 40)
    constant = tfidf_ridge(verdict, ["same words"] * 200, in_folds)
    assert np.allclose(constant, verdict.mean())
    assert np.allclose(length(verdict, np.full(200, 9), in_folds), verdict.mean())


def test_rows_without_a_verdict_are_predicted_and_teach_nothing() -> None:
    texts, marks = marked_texts(300, 4)
    verdict = np.where(np.arange(300) % 3 == 0, NAN, 8 * marks)
    predicted = tfidf_ridge(verdict, texts, folds(300))
    assert spearmanr(predicted[::3], marks[::3]).statistic > 0.7
    nothing = np.full(300, NAN)
    rows = JudgedRows(nothing, nothing, ["s"] * 300, texts, folds(300), sizes(texts), sizes(texts))
    for points in references.predictions(rows, texts).values():
        assert np.isnan(points).all()


def test_one_fold_predicts_nothing_but_its_mean() -> None:
    texts, marks = marked_texts(50, 5)
    one_fold = np.zeros(50, np.int8)
    assert np.isnan(length(marks, sizes(texts), one_fold)).all()
    assert np.isnan(tfidf_ridge(marks, texts, one_fold)).all()
    assert source_mean(marks, ["s"] * 50) == pytest.approx(marks.mean())


@pytest.mark.parametrize("texts", [["", ""], ["  ", "?!"], ["one text", "\ud800 odd"], []])
def test_few_rows_and_odd_texts_are_enough(texts: list[str]) -> None:
    n = len(texts)
    verdict, ends = np.array([3.0, 7])[:n], np.array([0, 1])[:n]
    n_bytes = np.array([len(text) for text in texts], np.int64)
    rows = JudgedRows(verdict, verdict, ["a", "b"][:n], ["a", "b"][:n], ends, n_bytes, n_bytes)
    predicted = references.predictions(rows, iter(texts))
    assert list(predicted) == ["source_mean", "length", "tfidf_ridge"]
    for points in predicted.values():
        assert np.allclose(points, 5)
        assert len(points) == n


def test_the_same_rows_give_the_same_predictions() -> None:
    texts, marks = marked_texts(120, 9)
    first, second = (tfidf_ridge(9 * marks, texts, folds(120)) for _ in range(2))
    assert np.array_equal(first, second)
