"""The paper's rule gives the qualities it gave before there was another rule, where every dimension
applies: the reference below is how they were made then."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st

from mira_spark.distillation import cells
from mira_spark.settings.students import QualitySettings
from mira_spark.students.quality import quality

SLOTS = 6
SETTINGS = QualitySettings(rule="paper", min_rows=4, min_slots=2)
Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def masks(predicted: Points, judged: Points, sources: list[str]) -> tuple[dict[str, Mask], Mask]:
    """Which slots were reliable for each source, and for the group."""
    names = np.array(sources, object)

    def reliable(rows: Mask, slot: int, group: Mask | None) -> bool:
        guess, truth = predicted[rows, slot], judged[rows, slot]
        known = ~np.isnan(truth)
        guess, truth = guess[known], truth[known]
        if len(truth) < SETTINGS.min_rows:
            return False if group is None else bool(group[slot])
        rho = spearman(guess, truth)
        error = float(np.abs(guess - truth).mean())
        is_good = error < SETTINGS.max_mae_points
        return is_good and rho is not None and rho >= SETTINGS.min_spearman

    everything = np.ones(len(sources), bool)
    group = np.array([reliable(everything, slot, None) for slot in range(SLOTS)])
    own = {
        source: np.array([reliable(names == source, slot, group) for slot in range(SLOTS)])
        for source in set(sources)
    }
    return {
        s: mask if mask.sum() >= SETTINGS.min_slots else group for s, mask in own.items()
    }, group


def spearman(a: Points, b: Points) -> float | None:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def ranks(values: Points) -> Points:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle: Points = np.cumsum(counts) - (counts - 1) / 2
    return middle[inverse]


def trimmed_means(scores: npt.NDArray[np.int16], mask: Mask) -> list[int]:
    """-1 where no slot was reliable."""
    means = []
    for row, own in zip(scores.tolist(), mask.tolist(), strict=True):
        left = sorted(score for score, is_reliable in zip(row, own, strict=True) if is_reliable)
        left = left[1:-1] if len(left) >= 5 else left
        means.append((2 * sum(left) + len(left)) // (2 * len(left)) if left else -1)
    return means


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 80), noise=st.floats(0.1, 3))
def test_paper_gives_the_qualities_it_always_gave_where_every_dimension_applies(
    seed: int, rows: int, noise: float
) -> None:
    random = np.random.default_rng(seed)
    sources = random.choice(["a", "b", "c"], rows).tolist()
    judged = random.integers(0, 11, (rows, SLOTS)).astype(float)
    scores = np.clip(1000 * (judged + random.normal(0, noise, judged.shape)), 0, 10_000)
    scores = scores.astype(np.int16)
    judged[random.random(judged.shape) < 0.2] = np.nan
    for source in set(sources):  # a dimension applies where at least half is answered
        own = np.array(sources) == source
        judged[own] = np.where(np.isnan(judged[own]).mean(axis=0) > 0.5, 5, judged[own])
    predicted = cells.in_points(scores)
    nothing, no_copy = np.full_like(judged, np.nan), np.zeros(len(judged), bool)
    how = (1000,) * SLOTS, SETTINGS
    known = cells.cells(predicted, judged, nothing, sources, no_copy, *how)
    table = cells.quality_table(known, (1000,) * SLOTS, SETTINGS)
    by_source, group = masks(predicted, judged, sources)
    asked = [*sources, "new"]
    mask = np.array([by_source.get(source, group) for source in asked])
    scores = np.concatenate([scores, scores[:1]])
    assert quality(scores, asked, table).tolist() == trimmed_means(scores, mask)


@pytest.mark.parametrize("unanswered", [0.4, 0.6])
def test_a_dimension_that_does_not_apply_is_all_that_differs(unanswered: float) -> None:
    judged = np.tile(np.arange(10.0)[:, None], (1, SLOTS))
    judged[: int(10 * unanswered), 0] = np.nan
    scores = (1000 * np.tile(np.arange(10.0)[:, None], (1, SLOTS))).astype(np.int16)
    nothing, no_copy = np.full_like(judged, np.nan), np.zeros(10, bool)
    how = (1000,) * SLOTS, SETTINGS
    known = cells.cells(cells.in_points(scores), judged, nothing, ["a"] * 10, no_copy, *how)
    own = [cell.counts for cell in known if cell.source == "a"]
    assert own == [unanswered < 0.5, *[True] * (SLOTS - 1)]
