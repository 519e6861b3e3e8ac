"""Cells, masks and the gate."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error

from mira_spark.distillation.reliability import (
    Cell,
    Gate,
    cells,
    gate,
    masks,
    mean_spearman,
    spearman,
)
from mira_spark.settings.students import ReliabilitySettings

SETTINGS = ReliabilitySettings()


def agreement(rows: int, slots: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    judged = random.integers(0, 11, (rows, slots)).astype(float)
    return judged + random.normal(0, noise, judged.shape), judged


def by_key(found: list[Cell]) -> dict[tuple[str | None, int], Cell]:
    return {(cell.source, cell.slot): cell for cell in found}


def a_cell(source: str | None, slot: int, reliable: bool, rho: float | None = 0.6) -> Cell:
    return Cell(source, slot, 100, 0.5, rho, None, reliable)


def test_cells_hold_the_figures_of_scipy_and_scikit_learn() -> None:
    predicted, judged = agreement(200, 3, 2.0)
    judged[::5, 1] = np.nan
    repeat = np.full(judged.shape, np.nan)
    repeat[:20] = judged[:20] + 1
    sources = ["a"] * 90 + ["b"] * 110
    found = by_key(cells(predicted, judged, sources, repeat, SETTINGS))
    assert list(found) == [(s, slot) for s in (None, "a", "b") for slot in range(3)]
    for (source, slot), cell in found.items():
        rows = np.array([source in (None, s) for s in sources]) & ~np.isnan(judged[:, slot])
        guess, truth = predicted[rows, slot], judged[rows, slot]
        assert cell.rows == rows.sum()
        assert cell.mae == pytest.approx(mean_absolute_error(truth, guess))
        assert cell.spearman == pytest.approx(spearmanr(guess, truth).statistic)
        assert cell.judge_mae == (None if source == "b" else pytest.approx(1.0))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=30))
def test_spearman_is_scipys_ties_included(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, float).T
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert spearman(a, b) is None
    else:
        assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)


def test_a_cell_needs_small_errors_and_some_order() -> None:
    predicted, judged = agreement(60, 4, 0.1)
    predicted[:, 1] += 1.1
    judged[:, 2] = 5 + np.arange(60) % 2
    predicted[:, 2] = 5.5
    predicted[:, 3] = 10 - judged[:, 3]
    found = cells(predicted, judged, ["s"] * 60, np.full(judged.shape, np.nan), SETTINGS)
    assert [cell.reliable for cell in found] == [True, False, False, False] * 2
    assert found[2].spearman is None
    assert found[2].mae == pytest.approx(0.5)


def test_the_limits_are_below_max_mae_and_from_min_spearman() -> None:
    predicted, judged = agreement(60, 1, 0.5)
    exact = cells(predicted, judged, ["s"] * 60, judged, SETTINGS)[0]
    none = np.full(judged.shape, np.nan)

    def reliable(**limits: float) -> bool:
        return cells(predicted, judged, ["s"] * 60, none, ReliabilitySettings(**limits))[0].reliable

    assert not reliable(max_mae_points=exact.mae)
    assert reliable(max_mae_points=np.nextafter(exact.mae, 9))
    assert reliable(min_spearman=exact.spearman)
    assert not reliable(min_spearman=np.nextafter(exact.spearman, 9))


def test_a_source_with_few_rows_follows_the_group() -> None:
    predicted, judged = agreement(129, 1, 0.1)
    predicted[100:] = 10 - judged[100:]
    sources = ["big"] * 100 + ["few"] * 29
    none = np.full(judged.shape, np.nan)
    loose = ReliabilitySettings(max_mae_points=3)
    found = by_key(cells(predicted, judged, sources, none, loose))
    assert found["few", 0].spearman == pytest.approx(-1)
    assert found["few", 0].reliable
    assert found["few", 0].rows == 29
    stricter = ReliabilitySettings(max_mae_points=3, min_rows=29)
    assert not by_key(cells(predicted, judged, sources, none, stricter))["few", 0].reliable


def test_a_group_with_few_rows_has_no_reliable_slot() -> None:
    predicted, judged = agreement(29, 5, 0.0)
    found = cells(predicted, judged, ["s"] * 29, judged, SETTINGS)
    assert not any(cell.reliable for cell in found)


def test_a_slot_nobody_judged_has_no_figures() -> None:
    predicted, judged = agreement(50, 1, 0.1)
    judged[:] = np.nan
    found = cells(predicted, judged, ["s"] * 50, judged, SETTINGS)
    assert found == [Cell(source, 0, 0, None, None, None, False) for source in (None, "s")]


def test_masks_fall_back_to_the_group_below_three_slots() -> None:
    group = [a_cell(None, slot, slot < 4) for slot in range(5)]
    three = [a_cell("three", slot, slot > 1) for slot in range(5)]
    two = [a_cell("two", slot, slot > 2) for slot in range(5)]
    by_source, own = masks([*two, *group[::-1], *three], ["three", "two", "unseen"], SETTINGS)
    assert own.tolist() == [True] * 4 + [False]
    assert {name: mask.tolist() for name, mask in by_source.items()} == {
        "three": [False, False, True, True, True],
        "two": own.tolist(),
        "unseen": own.tolist(),
    }


def test_the_gate_opens_for_a_good_student() -> None:
    found = [a_cell(None, slot, slot < 3, 0.5) for slot in range(15)]
    slots = (
        "3 of 15 slots are reliable on 100 validation rows; needed 3, each with MAE below 1 and "
        "Spearman of at least 0.3 on 30 rows"
    )
    mean = "mean Spearman over reliable slots is 0.500; needed 0.5"
    assert gate(found, None, SETTINGS) == Gate([], [slots, mean])
    opened = gate(found, 0.53, SETTINGS)
    assert opened.passed
    assert opened.met == [slots, mean, f"{mean}00, the champion's 0.530 less 0.03"]


def test_the_gate_says_what_it_found_and_needed() -> None:
    few = [a_cell(None, slot, slot < 2, 0.9) for slot in range(15)]
    assert gate(few, None, SETTINGS).reasons == [
        "2 of 15 slots are reliable on 100 validation rows; needed 3, each with MAE below 1 and "
        "Spearman of at least 0.3 on 30 rows"
    ]
    weak = [a_cell(None, slot, True, 0.4) for slot in range(15)]
    assert not gate(weak, 0.6, SETTINGS).passed
    assert gate(weak, 0.6, SETTINGS).reasons == [
        "mean Spearman over reliable slots is 0.400; needed 0.5",
        "mean Spearman over reliable slots is 0.400; needed 0.570, the champion's 0.600 less 0.03",
    ]
    none = [replace(cell, reliable=False, spearman=None, rows=0) for cell in weak]
    assert gate(none, 0.6, SETTINGS).reasons == [
        "0 of 15 slots are reliable on 0 validation rows; needed 3, each with MAE below 1 and "
        "Spearman of at least 0.3 on 30 rows"
    ]


def test_the_gates_figure_covers_the_groups_reliable_slots_only() -> None:
    found = [a_cell(None, 0, True, 0.6), a_cell(None, 1, True, 0.8), a_cell(None, 2, False, 0.1)]
    assert mean_spearman([*found, a_cell("s", 0, True, 0.1)]) == pytest.approx(0.7)
    assert mean_spearman(found[2:]) is None
