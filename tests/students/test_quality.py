"""One quality of dimension scores: continuous in all that is known, and the same on every
machine."""

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from mira_spark.students.paper_rule import NO_QUALITY, paper_quality
from mira_spark.students.quality import QualityTable, SourceCells, quality
from tests.quality_tables import a_table

SLOTS = 4
THOUSANDTHS = st.integers(0, 10_000)


def of_slots(values: st.SearchStrategy[int]) -> st.SearchStrategy[list[int]]:
    return st.lists(values, min_size=SLOTS, max_size=SLOTS)


CELLS = st.fixed_dictionaries({
    "counts": st.lists(st.booleans(), min_size=SLOTS, max_size=SLOTS),
    "judged_mean": of_slots(THOUSANDTHS),
    "mean_prediction": of_slots(THOUSANDTHS),
    "slope": of_slots(st.integers(0, 1_500)),
})  # fmt: skip
WEIGHTS = of_slots(st.sampled_from([0, 1, 500, 1_000, 1_000_000]))
SCORES = of_slots(THOUSANDTHS)


def shrunk(cells: dict[str, list[int]], weights: list[int]) -> QualityTable:
    own = SourceCells.model_validate(cells)
    return QualityTable(rule="shrunk", weights=tuple(weights), group=own, sources={})


def rated(table: QualityTable, scores: list[int]) -> int:
    return int(quality(np.array([scores], np.int16), ["s"], table)[0])


@given(CELLS, WEIGHTS, SCORES)
@settings(max_examples=1_000, deadline=None)
def test_it_is_the_exact_weighted_mean_of_the_lines_within_0_and_10(
    cells: dict[str, list[int]], weights: list[int], scores: list[int]
) -> None:
    total, weight = Fraction(0), 0
    for slot in range(SLOTS):
        if cells["counts"][slot]:
            above = scores[slot] - cells["mean_prediction"][slot]
            line = cells["judged_mean"][slot] + Fraction(cells["slope"][slot] * above, 1_000)
            total += weights[slot] * line
            weight += weights[slot]
    wanted = min(10_000, max(0, floor(total / weight + Fraction(1, 2)))) if weight else NO_QUALITY
    assert rated(shrunk(cells, weights), scores) == wanted


INPUTS = {"scores": 10_000, "judged_mean": 10_000, "mean_prediction": 10_000, "slope": 1_500}
"""Each with the most it can be."""


@pytest.mark.parametrize("moved", INPUTS)
@given(
    cells=CELLS,
    weights=WEIGHTS,
    scores=SCORES,
    slot=st.integers(0, SLOTS - 1),
    step=st.sampled_from([-50, -1, 1, 50]),
)
@settings(max_examples=1_000, deadline=None)
def test_a_number_moves_a_quality_by_no_more_than_its_slot_s_weight_allows(
    moved: str,
    cells: dict[str, list[int]],
    weights: list[int],
    scores: list[int],
    slot: int,
    step: int,
) -> None:
    """A judged mean by its slot's share of the weights; a score and a mean prediction by the slope
    of that; a slope by that share of how far the score is from the mean prediction."""
    inputs = cells | {"scores": scores}
    value = min(INPUTS[moved], max(0, inputs[moved][slot] + step))
    after = inputs | {moved: [value if n == slot else v for n, v in enumerate(inputs[moved])]}
    by_input = {
        "judged_mean": 1_000,
        "slope": scores[slot] - cells["mean_prediction"][slot],
    }
    rate = Fraction(by_input.get(moved, cells["slope"][slot]), 1_000) * abs(
        value - inputs[moved][slot]
    )
    counting = [w * counts for w, counts in zip(weights, cells["counts"], strict=True)]
    share = Fraction(counting[slot], max(1, sum(counting)))
    first, second = (
        rated(shrunk({k: v for k, v in each.items() if k != "scores"}, weights), each["scores"])
        for each in (inputs, after)
    )
    assert abs(second - first) <= ceil(abs(share * rate))


@given(CELLS, WEIGHTS, SCORES, st.integers(0, SLOTS - 1), st.integers(-1, 1))
@settings(max_examples=1_000, deadline=None)
def test_a_weight_moves_a_quality_by_no_more_than_its_share(
    cells: dict[str, list[int]], weights: list[int], scores: list[int], slot: int, step: int
) -> None:
    """A slot whose weight comes to 0 fades out: it does not jump. Lines lie within -15 and 25
    points, so a slot can be so far from the mean."""
    other = [min(1_000_000, max(0, w + step * (n == slot))) for n, w in enumerate(weights)]
    totals = [
        sum(w * c for w, c in zip(each, cells["counts"], strict=True)) for each in (weights, other)
    ]
    before, after = (rated(shrunk(cells, each), scores) for each in (weights, other))
    if 0 in totals:
        assert NO_QUALITY in (before, after)
    else:
        assert abs(after - before) <= ceil(Fraction(40_000, max(totals)))


@given(CELLS, WEIGHTS, SCORES)
@settings(max_examples=1_000, deadline=None)
def test_a_quality_is_within_0_and_10_wherever_a_slot_counts(
    cells: dict[str, list[int]], weights: list[int], scores: list[int]
) -> None:
    counts = any(w and c for w, c in zip(weights, cells["counts"], strict=True))
    quality_ = rated(shrunk(cells, weights), scores)
    assert 0 <= quality_ <= 10_000 if counts else quality_ == NO_QUALITY


@given(CELLS, WEIGHTS, SCORES, SCORES)
@settings(max_examples=1_000, deadline=None)
def test_where_nothing_is_known_all_rows_are_equal(
    cells: dict[str, list[int]], weights: list[int], one: list[int], other: list[int]
) -> None:
    table = shrunk(cells | {"slope": [0] * SLOTS}, weights)
    assert rated(table, one) == rated(table, other)


def test_each_row_is_rated_by_the_cells_of_its_source_and_unknown_ones_by_the_group_s() -> None:
    table = a_table((True, True), {"left": (True, False), "none": (False, False)}, "shrunk")
    scores = np.array([[2_000, 8_000]] * 5, np.int16)
    sources = ["left", "none", "new", None, "left"]
    assert quality(scores, sources, table).tolist() == [2_000, NO_QUALITY, 5_000, 5_000, 2_000]
    paper = table.model_copy(update={"rule": "paper"})
    assert quality(scores, sources, paper).tolist() == [2_000, NO_QUALITY, 5_000, 5_000, 2_000]
    assert quality(scores[:0], [], table).tolist() == []


@given(st.lists(SCORES, min_size=1, max_size=20), st.lists(st.booleans(), min_size=4, max_size=4))
def test_the_paper_s_rule_is_the_trimmed_mean_of_what_counts(
    rows: list[list[int]], counts: list[bool]
) -> None:
    scores = np.array(rows, np.int16)
    found = quality(scores, ["s"] * len(rows), a_table(counts))
    assert found.tolist() == paper_quality(scores, np.array(counts)).tolist()


def test_weights_move_a_quality_and_a_weight_of_0_counts_for_nothing() -> None:
    cells = {"counts": [True] * SLOTS, "judged_mean": [5_000] * SLOTS,
             "mean_prediction": [5_000] * SLOTS, "slope": [1_000] * SLOTS}  # fmt: skip
    scores = [0, 10_000, 0, 0]
    assert rated(shrunk(cells, [1_000] * 4), scores) == 2_500
    assert rated(shrunk(cells, [1_000, 3_000, 1_000, 1_000]), scores) == 5_000
    assert rated(shrunk(cells, [0, 1_000, 0, 0]), scores) == 10_000
    assert shrunk(cells, [0, 1_000, 0, 0]).counts("s") == (False, True, False, False)
    assert rated(shrunk(cells, [0] * 4), scores) == NO_QUALITY


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slope": (1_501,)}, "less than or equal to 1500"),
        ({"judged_mean": (-1,)}, "greater than or equal to 0"),
        ({"counts": (True, True)}, r"the cells have \[1, 2\] slots, expected as many of each"),
    ],
)
def test_a_table_that_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    cells = {"counts": (True,), "judged_mean": (1,), "mean_prediction": (1,), "slope": (1,)}
    with pytest.raises(ValidationError, match=message):
        SourceCells.model_validate(cells | change)
