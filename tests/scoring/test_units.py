"""Units of work: every document in one of them, the same for the same inputs."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, strategies as st

from mira_spark.scoring.scorer import Scorer
from mira_spark.scoring.units import Bucket, Tally, Unit, cut_units, total

A = Scorer("mira_group_a/1", "/students/a", "aa")
B = Scorer("mira_group_b/2", "/students/b", "bb")
GROUPS = {"code": "group_a", "web": "group_b", "chat": "group_b", "new": "group_c"}
SCORERS = {"group_a": A, "group_b": B}

rows = st.dictionaries(
    st.tuples(st.sampled_from(sorted(GROUPS)), st.integers(0, 30)),
    st.tuples(st.integers(1, 9), st.integers(0, 60), st.integers(-9, 9)).map(lambda t: Tally(*t)),
    max_size=60,
)


def unit(**changes: object) -> Unit:
    made = Unit("code", "group_a", 0, 3, Tally(10, 100, 5), Tally(), A)
    return replace(made, **changes)  # type: ignore[arg-type]


def planned(
    documents: Mapping[Bucket, Tally], unit_tokens: int, scores: Mapping[Bucket, Tally] = {}
) -> list[Unit]:
    return cut_units(documents, scores, GROUPS, SCORERS, unit_tokens)


@given(rows, st.integers(1, 150))
def test_every_bucket_of_a_scored_group_is_in_one_unit_and_no_other_is(
    documents: dict[Bucket, Tally], unit_tokens: int
) -> None:
    units = planned(documents, unit_tokens)
    for source, bucket in documents:
        holding = [u for u in units if u.source == source and u.first <= bucket <= u.last]
        assert len(holding) == (source != "new")
    for u in units:
        own = {b: t for (s, b), t in documents.items() if s == u.source and u.first <= b <= u.last}
        assert {u.first, u.last} <= set(own)
        assert (u.there, u.scored) == (total(own.values()), Tally())
        assert (u.documents, u.tokens) == (u.there.documents, u.there.tokens)
        assert u.source_group == GROUPS[u.source]
        assert u.scorer == SCORERS[u.source_group]


@given(rows, st.integers(1, 150))
def test_units_are_cut_near_the_tokens_asked_for(
    documents: dict[Bucket, Tally], unit_tokens: int
) -> None:
    units = planned(documents, unit_tokens)
    for u in units:
        assert u.tokens <= unit_tokens or u.first == u.last
    for u, after in pairwise(units):
        if u.source == after.source:
            assert u.last < after.first
            assert u.tokens + documents[after.source, after.first].tokens > unit_tokens


@given(rows, st.integers(1, 150), st.randoms())
def test_units_do_not_depend_on_the_order_of_the_rows(
    documents: dict[Bucket, Tally], unit_tokens: int, random: Random
) -> None:
    shuffled = list(documents.items())
    random.shuffle(shuffled)
    assert planned(dict(shuffled), unit_tokens) == planned(documents, unit_tokens)


@given(rows, st.integers(1, 150), st.randoms())
def test_what_is_scored_changes_no_unit_but_ends_it(
    documents: dict[Bucket, Tally], unit_tokens: int, random: Random
) -> None:
    """So a unit that two drivers plan, or one before and after a crash, has one id."""
    before = planned(documents, unit_tokens)
    ended = [u for u in before if random.random() < 0.5]
    scores = {
        (s, b): t for (s, b), t in documents.items()
        if any(u.source == s and u.first <= b <= u.last for u in ended)
    }  # fmt: skip
    assert planned(documents, unit_tokens, scores) == [u for u in before if u not in ended]


def test_a_unit_is_full_at_exactly_its_tokens() -> None:
    documents = {("code", bucket): Tally(1, 50, 1) for bucket in range(5)}

    def ranges(unit_tokens: int) -> list[tuple[int, int]]:
        return [(u.first, u.last) for u in planned(documents, unit_tokens)]

    assert ranges(100) == [(0, 1), (2, 3), (4, 4)]
    assert ranges(99) == [(bucket, bucket) for bucket in range(5)]
    assert ranges(10**9) == [(0, 4)]


def test_a_unit_is_of_one_source() -> None:
    documents = {("web", 0): Tally(2, 10, 1), ("chat", 0): Tally(3, 20, 2),
                 ("chat", 1): Tally(4, 30, 3)}  # fmt: skip
    assert planned(documents, 1000) == [
        Unit("chat", "group_b", 0, 1, Tally(7, 50, 5), Tally(), B),
        Unit("web", "group_b", 0, 0, Tally(2, 10, 1), Tally(), B),
    ]


def test_a_unit_scored_in_part_has_the_rest_to_do() -> None:
    documents = {("code", 1): Tally(5, 50, 7), ("code", 3): Tally(5, 40, 8)}
    (left,) = planned(documents, 1000, {("code", 1): Tally(5, 50, 7), ("code", 3): Tally(2, 10, 1)})
    assert (left.first, left.last, left.documents, left.tokens) == (1, 3, 3, 30)


def test_scores_of_as_many_other_documents_are_not_those_of_these() -> None:
    documents = {("code", 1): Tally(5, 50, 7)}
    assert planned(documents, 1000, {("code", 1): Tally(5, 50, 8)}) == [
        Unit("code", "group_a", 1, 1, Tally(5, 50, 7), Tally(5, 50, 8), A)
    ]


def test_a_group_without_a_student_is_left_out() -> None:
    documents = {("new", 0): Tally(1, 10), ("code", 0): Tally(1, 10), ("web", 5): Tally(1, 10)}
    assert [u.source for u in cut_units(documents, {}, GROUPS, {"group_a": A}, 1000)] == ["code"]
    assert cut_units(documents, {}, GROUPS, {}, 1000) == []


def test_nothing_to_score_is_no_unit() -> None:
    assert planned({}, 1000) == []


def test_a_unit_s_id_is_another_for_each_thing_that_is_scored_or_scores() -> None:
    ids = [
        unit().unit_id("mira.scores", 7),
        unit().unit_id("mira.scores", 8),
        unit().unit_id("other.scores", 7),
        unit(source="web").unit_id("mira.scores", 7),
        unit(first=1).unit_id("mira.scores", 7),
        unit(last=4).unit_id("mira.scores", 7),
        unit(scorer=replace(A, student_id="mira_group_a/2")).unit_id("mira.scores", 7),
        unit(scorer=replace(A, artefact_sha256="ab")).unit_id("mira.scores", 7),
        unit().unit_id("mira.scores", 7, "mira_group_a/2"),
    ]
    assert len(set(ids)) == len(ids)
    assert {len(one) for one in ids} == {24}


@pytest.mark.parametrize(
    "change",
    [{}, {"scorer": replace(A, artefact_uri="/elsewhere")}, {"there": Tally(9, 9, 9)}],
)
def test_a_unit_s_id_does_not_depend_on_the_run(change: dict[str, object]) -> None:
    # Golden: another id would let a unit that was committed before be committed again.
    assert unit(**change).unit_id("mira.scores", 7) == "085dce61f206783b540566db"
