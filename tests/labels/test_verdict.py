"""The judge's own verdict: a weighted mean over what applies to the source, and nothing else."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies as st

from mira_spark.labels.verdict import applies, verdicts

NULL = float("nan")


def test_a_dimension_applies_where_at_most_half_of_a_source_s_answers_are_null() -> None:
    judged = np.array([[5, NULL, NULL], [5, NULL, 7], [5, NULL, NULL], [5, 6, 7], [1, NULL, 2]])
    found = applies(judged, ["code", "code", "code", "code", "web"])
    assert {source: slots.tolist() for source, slots in found.items()} == {
        "code": [True, False, True],
        "web": [True, False, True],
    }


def test_what_does_not_apply_to_the_source_does_not_count_where_it_was_answered() -> None:
    judged = np.array([[4, NULL], [6, NULL], [5, 10], [5, 10]])
    sources = ["code", "code", "code", "web"]
    assert verdicts(judged, sources, [1_000, 1_000]).tolist() == [4, 6, 5, 7.5]


def test_weights_say_what_a_dimension_counts() -> None:
    judged = np.array([[10.0, 0, 4], [10, NULL, 4]])
    sources = ["web", "web"]
    assert verdicts(judged, sources, [1_000, 2_000, 1_000]).tolist() == [3.5, 7]
    assert verdicts(judged, sources, [1_000, 1_000, 0]).tolist() == [5, 10]


def test_there_is_no_verdict_where_nothing_that_counts_was_answered() -> None:
    judged = np.array([[NULL, 3], [NULL, NULL], [4, NULL], [4, 3], [NULL, NULL]])
    sources = ["web", "web", "web", "web", "licences"]
    assert np.isnan(verdicts(judged, sources, [1_000, 0])).tolist() == [
        True, True, False, False, True
    ]  # fmt: skip
    assert not applies(judged, sources)["licences"].any()


def test_no_rows_have_no_verdicts() -> None:
    assert verdicts(np.empty((0, 3)), [], [1, 1, 1]).shape == (0,)
    assert applies(np.empty((0, 3)), []) == {}


def test_a_source_for_each_row_is_needed() -> None:
    with pytest.raises(ValueError, match="shape"):
        verdicts(np.ones((2, 3)), ["web"], [1, 1, 1])


SLOTS = 3
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["web", "code", "c\x00"]),
        st.lists(st.none() | st.integers(0, 10), min_size=SLOTS, max_size=SLOTS),
    ),
    min_size=1,
    max_size=12,
)
WEIGHTS = st.lists(st.integers(0, 1_000_000), min_size=SLOTS, max_size=SLOTS)


def in_plain_words(rows: list[tuple[str, list[int | None]]], weights: list[int]) -> list[float]:
    """The definition, row by row, in exact fractions."""
    found = []
    for source, scores in rows:
        total = weighed = Fraction(0)
        for slot, score in enumerate(scores):
            answers = [other[slot] for name, other in rows if name == source]
            if score is not None and 2 * answers.count(None) <= len(answers):
                total, weighed = total + weights[slot] * score, weighed + weights[slot]
        found.append(float(total / weighed) if weighed else NULL)
    return found


@given(ROWS, WEIGHTS)
def test_the_verdict_is_its_definition_to_the_last_bit(
    rows: list[tuple[str, list[int | None]]], weights: list[int]
) -> None:
    judged = np.array([scores for _, scores in rows], dtype=np.float64)
    found = verdicts(judged, [source for source, _ in rows], weights)
    np.testing.assert_array_equal(found, in_plain_words(rows, weights))
    assert all(0 <= verdict <= 10 for verdict in found if verdict == verdict)
