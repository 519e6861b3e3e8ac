"""Figures of dimensions against plain computations of them."""

import numpy as np
import pytest

from mira_spark.rubrics import dimension_figures as figures
from mira_spark.rubrics.dimension_figures import DimensionScores

RANDOM = np.random.default_rng(2)
SOURCES = ["a", "b"] * 40


def scores() -> DimensionScores:
    """Eighty documents on four dimensions, a tenth of the cells null."""
    drawn = RANDOM.integers(0, 11, (80, 4)).astype(np.float64)
    drawn[:, 1] = np.clip(drawn[:, 0] + RANDOM.integers(-2, 3, 80), 0, 10)
    drawn[RANDOM.random(drawn.shape) < 0.1] = np.nan
    return drawn


def test_spreads_are_standard_deviations_of_each_source() -> None:
    all_scores = scores()
    spreads = figures.source_spreads(all_scores, SOURCES)
    own = all_scores[::2]
    assert np.allclose(spreads["a"], np.nanstd(own, axis=0, ddof=1))


def test_a_spread_of_few_documents_is_not_known() -> None:
    all_scores = scores()
    all_scores[8:, 0] = np.nan
    assert np.isnan(figures.source_spreads(all_scores, SOURCES)["a"][0])


def test_correlations_are_pearsons_within_sources_over_pairs() -> None:
    centred = figures.within_sources(scores(), SOURCES)
    assert np.allclose(np.nanmean(centred[::2], axis=0), 0)
    r = figures.correlations(centred)
    both = ~np.isnan(centred[:, 0]) & ~np.isnan(centred[:, 1])
    assert r[0, 1] == pytest.approx(np.corrcoef(centred[both, 0], centred[both, 1])[0, 1])
    assert np.allclose(r, r.T)
    assert np.allclose(np.diag(r), 1)


def test_what_never_varies_is_correlated_with_nothing_not_even_itself() -> None:
    centred = figures.within_sources(np.column_stack([scores(), np.full(80, 7.0)]), SOURCES)
    assert not figures.correlations(centred)[-1].any()


def test_a_mean_of_sources_makes_no_correlation() -> None:
    high = np.array([8.0 if source == "a" else 2.0 for source in SOURCES])
    both = np.column_stack([high + RANDOM.normal(0, 1, 80), high + RANDOM.normal(0, 1, 80)])
    assert np.corrcoef(both.T)[0, 1] > 0.8
    assert abs(figures.correlations(figures.within_sources(both, SOURCES))[0, 1]) < 0.3


def test_an_item_is_correlated_with_the_mean_of_the_rest() -> None:
    whole = RANDOM.normal(5, 2, (80, 3))
    centred = figures.within_sources(whole, SOURCES)
    units = centred / np.sqrt((centred**2).mean(axis=0))
    expected = np.corrcoef(units[:, 0], units[:, 1:].mean(axis=1))[0, 1]
    assert figures.item_rest(centred)[0] == pytest.approx(expected)


def test_agreement_is_one_for_the_same_and_none_for_chance() -> None:
    first = RANDOM.integers(0, 11, (2_000, 2)).astype(np.float64)
    second = first.copy()
    second[:, 1] = RANDOM.permutation(second[:, 1])
    same, chance = figures.agreement(first, second)
    assert same == 1
    assert abs(chance) < 0.1


def test_agreement_is_unknown_where_nothing_varies_or_too_little_was_asked_twice() -> None:
    constant = np.full((20, 1), 10.0)
    assert np.isnan(figures.agreement(constant, constant)).all()
    few = np.where(np.arange(80)[:, None] < 4, scores(), np.nan)
    assert np.isnan(figures.agreement(scores(), few)).all()


@pytest.mark.parametrize(
    ("r", "dimensions", "alpha"),
    [
        (np.eye(5), 5, 0),
        (np.ones((5, 5)), 1, 1),
        (np.diag([1.0, 1.0, 0.0]), 2, 0),
        (np.full((4, 4), 0.5) + 0.5 * np.eye(4), 16 / 7, 0.8),
        (np.zeros((3, 3)), 0, None),
    ],
)
def test_effective_dimensions_and_alpha(
    r: DimensionScores, dimensions: float, alpha: float | None
) -> None:
    assert figures.effective_dimensions(r) == pytest.approx(dimensions)
    found = figures.cronbach_alpha(r)
    assert found == alpha if alpha is None else found == pytest.approx(alpha)


def test_effective_dimensions_are_the_participation_ratio_of_the_eigenvalues() -> None:
    r = figures.correlations(figures.within_sources(RANDOM.normal(size=(80, 6)), SOURCES))
    eigenvalues = np.linalg.eigvalsh(r)
    expected = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    assert figures.effective_dimensions(r) == pytest.approx(expected)
