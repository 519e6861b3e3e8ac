"""Figures of each dimension, and intervals that hold what they say, on rows with planted truth."""

import re
from collections.abc import Sequence
from math import asin, pi, sqrt

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import spearmanr

from mira_spark.distillation import evaluation_plots
from mira_spark.distillation.evaluation import JUDGE, Measured, frame, measure, metrics
from mira_spark.labels.agreement import Estimate

NAN = float("nan")
UNDEFINED = Estimate(None, None, None)
Floats = npt.NDArray[np.float64]
Key = tuple[str | None, int, str]


def scores(rows: int, slots: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).integers(0, 11, (rows, slots)).astype(float)


def noisy(points: Floats, noise: float, seed: int = 1) -> Floats:
    return points + np.random.default_rng(seed).normal(0, noise, points.shape)


def found_for(
    student: Floats,
    judged: Floats,
    sources: Sequence[str],
    repeat: Floats | None = None,
    domains: Sequence[str] | None = None,
    **options: int,
) -> dict[Key, Measured]:
    """By default every row is its own domain."""
    again = np.full(judged.shape, NAN) if repeat is None else repeat
    places = [str(row) for row in range(len(sources))] if domains is None else domains
    measured = measure(student, judged, again, sources, places, **options)
    return {(m.source, m.slot, m.predictor): m for m in measured}


def pair(rows: int, rho: float, seed: int) -> tuple[Floats, Floats]:
    """Two normal columns [rows, 1] with Spearman 6 / pi * asin(rho / 2)."""
    random = np.random.default_rng(seed)
    first = random.normal(size=(rows, 1))
    return first, rho * first + sqrt(1 - rho**2) * random.normal(size=(rows, 1))


def covered(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= truth <= estimate.high


def test_a_student_that_equals_the_judge_is_without_error_or_doubt() -> None:
    judged = scores(90, 3)
    found = found_for(judged.copy(), judged, ["a", "b", "b"] * 30, repeat=judged)
    assert len(found) == 3 * 3 * 2
    for cell in found.values():
        assert cell.mae == Estimate(0, 0, 0)
        assert cell.spearman == Estimate(*[pytest.approx(1)] * 3)
    assert [found[s, 1, "student"].rows for s in (None, "a", "b")] == [90, 30, 60]


def test_cells_hold_the_figures_of_scipy_with_gaps_and_ties() -> None:
    judged = scores(150, 2)
    student = np.round(noisy(judged, 3))
    judged[::4, 1], student[::7, 1] = NAN, NAN
    sources = ["a"] * 60 + ["b"] * 90
    found = found_for(student, judged, sources, rounds=3)
    for (source, slot, predictor), cell in found.items():
        if predictor == "student":
            rows = np.array([source in (None, s) for s in sources])
            rows &= ~(np.isnan(student) | np.isnan(judged))[:, slot]
            guess, truth = student[rows, slot], judged[rows, slot]
            assert cell.rows == rows.sum()
            assert cell.mae.value == pytest.approx(np.abs(guess - truth).mean())
            assert cell.spearman.value == pytest.approx(spearmanr(guess, truth).statistic)


def test_resamples_are_what_drawing_the_rows_anew_gives() -> None:
    judged = scores(40, 1)
    student = np.round(noisy(judged, 3))
    cell = found_for(student, judged, ["s"] * 40, rounds=2000)[None, 0, "student"]
    random = np.random.default_rng(5)
    ranks, maes = [], []
    for _ in range(2000):
        rows = random.integers(0, 40, 40)
        ranks.append(spearmanr(student[rows, 0], judged[rows, 0]).statistic)
        maes.append(np.abs(student - judged)[rows].mean())
    for estimate, drawn in ((cell.spearman, ranks), (cell.mae, maes)):
        low, high = np.percentile(drawn, [2.5, 97.5])
        assert [estimate.low, estimate.high] == pytest.approx([low, high], abs=0.1 * (high - low))


def test_whole_domains_are_drawn() -> None:
    judged = scores(40, 1)
    sources = ["a", "b"] * 20
    student = judged + np.repeat([0, 1], 20)[:, None]
    domains = ["right"] * 20 + ["wrong"] * 20
    cells = found_for(student, judged, sources, domains=domains)
    assert cells[None, 0, "student"].mae == Estimate(0.5, 0, 1)
    alone = found_for(student[:20], judged[:20], sources[:20], domains=domains[:20])
    assert alone[None, 0, "student"].mae == Estimate(0, None, None)


def test_intervals_cover_the_truth_in_most_draws() -> None:
    rho, noise, hits = 0.7, sqrt(2 - 2 * 0.7), np.zeros(2)
    for seed in range(100):
        student, judged = pair(60, rho, seed)
        cell = found_for(student, judged, ["s"] * 60, rounds=200)[None, 0, "student"]
        hits += [
            covered(cell.spearman, 6 / pi * asin(rho / 2)),
            covered(cell.mae, noise * sqrt(2 / pi)),
        ]
    assert (hits >= 87).all()
    assert (hits < 100).all()


def test_the_judge_is_measured_where_it_was_asked_twice() -> None:
    judged = scores(60, 2)
    repeat = np.full(judged.shape, NAN)
    repeat[:20] = judged[:20] + 1
    found = found_for(judged, judged, ["a"] * 30 + ["b"] * 30, repeat=repeat, rounds=20)
    assert found[None, 0, JUDGE].rows == 20
    assert found[None, 0, JUDGE].mae == Estimate(1, 1, 1)
    assert found[None, 0, JUDGE].spearman.value == pytest.approx(1)
    assert found["b", 0, JUDGE] == Measured("b", 0, JUDGE, 0, UNDEFINED, UNDEFINED)


def test_constant_predictions_rank_nothing_and_a_constant_judge_leaves_nothing_to_rank() -> None:
    judged = scores(50, 2)
    judged[:, 1] = 5
    found = found_for(np.full(judged.shape, 4.0), judged, ["s"] * 50)
    assert found[None, 0, "student"].spearman == Estimate(0, 0, 0)
    assert found[None, 0, "student"].mae.value == pytest.approx(np.abs(judged[:, 0] - 4).mean())
    assert found[None, 1, "student"].spearman == UNDEFINED
    assert found[None, 1, "student"].mae == Estimate(1, 1, 1)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_documents_are_enough(rows: int) -> None:
    judged = scores(rows, 2) + np.arange(rows)[:, None] * 20
    cell = found_for(judged + 1, judged, ["s"] * rows)[None, 0, "student"]
    assert cell.rows == rows
    assert cell.mae == (UNDEFINED, Estimate(1, None, None), Estimate(1, 1, 1))[rows]
    assert cell.spearman.value == (pytest.approx(1) if rows == 2 else None)


def test_the_same_seed_gives_the_same_figures() -> None:
    judged = scores(60, 2)
    student, sources = noisy(judged, 2), ["a", "b"] * 30
    first, same, other = (found_for(student, judged, sources, seed=seed) for seed in (1, 1, 2))
    assert first == same
    assert first != other


def test_shapes_that_differ_are_refused() -> None:
    message = r"arrays of shapes [(2, 1), (2, 2)] for 2 rows: expected [rows, slots], all alike"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        found_for(np.zeros((2, 1)), np.zeros((2, 2)), ["a", "b"])
    with pytest.raises(ValueError, match="for 3 rows"):
        found_for(np.zeros((2, 2)), np.zeros((2, 2)), ["a", "b", "c"])


def test_metrics_are_the_groups_slots_without_undefined_figures() -> None:
    judged = scores(40, 2)
    judged[:, 1] = 5
    found = found_for(judged, judged, ["a", "b"] * 20, rounds=20)
    assert metrics(list(found.values())) == {
        "student/slot_00/mae": 0,
        "student/slot_00/spearman": pytest.approx(1),
        "student/slot_01/mae": 0,
    }


def test_the_table_has_a_row_per_cell_and_predictor() -> None:
    judged = scores(40, 2)
    judged[:, 1] = NAN
    found = found_for(judged, judged, ["a", "b"] * 20, rounds=20)
    rows = frame(list(found.values()))
    assert len(rows) == 3 * 2 * 2
    row = rows[(rows["source"] == "b") & (rows["slot"] == 0)].iloc[0]
    assert [row["predictor"], row["rows"], row["mae"], row["mae_high"]] == ["student", 20, 0, 0]
    assert rows["spearman_low"].dtype == float
    assert list(frame([]).columns) == list(rows.columns)


def test_plots_show_what_was_measured() -> None:
    judged = scores(60, 2)
    judged[3, 0] = NAN
    found = found_for(judged, judged, ["<b>a</b>", "c"] * 30, rounds=20)
    heatmap = evaluation_plots.heatmap(
        list(found.values()), "student", ["clear", "<i>deep</i>"], {(None, 1), ("c", 0)}
    )
    assert np.allclose(heatmap.data[0].z, 1)
    assert list(zip(heatmap.data[1].x, heatmap.data[1].y, strict=True)) == [(2, 0), (0, 1)]
    assert list(heatmap.layout.xaxis.ticktext) == ["whole group", "&lt;b&gt;a&lt;/b&gt;", "c"]
    assert "<i>deep" not in heatmap.to_json().replace("\\u003c", "<")

    calibration = evaluation_plots.calibration(judged, judged)
    assert calibration.data[0].x == calibration.data[0].y
    assert sum(calibration.data[0].customdata) == 119
    density = evaluation_plots.density(judged * 3 - 10, judged)
    assert np.sum(density.data[0].customdata) == 119


def test_plots_of_nothing_are_empty() -> None:
    nothing = np.empty((0, 2))
    for figure in (
        evaluation_plots.heatmap([], "student", ["clear"], set()),
        evaluation_plots.calibration(nothing, nothing),
        evaluation_plots.density(nothing, nothing),
    ):
        assert figure.to_json()
