"""Canaries: a judge that moved, or is another model, is noticed; noise is not."""

import pytest

from mira_spark.labels.canaries import FIRST, Asking, JudgeDrift, check, replicate_of


def asking(scores: list[int], model: str = "m-1") -> Asking:
    return Asking({(f"d{i // 3}", i % 3): s for i, s in enumerate(scores)}, frozenset({model}))


def test_a_judge_that_stayed_the_same_passes() -> None:
    check(asking([3, 4, 5, 6]), asking([4, 4, 5, 6]), 0.3, "group_a")


@pytest.mark.parametrize("now", [[4, 5, 6, 6], [2, 3, 4, 6]])
def test_a_shift_of_the_mean_stops_the_labelling(now: list[int]) -> None:
    with pytest.raises(JudgeDrift, match=r"group_a: .* moved by [+-]0\.75 points over 4 scores"):
        check(asking([3, 4, 5, 6]), asking(now), 0.3, "group_a")


def test_a_shift_of_exactly_the_limit_passes() -> None:
    check(asking([0] * 10), asking([3] + [0] * 9), 0.3, "group_a")


def test_another_model_stops_the_labelling_whatever_it_scores() -> None:
    with pytest.raises(JudgeDrift, match="m-2 answers where m-1 gave the first labels"):
        check(asking([3, 4]), asking([3, 4], "m-2"), 0.3, "group_a")


def test_only_what_was_scored_both_times_is_compared() -> None:
    now = Asking({("d0", 0): 3, ("other", 0): 10}, frozenset({"m-1"}))
    check(asking([3, 9]), now, 0.3, "group_a")
    check(asking([3, 9]), Asking({}, frozenset()), 0.3, "group_a")


def test_every_asking_has_numbers_of_its_own_and_room_for_asking_again() -> None:
    assert replicate_of([]) == FIRST
    assert replicate_of([0, 1]) == FIRST, "labels and repeats are no askings of canaries"
    second = replicate_of([FIRST, FIRST])
    assert second > FIRST + 50
    assert replicate_of([FIRST, second, second + 2]) == second + (second - FIRST)
