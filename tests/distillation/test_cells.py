"""What is known of a slot in a source, and the quality table that is made of it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings as chosen, strategies as st
from scipy.stats import linregress, spearmanr
from sklearn.metrics import mean_absolute_error

from mira_spark.distillation.cells import Cell, cells, quality_table
from mira_spark.distillation.fitted_line import FittedLine, used_slope
from mira_spark.distillation.rank_correlation import rank_correlation, spearman
from mira_spark.settings.students import QualitySettings
from mira_spark.students.quality import QualityTable, quality

ROUNDING = 15
"""Thousandths: a slope is whole thousandths, of which one is ten of the highest score."""
SHRUNK, PAPER = QualitySettings(), QualitySettings(rule="paper")
Arrays = tuple[np.ndarray, np.ndarray]


def agreement(rows: int, slots: int, noise: float, seed: int = 0) -> Arrays:
    """Predictions within 0 and 10 of what was judged, and what was judged."""
    random = np.random.default_rng(seed)
    judged = random.integers(0, 11, (rows, slots)).astype(float)
    return np.clip(judged + random.normal(0, noise, judged.shape), 0, 10), judged


def known(
    predicted: np.ndarray,
    judged: np.ndarray,
    sources: list[str],
    settings: QualitySettings = SHRUNK,
    weights: list[int] | None = None,
    reversed_judged: np.ndarray | None = None,
    is_copy: np.ndarray | None = None,
) -> dict[tuple[str | None, int], Cell]:
    again = np.full(judged.shape, np.nan) if reversed_judged is None else reversed_judged
    none = np.zeros(len(sources), bool) if is_copy is None else is_copy
    weights = weights or [1000] * judged.shape[1]
    found = cells(predicted, judged, again, sources, none, weights, settings)
    return {(cell.source, cell.slot): cell for cell in found}


def a_table(
    found: dict[tuple[str | None, int], Cell], settings: QualitySettings = SHRUNK
) -> QualityTable:
    slots = 1 + max(slot for _, slot in found)
    return quality_table(list(found.values()), [1000] * slots, settings)


def test_cells_hold_the_figures_of_scipy_and_scikit_learn() -> None:
    predicted, judged = agreement(200, 3, 2.0)
    judged[::5, 1] = np.nan
    again = np.full(judged.shape, np.nan)
    again[:20] = judged[:20]
    sources = ["a"] * 90 + ["b"] * 110
    found = known(predicted, judged, sources, reversed_judged=again)
    assert list(found) == [(s, slot) for s in (None, "a", "b") for slot in range(3)]
    for (source, slot), cell in found.items():
        own = np.array([source in (None, s) for s in sources])
        rows = own & ~np.isnan(judged[:, slot])
        guess, truth = predicted[rows, slot], judged[rows, slot]
        assert (cell.rows, cell.nulls) == (rows.sum(), own.sum() - rows.sum())
        assert cell.mae == pytest.approx(mean_absolute_error(truth, guess))
        assert cell.spearman.value == pytest.approx(spearmanr(guess, truth).statistic)
        assert cell.spearman.low < cell.spearman.value < cell.spearman.high
        assert cell.ceiling == (None if source == "b" else pytest.approx(1.0))


def test_a_source_of_many_rows_has_the_line_of_least_squares() -> None:
    predicted, judged = agreement(20_000, 1, 3.0)
    found = known(predicted, judged, ["a"] * 10_000 + ["b"] * 10_000)
    line = linregress(predicted[:10_000, 0], judged[:10_000, 0])
    assert used_slope(found["a", 0].line) == pytest.approx(line.slope, abs=0.01)
    assert found["a", 0].line.judged_mean == pytest.approx(judged[:10_000].mean(), abs=0.01)
    assert found["a", 0].line.mean_prediction == pytest.approx(predicted[:10_000].mean())


def test_a_source_of_few_rows_leans_on_its_group() -> None:
    """Three rows that run the wrong way turn nothing round, and three high ones do not lift a
    source to the top."""
    predicted, judged = agreement(1_003, 1, 1.0)
    predicted[:3, 0], judged[:3, 0] = [4, 5, 6], [10, 10, 9]
    found = known(predicted, judged, ["few"] * 3 + ["many"] * 1_000)
    assert used_slope(found["few", 0].line) == pytest.approx(found[None, 0].slope, abs=0.3)
    assert 5.5 < found["few", 0].line.judged_mean < 8.5


@pytest.mark.parametrize("settings", [SHRUNK, PAPER])
def test_spoilt_copies_help_to_find_slopes_and_change_nothing_else(
    settings: QualitySettings,
) -> None:
    """Among documents that the judge scores alike nothing shows that the student follows it; their
    copies show it."""
    predicted, judged = agreement(400, 2, 3.0)
    judged[:, 0] = 8
    sources = ["a"] * 200 + ["b"] * 200
    copies, low = predicted - 4, judged - 4
    is_copy = np.repeat([False, True], 400)
    nulls = low.copy()
    nulls[:300, 1] = np.nan
    alone = known(predicted, judged, sources, settings)
    both = np.r_[predicted, copies], np.r_[judged, nulls]
    beside = known(*both, sources * 2, settings, is_copy=is_copy)
    assert alone[None, 0].slope == alone["a", 0].slope == 0
    assert beside[None, 0].slope > 0.2
    assert beside["a", 0].slope > 0.2
    for key, cell in alone.items():
        own, line = (
            replace(each.line, slope=0, error=0, squares=0, variance=0, free=0)
            for each in (beside[key], cell)
        )
        mean = pytest.approx(line.judged_mean, abs=0.05)
        assert own == replace(line, judged_mean=mean)
        assert replace(beside[key], line=cell.line) == cell


def test_copies_of_a_source_without_a_judged_document_tell_nothing_wild() -> None:
    """Of three copies the slope is drawn to the group's, and the group's mean places the source."""
    predicted, judged = agreement(203, 1, 1.0)
    predicted[200:, 0], judged[200:, 0] = [1, 5, 9], [9, 0, 1]
    is_copy = np.arange(203) >= 200
    cell = known(predicted, judged, ["a"] * 200 + ["b"] * 3, is_copy=is_copy).get(("b", 0))
    assert cell is None, "a source without a label has no cell"
    predicted, judged = np.r_[predicted, predicted[:1]], np.r_[judged, [[np.nan]]]
    found = known(predicted, judged, ["a"] * 200 + ["b"] * 4, is_copy=np.r_[is_copy, False])
    assert found["b", 0].rows == 0
    assert found["b", 0].slope == pytest.approx(found[None, 0].slope, abs=0.1)


def test_what_is_noise_places_its_source_and_ranks_nothing() -> None:
    random = np.random.default_rng(1)
    predicted = random.uniform(0, 10, (400, 1))
    judged = np.r_[np.full(200, 2.0), np.full(200, 8.0)][:, None] + random.normal(0, 1, (400, 1))
    found = known(predicted, judged, ["low"] * 200 + ["high"] * 200)
    assert found["low", 0].slope < 0.03
    assert found["low", 0].line.judged_mean == pytest.approx(2, abs=0.3)
    assert found["high", 0].line.judged_mean == pytest.approx(8, abs=0.3)


@pytest.mark.parametrize("rule", ["shrunk", "paper"])
def test_a_slot_that_is_null_in_over_half_of_a_source_does_not_count_there(rule: str) -> None:
    settings = SHRUNK.model_copy(update={"rule": rule})
    predicted, judged = agreement(200, 4, 0.5)
    judged[:51, 0] = np.nan  # 51 of the 100 of a
    judged[:50, 1] = np.nan
    found = known(predicted, judged, ["a"] * 100 + ["b"] * 100, settings)
    assert not found["a", 0].applies
    assert not found["a", 0].counts
    assert found["a", 0].reason == "does not apply: 51 of 100 labels have no score for it"
    assert found["a", 1].counts
    assert found["b", 0].counts
    table = a_table(found, settings)
    assert table.counts("a") == (False, True, True, True)
    assert table.counts("b") == (True, True, True, True)


def test_a_slot_of_weight_0_does_not_count() -> None:
    predicted, judged = agreement(100, 2, 0.5)
    found = known(predicted, judged, ["a"] * 100, weights=[0, 500])
    assert [found["a", slot].counts for slot in (0, 1)] == [False, True]
    assert found["a", 0].reason == "its weight is 0"


def test_the_paper_s_rule_takes_what_errs_little_and_ranks_well() -> None:
    predicted, judged = agreement(100, 4, 0.3)
    predicted[:, 1] = judged[:, 1] + 3
    predicted[:, 2] = np.random.default_rng(5).permutation(judged[:, 2])
    found = known(predicted, judged, ["a"] * 100, PAPER)
    assert [found[None, slot].counts for slot in range(4)] == [True, False, False, True]
    assert found[None, 1].reason.startswith("MAE 3.00, needed below 1; Spearman 1.00, needed 0.3")
    assert a_table(found, PAPER).group.counts == (True, False, False, True)


def test_the_paper_s_rule_asks_the_group_where_rows_or_slots_are_few() -> None:
    predicted, judged = agreement(229, 4, 0.3)
    predicted[200:, 0] = 10 - judged[200:, 0]  # the 29 of few: wrong, and not counted against it
    predicted[:100, :2] = 10 - judged[:100, :2]  # of a two slots are left, and three are needed
    sources = ["a"] * 100 + ["b"] * 100 + ["few"] * 29
    found = known(predicted, judged, sources, PAPER.model_copy(update={"max_mae_points": 3}))
    assert found["few", 0].counts == found[None, 0].counts
    assert found["few", 0].reason == "has 29 rows, needed 30: as in the group"
    assert sum(found["a", slot].counts for slot in range(4)) == 2
    assert "a" not in a_table(found, PAPER).sources


def test_a_source_to_which_nothing_applies_uses_the_group_s_cells() -> None:
    predicted, judged = agreement(100, 2, 0.5)
    judged[:50] = np.nan
    found = known(predicted, judged, ["none"] * 50 + ["some"] * 50)
    table = a_table(found)
    assert set(table.sources) == {"some"}
    assert table.cells("none") == table.cells("not labelled at all") == table.group


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=30))
@chosen(deadline=None)
def test_spearman_is_scipys_ties_included(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, float).T
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert rank_correlation(a, b) is None
    else:
        assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)


def test_an_interval_holds_the_true_correlation_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    held = 0
    for _ in range(500):
        x, y = random.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 60).T
        found = spearman(x, y)
        held += found.low <= 0.582 <= found.high  # Spearman of a normal pair of 0.6
    assert 0.92 < held / 500 < 0.98


LINES = st.builds(
    FittedLine, st.just(50), st.floats(0, 10), st.floats(0, 10), st.floats(-2, 3),
    st.one_of(st.floats(0.001, 5), st.just(np.inf)),
)  # fmt: skip


@given(LINES, st.floats(-0.01, 0.01))
@chosen(max_examples=1_000, deadline=None)
def test_the_slope_that_is_used_is_continuous_and_within_its_bounds(
    line: FittedLine, change: float
) -> None:
    slope, other = used_slope(line), used_slope(replace(line, slope=line.slope + change))
    assert 0 <= slope <= 1.5
    assert abs(slope - other) <= 2 * abs(change) + 1e-9


POINTS = st.one_of(st.none(), st.integers(0, 10))
LABELS = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.tuples(POINTS, POINTS), st.tuples(*[st.integers(0, 10)] * 2)
    ),
    min_size=4,
    max_size=25,
)
"""Source, judged and predicted points of two slots."""
EVERY_SCORE = np.array([[n * 1_000, 10_000 - n * 1_000] for n in range(11)], np.int16)


def rated_by_labels(judged: np.ndarray, predicted: np.ndarray, sources: list[str]) -> np.ndarray:
    """Qualities of scores of every size in every source and in one that has no label."""
    table = a_table(known(predicted, judged, sources))
    scored = [source for source in "abcd" for _ in EVERY_SCORE]
    rated = quality(np.tile(EVERY_SCORE, (4, 1)), scored, table)
    return rated.astype(int).reshape(4, len(EVERY_SCORE))


@given(LABELS, st.integers(0, 3), st.integers(0, 1), st.floats(0, 10))
@chosen(max_examples=1_000, deadline=None)
def test_qualities_do_not_jump_when_a_label_moves(
    labels: list[tuple[str, tuple[int | None, ...], tuple[int, ...]]],
    row: int,
    slot: int,
    moved: float,
) -> None:
    """Between what a label is and what it might be, the largest step is looked for by halves: no
    slot enters, leaves or turns round at one place."""
    judged = np.array([each for _, each, _ in labels], float)
    predicted = np.array([each for *_, each in labels], float)
    sources = [source for source, *_ in labels]

    def rated(label: float) -> np.ndarray:
        other = judged.copy()
        if not np.isnan(judged[row, slot]):
            other[row, slot] = label
        return rated_by_labels(other, predicted, sources)

    ends = (float(np.nan_to_num(judged[row, slot])), moved)
    before, after = (rated(label) for label in ends)
    assert ((before == -1) == (after == -1)).all()
    for _ in range(22):  # ten points become 0.000003: no more than a jump is left between
        middle = sum(ends) / 2
        between = rated(middle)
        if np.abs(before - between).max() >= np.abs(between - after).max():
            ends, after = (ends[0], middle), between
        else:
            ends, before = (middle, ends[1]), between
    assert np.abs(before - after).max() <= ROUNDING


def test_labels_of_which_nothing_is_known_rate_all_rows_of_a_source_alike() -> None:
    judged = np.array([[2.0, 4.0]] * 6)
    rated = rated_by_labels(judged, np.full((6, 2), 5.0), list("aaabbb"))
    assert {tuple(set(of_source)) for of_source in rated.tolist()} == {(3_000,)}
