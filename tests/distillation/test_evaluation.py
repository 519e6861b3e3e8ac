"""Figures, intervals that hold what they say, and leaks, on rows with planted truth."""

import re
from collections.abc import Sequence
from math import asin, pi, sqrt

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import norm, spearmanr
from sklearn.metrics import roc_auc_score

from mira_spark.distillation import evaluation_plots
from mira_spark.distillation.evaluation import (
    JUDGE,
    Measured,
    frame,
    measure,
    metrics,
    within_source_gain,
)
from mira_spark.distillation.leaks import SourceLeak, length_leak, source_leak
from mira_spark.labels.agreement import Estimate

NAN = float("nan")
UNDEFINED = Estimate(None, None, None)
Floats = npt.NDArray[np.float64]
Key = tuple[str | None, int | None, str]


def scores(rows: int, slots: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).integers(0, 11, (rows, slots)).astype(float)


def noisy(points: Floats, noise: float, seed: int = 1) -> Floats:
    return points + np.random.default_rng(seed).normal(0, noise, points.shape)


def found_for(
    student: Floats,
    judged: Floats,
    sources: Sequence[str],
    repeat: Floats | None = None,
    reliable: Sequence[bool] | None = None,
    **options: int,
) -> dict[Key, Measured]:
    again = np.full(judged.shape, NAN) if repeat is None else repeat
    mask = np.array([True] * judged.shape[1] if reliable is None else reliable)
    measured = measure({"student": student}, judged, again, sources, mask, **options)
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
    assert len(found) == 3 * 4 * 2
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
        if slot is not None and predictor == "student":
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


def test_documents_are_drawn_within_their_source() -> None:
    judged = scores(40, 1)
    sources = ["a"] * 10 + ["b"] * 30
    student = judged + np.array([[source == "b"] for source in sources])
    cell = found_for(student, judged, sources)[None, None, "student"]
    assert cell.mae == Estimate(0.75, 0.75, 0.75)


def test_intervals_cover_the_truth_in_most_draws() -> None:
    rho, noise, hits = 0.7, sqrt(2 - 2 * 0.7), np.zeros(2)
    for seed in range(100):
        student, judged = pair(60, rho, seed)
        cell = found_for(student, judged, ["s"] * 60, rounds=200)[None, None, "student"]
        hits += [
            covered(cell.spearman, 6 / pi * asin(rho / 2)),
            covered(cell.mae, noise * sqrt(2 / pi)),
        ]
    assert (hits >= 87).all()
    assert (hits < 100).all()


def test_the_mean_is_over_reliable_slots_that_have_the_figure() -> None:
    judged = scores(80, 4)
    student = np.stack([noisy(judged[:, slot], slot + 1) for slot in range(4)], axis=1)
    judged[:, 3] = 5
    reliable = [True, False, True, True]
    found = found_for(student, judged, ["s"] * 80, reliable=reliable, rounds=20)
    slots = [found[None, slot, "student"] for slot in range(4)]
    overall = found[None, None, "student"]
    assert slots[3].spearman == UNDEFINED
    assert overall.spearman.value == pytest.approx(
        (slots[0].spearman.value + slots[2].spearman.value) / 2
    )
    assert overall.mae.value == pytest.approx(sum(slots[s].mae.value for s in (0, 2, 3)) / 3)
    none = found_for(student, judged, ["s"] * 80, reliable=[False] * 4)[None, None, "student"]
    assert none == Measured(None, None, "student", 0, UNDEFINED, UNDEFINED)


def test_the_judge_is_measured_where_it_was_asked_twice() -> None:
    judged = scores(60, 2)
    repeat = np.full(judged.shape, NAN)
    repeat[:20] = judged[:20] + 1
    found = found_for(judged, judged, ["a"] * 30 + ["b"] * 30, repeat=repeat, rounds=20)
    assert found[None, 0, JUDGE].rows == 20
    assert found[None, 0, JUDGE].mae == Estimate(1, 1, 1)
    assert found[None, None, JUDGE].spearman.value == pytest.approx(1)
    assert found["b", None, JUDGE] == Measured("b", None, JUDGE, 0, UNDEFINED, UNDEFINED)


def test_constant_predictions_rank_nothing() -> None:
    judged = scores(50, 2)
    cell = found_for(np.full(judged.shape, 5.0), judged, ["s"] * 50)[None, None, "student"]
    assert cell.spearman == UNDEFINED
    assert cell.mae.value == pytest.approx(np.abs(judged - 5).mean())


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_documents_are_enough(rows: int) -> None:
    judged = scores(rows, 2) + np.arange(rows)[:, None] * 20
    sources = ["s"] * rows
    cell = found_for(judged + 1, judged, sources)[None, None, "student"]
    assert cell.rows == rows
    assert cell.mae == (UNDEFINED, Estimate(1, None, None), Estimate(1, 1, 1))[rows]
    assert cell.spearman.value == (pytest.approx(1) if rows == 2 else None)
    reliable = np.array([True, True])
    assert within_source_gain(judged, judged, judged, sources, reliable) == UNDEFINED
    assert source_leak(judged[:, 0], sources) == SourceLeak(UNDEFINED, None)
    assert length_leak(np.arange(rows), range(rows)).value == (1 if rows == 2 else None)


def test_the_same_seed_gives_the_same_figures() -> None:
    judged = scores(60, 2)
    student, sources = noisy(judged, 2), ["a", "b"] * 30

    def everything(seed: int) -> list[object]:
        return [
            found_for(student, judged, sources, seed=seed),
            within_source_gain(student, -student, judged, sources, np.ones(2, bool), seed=seed),
            source_leak(judged[:, 0], sources, seed=seed),
            length_leak(judged[:, 0], range(60), seed=seed),
        ]

    assert everything(1) == everything(1)
    assert all(one != other for one, other in zip(everything(1), everything(2), strict=True))


def test_shapes_that_differ_are_refused() -> None:
    message = r"arrays of shapes [(2, 1), (2, 2)] for 2 rows: expected [rows, slots], all alike"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        found_for(np.zeros((2, 1)), np.zeros((2, 2)), ["a", "b"])
    with pytest.raises(ValueError, match="for 3 rows"):
        found_for(np.zeros((2, 2)), np.zeros((2, 2)), ["a", "b", "c"])
    one = np.zeros((1, 1))
    with pytest.raises(ValueError, match=r"^'judge' is measured from repeat_judged: expected"):
        measure({JUDGE: one}, one, one, ["s"], np.ones(1, bool))


def by_source(rows: int, seed: int, rho: float) -> tuple[Floats, Floats, Floats, list[str]]:
    """(student, source mean, judged, sources): sources far apart, inside them Spearman of `rho`."""
    student, judged = pair(2 * rows, rho, seed)
    mean = np.repeat([0.0, 20.0], rows)[:, None]
    return student + mean, mean, judged + mean, ["a"] * rows + ["b"] * rows


def test_a_student_that_knows_only_the_source_gains_nothing() -> None:
    _, mean, judged, sources = by_source(60, 0, 0.5)
    reliable = np.ones(1, bool)
    assert found_for(mean, judged, sources)[None, 0, "student"].spearman.value > 0.8
    assert within_source_gain(mean, mean, judged, sources, reliable) == Estimate(0, 0, 0)
    fooled = within_source_gain(noisy(mean, 0.1), mean, judged, sources, reliable)
    assert covered(fooled, 0)


def test_the_gain_over_the_source_mean_covers_its_truth() -> None:
    truth, hits, above = 6 / pi * asin(0.6 / 2), 0, 0
    for seed in range(100):
        student, mean, judged, sources = by_source(40, seed, 0.6)
        gain = within_source_gain(student, mean, judged, sources, np.ones(1, bool), rounds=200)
        hits += covered(gain, truth)
        above += gain.low > 0
    assert 87 <= hits < 100
    assert above == 100


def test_gains_are_paired() -> None:
    student, _, judged, sources = by_source(60, 3, 0.6)
    reliable = np.ones(1, bool)
    same = within_source_gain(student, student.copy(), judged, sources, reliable)
    assert same == Estimate(0, 0, 0)
    near = within_source_gain(student, noisy(student, 0.05), judged, sources, reliable)
    assert near.high - near.low < 0.05


def test_gains_leave_out_unreliable_slots_small_sources_and_constant_judges() -> None:
    judged = np.tile(np.arange(40.0)[:, None], (1, 3))
    student = judged.copy()
    student[:, 1] *= -1
    student[35:] *= -1
    judged[:20, 2] = 5
    sources = ["a"] * 20 + ["b"] * 15 + ["small"] * 5
    reliable = np.array([True, False, True])
    against = np.zeros(judged.shape)
    gain = within_source_gain(student, against, judged, sources, reliable, rounds=50)
    assert gain == Estimate(*[pytest.approx(1)] * 3)
    smaller = within_source_gain(student, against, judged, sources, reliable, min_rows=5, rounds=50)
    assert smaller.value == pytest.approx((3 - 2) / 5)


def test_noise_tells_nothing_of_the_source() -> None:
    hits = beaten = 0
    for seed in range(50):
        quality = np.random.default_rng(seed).random(200)
        leak = source_leak(quality, ["a", "b"] * 100, rounds=200, seed=seed)
        hits += covered(leak.auc, 0.5)
        beaten += leak.auc.value > leak.chance
        assert 0.5 <= leak.auc.value < 0.65
    assert hits >= 42
    assert beaten <= 7


def test_chance_allows_for_many_small_sources() -> None:
    beaten = 0
    for seed in range(50):
        quality = np.random.default_rng(seed).random(90)
        leak = source_leak(quality, list("abcdef") * 15, rounds=200, seed=seed)
        assert leak.auc.value > 0.52
        beaten += leak.auc.value > leak.chance
    assert beaten <= 7


@pytest.mark.parametrize("order", ["abc", "bca", "cab"])
def test_separated_sources_can_be_read_off(order: str) -> None:
    quality = np.random.default_rng(0).integers(0, 1000, 90)
    quality += np.repeat([0, 2000, 4000], 30)
    leak = source_leak(quality, [source for source in order for _ in range(30)])
    assert leak.auc == Estimate(1, 1, 1)
    assert leak.chance < 0.7


def test_leaks_are_the_areas_of_scikit_learn() -> None:
    quality = np.random.default_rng(1).integers(0, 8, 120).astype(float)
    names = np.array(["a"] * 20 + ["b"] * 40 + ["c"] * 60)
    quality[names == "b"] -= 1
    quality[::9] = NAN
    known = quality >= 0
    areas = []
    for first, second in ("ab", "ac", "bc"):
        rows = known & ((names == first) | (names == second))
        area = roc_auc_score(names[rows] == first, quality[rows])
        areas.append(max(area, 1 - area))
    leak = source_leak(quality, names.tolist())
    assert (quality < 0).any()
    assert leak.auc.value == pytest.approx(np.mean(areas))


def test_intervals_of_leaks_cover_the_truth_in_most_draws() -> None:
    hits = np.zeros(2)
    for seed in range(100):
        random = np.random.default_rng(seed)
        quality = 9 + random.normal(size=80) + np.repeat([0, 1], 40)
        leak = source_leak(quality, ["a"] * 40 + ["b"] * 40, rounds=200)
        first, second = pair(60, 0.5, seed)
        of_length = length_leak(first[:, 0] + 9, 2 + second[:, 0], rounds=200)
        hits += [
            covered(leak.auc, norm.cdf(1 / sqrt(2))),
            covered(of_length, 6 / pi * asin(0.25)),
        ]
    assert (hits >= 87).all()
    assert (hits < 100).all()


def test_length_leaks_where_quality_follows_it() -> None:
    quality, sizes = np.arange(50), np.arange(50) ** 3
    assert length_leak(quality, sizes).value == pytest.approx(1)
    assert length_leak(-quality + 50, sizes).value == pytest.approx(-1)
    assert length_leak(np.full(50, 7), sizes) == UNDEFINED
    unscored = np.where(quality < 40, quality, -1)
    assert length_leak(unscored, sizes).value == pytest.approx(1)


def test_metrics_have_names_for_mlflow_and_no_undefined_figure() -> None:
    judged = scores(40, 2)
    sources = ["Wiki/EN 1", "wiki.en_1", "", "ü"] * 10
    measured = measure(
        {"student": noisy(judged, 1), "slot_mean": np.full(judged.shape, 5.0)},
        judged,
        np.full(judged.shape, NAN),
        sources,
        np.ones(2, bool),
        rounds=20,
    )
    found = metrics(measured, {"length_leak": Estimate(0.1, 0.0, 0.2), "gain": UNDEFINED})
    assert all(re.fullmatch("[a-z0-9_./-]+", name) for name in found)
    assert list(found)[:6] == [
        "student/mae",
        "student/mae_low",
        "student/mae_high",
        "student/spearman",
        "student/spearman_low",
        "student/spearman_high",
    ]
    assert list(found)[-3:] == ["length_leak", "length_leak_low", "length_leak_high"]
    assert "student/slot_01/spearman" in found
    assert "slot_mean/mae" in found
    assert "slot_mean/spearman" not in found
    assert all(type(value) is float and np.isfinite(value) for value in found.values())
    named = {name.split("/")[2] for name in found if name.startswith("student/source/")}
    assert named == {"wiki_en_1", "wiki_en_1-2", "_", "_-2"}


def test_the_table_has_a_row_per_cell_and_predictor() -> None:
    judged = scores(40, 2)
    judged[:, 1] = NAN
    found = found_for(judged, judged, ["a", "b"] * 20, rounds=20)
    rows = frame(list(found.values()))
    assert len(rows) == 3 * 3 * 2
    row = rows[(rows["source"] == "b") & (rows["slot"] == 0)].iloc[0]
    assert [row["predictor"], row["rows"], row["mae"], row["mae_high"]] == ["student", 20, 0, 0]
    assert rows["slot"].isna().sum() == 3 * 2
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
