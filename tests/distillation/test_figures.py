"""Figures of a quality, the same as plain implementations give, with intervals over domains."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import spearmanr

from mira_spark.distillation import bootstrap, figures
from mira_spark.distillation.figures import QualityFigure, gain_difference, quality_figures
from mira_spark.distillation.judged_rows import JudgedRows
from mira_spark.labels.agreement import Estimate

NAN = float("nan")
UNDEFINED = Estimate(None, None, None)
Floats = npt.NDArray[np.float64]
Key = tuple[str, str, str | None]


def judged(n: int, seed: int = 0, sources: int = 3, domains: int = 20) -> JudgedRows:
    """Sources whose verdicts differ, domains that lie across them, lengths without meaning."""
    random = np.random.default_rng(seed)
    source, domain = random.integers(0, sources, n), random.integers(0, domains, n)
    return JudgedRows(
        np.round(5 + source + random.normal(size=n), 1),
        np.full(n, NAN),
        [f"s{i}" for i in source],
        [f"d{i}" for i in domain],
        (domain % 5).astype(np.int8),
        random.integers(1, 5_000, n),
        random.integers(1, 20_000, n),
    )


def thousandths(points: Floats) -> npt.NDArray[np.int16]:
    return np.where(np.isnan(points), -1, np.clip(points * 1000, 0, 10_000)).astype(np.int16)


def noisy(rows: JudgedRows, noise: float, seed: int = 1) -> Floats:
    errors = np.random.default_rng(seed).normal(0, noise, len(rows.verdict))
    return np.clip(np.round(rows.verdict + errors), 0, 10)


def by_key(measured: list[QualityFigure]) -> dict[Key, QualityFigure]:
    return {(row.predictor, row.figure, row.source): row for row in measured}


def student_figures(rows: JudgedRows, points: Floats, rounds: int = 20) -> dict[Key, QualityFigure]:
    return by_key(quality_figures(rows, thousandths(points), {}, rounds))


def value(found: dict[Key, QualityFigure], figure: str, predictor: str = "student") -> float:
    number = found[predictor, figure, None].estimate.value
    assert number is not None
    return number


def plain_gain(
    predicted: Floats, verdict: Floats, tokens: npt.NDArray[np.int64], share: float
) -> float:
    """Token by token: rows of one prediction are a heap of tokens that are all their mean."""

    def selected(by: Floats) -> float:
        mean_of = {
            level: np.average(verdict[by == level], weights=tokens[by == level])
            for level in set(by)
        }
        order = np.argsort(-by, kind="stable")
        heap = np.repeat([mean_of[level] for level in by[order]], tokens[order])
        budget = share * len(heap)
        whole = int(budget)
        part = (budget - whole) * heap[whole] if budget > whole else 0.0
        return float((heap[:whole].sum() + part) / budget)

    everything = np.average(verdict, weights=tokens)
    return (selected(predicted) - everything) / (selected(verdict) - everything)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 10), st.integers(1, 9)),
        min_size=2,
        max_size=20,
    ),
    st.sampled_from([0.2, 0.4, 0.6, 0.33]),
)
def test_the_gain_is_that_of_a_heap_of_tokens(
    documents: list[tuple[int, int, int]], share: float
) -> None:
    predicted, verdict, tokens = (np.array(column) for column in zip(*documents, strict=True))
    once = np.ones((len(documents), 1), np.uint16)
    own, best = (
        bootstrap.selection_gains(by, verdict, tokens, once, [share])[0, 0]
        for by in (predicted, verdict)
    )
    if len(set(verdict)) == 1:
        assert best == pytest.approx(0)
    else:
        assert own / best == pytest.approx(
            plain_gain(predicted.astype(float), verdict.astype(float), tokens, share)
        )


def test_no_order_among_documents_of_one_quality_matters() -> None:
    rows = judged(200)
    points = np.round(noisy(rows, 2) / 3)
    order = np.random.default_rng(0).permutation(200)
    first = quality_figures(rows, thousandths(points), {}, 20)
    second = quality_figures(rows.only(order), thousandths(points[order]), {}, 20)
    for one, other in zip(first, second, strict=True):
        assert [one.predictor, one.figure, one.source] == [
            other.predictor,
            other.figure,
            other.source,
        ]
        assert one.estimate.value == pytest.approx(other.estimate.value)
        assert one.estimate.low == pytest.approx(other.estimate.low)


def test_figures_are_those_of_scipy_and_numpy() -> None:
    rows = judged(300)
    points = noisy(rows, 1)
    names = np.array(rows.sources)
    found = student_figures(rows, points)
    assert value(found, "spearman") == pytest.approx(spearmanr(points, rows.verdict).statistic)
    for figure, target in (
        ("spearman_within_source", rows.verdict),
        ("length_correlation_within_source", rows.n_bytes),
    ):
        ranks = [spearmanr(points[names == s], target[names == s]).statistic for s in set(names)]
        sizes = [(names == s).sum() for s in set(names)]
        assert value(found, figure) == pytest.approx(np.average(ranks, weights=sizes))
    means = np.array([points[names == s].mean() for s in rows.sources])
    assert value(found, "variance_between_sources") == pytest.approx(means.var() / points.var())
    of_source = found["student", "spearman", "s1"]
    own = names == "s1"
    assert of_source.rows == own.sum()
    assert of_source.estimate.value == pytest.approx(
        spearmanr(points[own], rows.verdict[own]).statistic
    )
    assert found["student", "gain_40", "s1"].estimate.value == pytest.approx(
        plain_gain(points[own], rows.verdict[own], rows.n_tokens[own], 0.4)
    )


def test_resamples_draw_whole_domains() -> None:
    rows = judged(120, domains=6)
    weights = bootstrap.domain_resamples(rows.domains, 300, seed=0)
    domains = np.array(rows.domains)
    drawn = np.stack([weights[domains == name][0] for name in sorted(set(domains))])
    for name in set(domains):
        assert (weights[domains == name] == weights[domains == name][0]).all()
    assert (drawn.sum(axis=0) == 6).all()
    assert drawn.max() > 1
    assert (weights[:, 0] == 1).all()


def test_intervals_over_domains_hold_what_intervals_over_rows_do_not() -> None:
    """Quality is right about domains alone, as if each were one row many times."""
    hits = {"domains": 0, "rows": 0}
    for seed in range(60):
        random = np.random.default_rng(seed)
        domain = np.repeat(np.arange(30), 10)
        level = random.normal(size=30)
        verdict = 5 + level[domain]
        points = 5 + (0.6 * level + 0.8 * random.normal(size=30))[domain]
        clusters = {"domains": [f"d{i}" for i in domain], "rows": [str(i) for i in range(300)]}
        for name, drawn in clusters.items():
            weights = bootstrap.domain_resamples(drawn, 200, seed)
            ranks = bootstrap.rank_correlations(points, verdict, weights)
            estimate = bootstrap.estimate(ranks, 30)
            assert estimate.low is not None
            assert estimate.high is not None
            hits[name] += estimate.low <= 6 / np.pi * np.arcsin(0.3) <= estimate.high
    assert hits["domains"] >= 50
    assert hits["rows"] <= 35


def test_rows_of_one_domain_have_no_interval() -> None:
    rows = judged(100, domains=1)
    for row in quality_figures(rows, thousandths(noisy(rows, 1)), {}, 20):
        assert row.estimate.low is None
        assert row.estimate.high is None
    assert student_figures(rows, noisy(rows, 1))["student", "spearman", None].estimate.value


def test_a_constant_prediction_ranks_nothing_and_counts_as_0() -> None:
    rows = judged(300)
    mean_of = {s: rows.verdict[np.array(rows.sources) == s].mean() for s in set(rows.sources)}
    found = student_figures(rows, np.array([mean_of[s] for s in rows.sources]))
    assert value(found, "spearman") > 0.5
    assert value(found, "variance_between_sources") == pytest.approx(1)
    for figure in ("spearman_within_source", "length_correlation_within_source"):
        assert found["student", figure, None].estimate == Estimate(0, 0, 0)
    assert found["student", "spearman", "s0"].estimate == Estimate(0, 0, 0)
    assert found["student", "gain_40", "s0"].estimate.value == pytest.approx(0)
    half = noisy(rows, 0.1)
    whole = value(student_figures(rows, half), "spearman_within_source")
    half[np.array(rows.sources) == "s0"] = 5
    share = 1 - (np.array(rows.sources) == "s0").mean()
    assert value(student_figures(rows, half), "spearman_within_source") == pytest.approx(
        whole * share, abs=0.02
    )


def test_sources_of_few_rows_do_not_count_within_source() -> None:
    rows = judged(129, sources=1)
    sources = ["big"] * 100 + ["few"] * 20 + ["fewer"] * 9
    rows = JudgedRows(**{**vars(rows), "sources": sources})
    points = rows.verdict.copy()
    points[100:] *= -1
    measured = quality_figures(rows, np.zeros(129, np.int16), {"upside": points}, 20)
    found = by_key(measured)
    assert value(found, "spearman_within_source", "upside") == pytest.approx((100 - 20) / 120)
    assert {row.source for row in measured} == {None, "big"}


def test_all_predictors_are_measured_on_the_rows_they_share() -> None:
    rows = judged(200)
    verdict = rows.verdict.copy()
    verdict[:10] = NAN
    rows = JudgedRows(**{**vars(rows), "verdict": verdict})
    student, reference = noisy(rows, 1), noisy(rows, 2)
    student[10:30] = NAN
    reference[30:60] = NAN
    references = {"length": reference, "tfidf_ridge": np.full(200, NAN)}
    measured = quality_figures(rows, thousandths(student), references, 20)
    assert {row.rows for row in measured if row.source is None} == {140, 0}
    assert {row.predictor for row in measured} == {"student", "length", "verdict", "judge_reversed"}
    assert {row.rows for row in measured if row.predictor == "judge_reversed"} == {0}


def test_the_judge_in_reversed_order_is_measured_where_it_was_asked() -> None:
    rows = judged(200)
    rows.reversed_verdict[50:150] = rows.verdict[50:150] + 1
    found = by_key(quality_figures(rows, thousandths(noisy(rows, 2)), {}, 20))
    again = found["judge_reversed", "gain_40", None]
    assert again.rows == 100
    assert again.estimate == Estimate(*[pytest.approx(1)] * 3)
    lead = found["judge_reversed", "student_lead_40", None].estimate
    assert lead.high is not None
    assert lead.high < 0


def test_leads_are_paired() -> None:
    rows, random = judged(400), np.random.default_rng(0)
    student = np.round(rows.verdict + random.normal(0, 2, 400), 3).clip(0, 10)
    references = {"same": student, "near": student + random.normal(0, 0.1, 400)}
    found = by_key(quality_figures(rows, thousandths(student), references, 200))
    assert found["same", "student_lead_40", None].estimate == Estimate(0, 0, 0)
    near = found["near", "student_lead_40", None].estimate
    own = found["student", "gain_40", None].estimate
    assert near.high - near.low < (own.high - own.low) / 3


def test_the_difference_to_a_champion_is_on_the_rows_of_both() -> None:
    rows = judged(300)
    better, worse = thousandths(noisy(rows, 1)), thousandths(noisy(rows, 3))
    assert gain_difference(rows, better, better) == Estimate(0, 0, 0)
    above = gain_difference(rows, better, worse)
    assert above.low > 0
    unscored = np.where(np.arange(300) < 100, -1, worse).astype(np.int16)
    assert gain_difference(rows.only(np.arange(100, 300)), better[100:], worse[100:]) == (
        gain_difference(rows, better, unscored)
    )


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_or_no_rows_are_measured_as_far_as_they_go(n: int) -> None:
    rows = judged(n)
    measured = quality_figures(rows, thousandths(rows.verdict), {"length": rows.verdict}, 20)
    assert {row.rows for row in measured} == {n, 0}
    assert value(by_key(measured), "gain_40") == pytest.approx(1) if n == 2 else True
    assert figures.frame(measured)["value"].notna().any() == (n == 2)
    nothing = quality_figures(rows, np.full(n, -1, np.int16), {}, 20)
    assert {row.estimate for row in nothing} == {UNDEFINED}


@pytest.mark.parametrize("constant", [0.1, 7.3, 1 / 3])
def test_a_verdict_that_never_varies_leaves_nothing_to_find(constant: float) -> None:
    rows = JudgedRows(**{**vars(judged(90)), "verdict": np.full(90, constant)})
    found = student_figures(rows, np.random.default_rng(0).random(90) * 10)
    for figure in ("spearman", "spearman_within_source", "gain_20", "gain_40", "gain_60"):
        assert found["student", figure, None].estimate == UNDEFINED
    assert found["verdict", "variance_between_sources", None].estimate == UNDEFINED


def test_a_resample_of_equal_values_has_no_variance_to_share() -> None:
    drawn = np.repeat([0, 1], [40, 31])[:, None].astype(np.uint16)
    sources = ["a", "b", "c"] * 23 + ["a", "b"]
    for constant in np.linspace(0, 10, 41):
        values = np.array([0.1, 2.3] * 20 + [constant] * 31)
        assert np.isnan(bootstrap.variance_between(values, sources, drawn)).all()


def test_the_same_seed_gives_the_same_figures() -> None:
    rows, points = judged(100), thousandths(noisy(judged(100), 1))
    first = quality_figures(rows, points, {}, 20, seed=1)
    assert first == quality_figures(rows, points, {}, 20, seed=1)
    assert first != quality_figures(rows, points, {}, 20, seed=2)


def test_metrics_and_the_table_hold_every_figure() -> None:
    rows = judged(200)
    measured = quality_figures(rows, thousandths(noisy(rows, 1)), {"length": noisy(rows, 3)}, 20)
    metrics = figures.metrics(measured)
    names: Sequence[str] = list(metrics)
    assert names[:3] == [
        "quality/student/spearman",
        "quality/student/spearman_low",
        "quality/student/spearman_high",
    ]
    assert "quality/length/student_lead_40" in metrics
    assert "quality/verdict/length_correlation_within_source" in metrics
    assert not [name for name in names if "judge_reversed" in name], "it was never asked"
    table = figures.frame(measured)
    assert len(table) == len(measured)
    assert list(table) == [
        "source", "predictor", "figure", "rows", "value", "value_low", "value_high",
    ]  # fmt: skip
    assert table["value"].dtype == float
    assert list(figures.frame([])) == list(table)
