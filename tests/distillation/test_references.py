"""Each reference finds what it may know and nothing else."""

import numpy as np
import numpy.typing as npt
import pytest

from mira_spark.distillation import references
from mira_spark.distillation.references import Documents, predictions
from mira_spark.distillation.reliability import spearman

NAN = float("nan")
NAMES = ["slot_mean", "source_mean", "length", "tfidf_ridge"]
WORDS = ["river", "stone", "cloud", "ember", "maple", "harbour", "violet", "copper", "meadow"]
Floats = npt.NDArray[np.float64]


def texts(rows: int, seed: int, marked: bool = False) -> tuple[list[str], Floats]:
    """Random words, and 1 where `seldom seen` is among them."""
    random = np.random.default_rng(seed)
    marks = random.integers(0, 2, rows) if marked else np.zeros(rows, int)
    made = []
    for mark in marks:
        words = random.choice(WORDS, random.integers(5, 200)).tolist()
        made.append(" ".join(words + ["seldom seen"] * int(mark)))
    return made, marks.astype(float)


def sizes(of: list[str]) -> Floats:
    return np.array([len(text.encode()) for text in of], float)


def test_the_slot_mean_is_over_answers() -> None:
    train = Documents(["a b", "c d", "e f"], ["x", "y", "y"])
    scores = np.array([[2, NAN], [4, 5], [9, NAN]])
    found = predictions(train, scores, Documents(["g", "h"], ["x", "z"]))
    assert list(found) == NAMES
    assert found["slot_mean"].tolist() == [[5, 5], [5, 5]]
    assert {points.dtype for points in found.values()} == {np.dtype(np.float32)}


def test_the_source_mean_is_the_slots_where_the_source_has_no_label() -> None:
    scores = np.array([[2, NAN], [4, 5], [9, 7]])
    found = references.source_mean(["x", "y", "y"], scores, ["only in validation", "y", "x"])
    assert found.tolist() == [[5, 6], [6.5, 6], [2, 6]]


def test_a_slot_nobody_judged_is_predicted_by_none() -> None:
    made, _ = texts(30, 1)
    scores = np.full((30, 2), NAN)
    scores[:, 1] = np.arange(30) % 11
    found = predictions(Documents(made, ["s"] * 30), scores, Documents(made[:4], ["s"] * 4))
    for points in found.values():
        assert np.isnan(points[:, 0]).all()
        assert not np.isnan(points[:, 1]).any()


@pytest.mark.parametrize("bend", [False, True])
def test_length_finds_what_length_alone_says(bend: bool) -> None:
    (train, _), (unseen, _) = texts(400, 1), texts(200, 2)

    def judged(of: list[str]) -> Floats:
        share = np.log(sizes(of)) / np.log(1500)
        return 10 - 40 * np.abs(share - 0.8) if bend else 10 * share

    sources = ["s"] * 400
    found = predictions(
        Documents(train, sources), judged(train)[:, None], Documents(unseen, sources[:200])
    )
    truth = judged(unseen)
    assert spearman(found["length"][:, 0], truth) > 0.95
    for constant in ("slot_mean", "source_mean"):
        assert spearman(found[constant][:, 0], truth) is None


def test_length_knows_nothing_but_length() -> None:
    (train, marks), (unseen, truth) = texts(400, 1, marked=True), texts(200, 2, marked=True)
    scores = np.stack([8 * marks, 8 - 8 * marks], axis=1)
    found = predictions(Documents(train, ["s"] * 400), scores, Documents(unseen, ["s"] * 200))
    assert abs(spearman(found["length"][:, 0], truth)) < 0.3
    assert spearman(found["tfidf_ridge"][:, 0], truth) > 0.8
    assert spearman(found["tfidf_ridge"][:, 1], truth) < -0.8


def test_length_is_flat_beyond_what_it_saw() -> None:
    train = ["x" * size for size in range(10, 110)]
    scores = np.linspace(0, 10, 100)[:, None]
    found = references.length(train, scores, ["", "x" * 10, "x" * 109, "x" * 10**6])[:, 0]
    assert found[0] == found[1] < 1
    assert found[3] == found[2] > 9


def test_missing_labels_hold_for_their_slot_alone() -> None:
    (train, marks), (unseen, truth) = texts(300, 3, marked=True), texts(100, 4, marked=True)
    scores = np.stack([8 * marks, 8 * marks], axis=1)
    whole = references.tfidf_ridge(train, scores[:, :1], unseen)
    scores[::3, 1] = NAN
    found = references.tfidf_ridge(train, scores, unseen)
    assert spearman(found[:, 1], truth) > 0.8
    assert np.abs(found[:, 0] - whole[:, 0]).max() < 0.5
    kept = ~np.isnan(scores[:, 1])
    alone = references.length(
        [t for t, k in zip(train, kept, strict=True) if k], scores[kept][:, 1:], unseen
    )
    with_gaps = references.length(train, scores, unseen)[:, 1:]
    assert np.abs(alone - with_gaps).max() < 0.5


def test_ridge_trains_on_the_same_few_rows_in_any_order() -> None:
    (train, marks), (unseen, _) = texts(200, 5, marked=True), texts(20, 6)
    scores = 8 * marks[:, None]
    found = references.tfidf_ridge(train, scores, unseen, max_rows=50)
    order = np.random.default_rng(0).permutation(200)
    shuffled = references.tfidf_ridge(
        [train[row] for row in order], scores[order], unseen, max_rows=50
    )
    assert np.array_equal(found, shuffled)
    chosen = sorted(range(200), key=lambda row: references._hash(train[row]))[:50]
    alone = references.tfidf_ridge([train[row] for row in chosen], scores[chosen], unseen)
    assert np.array_equal(found, alone)
    assert not np.array_equal(found, references.tfidf_ridge(train, scores, unseen))


def test_ridge_holds_back_more_the_less_there_is_to_learn() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(200, 60)) / 4
    clear = features[:, :1] + 5
    noise = random.normal(5, 2, (200, 1))
    assert references._best_alpha(features, clear) == min(references.ALPHAS)
    assert references._best_alpha(features, noise) == max(references.ALPHAS)


def test_predictions_stay_on_the_scale() -> None:
    (train, marks), (unseen, _) = texts(200, 7, marked=True), texts(50, 8)
    unseen = [*unseen, "seldom seen " * 500, "seldom seen"]
    found = references.tfidf_ridge(train, 10 * marks[:, None], unseen)
    assert found.min() >= 0
    assert found.max() == 10


def test_the_same_rows_give_the_same_predictions() -> None:
    (made, marks), (unseen, _) = texts(120, 9, marked=True), texts(30, 10)
    train = Documents(made, [f"s{row % 3}" for row in range(120)])
    validation = Documents(unseen, ["s1"] * 30)
    first, second = (predictions(train, 9 * marks[:, None], validation) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in NAMES)


@pytest.mark.parametrize("made", [["", ""], ["  ", "?!"], ["one text", "\ud800 odd"]])
def test_two_rows_and_odd_texts_are_enough(made: list[str]) -> None:
    scores = np.array([[3.0, NAN], [7, NAN]])
    found = predictions(Documents(made, ["a", "b"]), scores, Documents(["", "new one"], ["c", "a"]))
    for points in found.values():
        assert (np.abs(points[:, 0] - 5) <= 2).all()


def test_no_validation_rows_give_no_predictions() -> None:
    made, marks = texts(10, 11, marked=True)
    found = predictions(Documents(made, ["s"] * 10), marks[:, None], Documents([], []))
    assert [points.shape for points in found.values()] == [(0, 1)] * 4


def test_uneven_or_no_rows_are_refused() -> None:
    none, one = Documents([], []), Documents(["text"], ["s"])
    with pytest.raises(ValueError, match=r"^no training rows: expected at least one$"):
        predictions(none, np.empty((0, 3)), one)
    with pytest.raises(
        ValueError, match=r"^1 texts, 1 sources and 2 rows: expected as many of each$"
    ):
        predictions(one, np.zeros((2, 3)), one)
