"""Quality is an exact trimmed mean."""

from fractions import Fraction
from math import floor

import numpy as np
from hypothesis import given, strategies as st

from mira_spark.students.paper_rule import NO_QUALITY, paper_quality

rows = st.lists(st.tuples(st.integers(0, 10_000), st.booleans()), min_size=15, max_size=15)


def slowly(scores: list[int], mask: list[bool]) -> int:
    kept = sorted(score for score, reliable in zip(scores, mask, strict=True) if reliable)
    if len(kept) >= 5:
        kept = kept[1:-1]
    return floor(Fraction(sum(kept), len(kept)) + Fraction(1, 2)) if kept else NO_QUALITY


@given(st.lists(rows, max_size=8))
def test_quality_is_the_exact_trimmed_mean_with_halves_up(
    table: list[list[tuple[int, bool]]],
) -> None:
    scores = np.array([[s for s, _ in row] for row in table], np.int16).reshape(-1, 15)
    mask = np.array([[m for _, m in row] for row in table], bool).reshape(-1, 15)
    found = paper_quality(scores, mask)
    assert found.dtype == np.int16
    assert found.tolist() == [slowly(*map(list, zip(*row, strict=True))) for row in table]


@given(rows)
def test_one_mask_serves_all_rows(row: list[tuple[int, bool]]) -> None:
    scores, mask = np.array(row, np.int16)[:, 0], np.array([m for _, m in row])
    expected = slowly(scores.tolist(), mask.tolist())
    assert paper_quality(np.stack([scores, scores]), mask).tolist() == [expected] * 2


def test_trimming_begins_with_five_scores() -> None:
    four = np.array([[0, 0, 0, 10_000, 9_999]], np.int16)
    assert paper_quality(four, np.array([True] * 4 + [False])).tolist() == [2500]
    assert paper_quality(four, np.ones(5, bool)).tolist() == [3333]


def test_a_half_is_rounded_up() -> None:
    assert paper_quality(np.array([[1, 2]], np.int16), np.ones(2, bool)).tolist() == [2]
    assert paper_quality(np.array([[1, 1, 2]], np.int16), np.ones(3, bool)).tolist() == [1]


def test_a_row_without_a_reliable_score_has_no_quality() -> None:
    scores = np.full((2, 3), 5000, np.int16)
    mask = np.array([[False] * 3, [True, False, False]])
    assert paper_quality(scores, mask).tolist() == [-1, 5000]


def test_full_scale_does_not_overflow() -> None:
    assert paper_quality(np.full((1, 15), 10_000, np.int16), np.ones(15, bool)).tolist() == [10_000]
