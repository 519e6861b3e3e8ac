"""Units of work: every document in one of them, the same for the same inputs."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira_spark.scoring import Scorer
from mira_spark.units import Unit, plan

A = Scorer("mira_group_a/1", "/students/a", "aa")
B = Scorer("mira_group_b/2", "/students/b", "bb")
GROUPS = {"code": "group_a", "web": "group_b", "chat": "group_b", "new": "group_c"}
SCORERS = {"group_a": A, "group_b": B}

buckets = st.dictionaries(
    st.tuples(st.sampled_from(sorted(GROUPS)), st.integers(0, 30)),
    st.tuples(st.integers(1, 9), st.integers(0, 60), st.integers(0, 1)),
    max_size=60,
)


def unit(**changes: object) -> Unit:
    return replace(Unit("code", "group_a", 0, 3, 10, 100, True, A), **changes)  # type: ignore[arg-type]


@given(buckets, st.integers(1, 150))
def test_every_bucket_of_a_scored_group_is_in_one_unit_and_no_other_is(
    sizes: dict[tuple[str, int], tuple[int, int, int]], unit_tokens: int
) -> None:
    rows = [(s, b, d, t, d + more) for (s, b), (d, t, more) in sizes.items()]
    units = plan(rows, GROUPS, SCORERS, unit_tokens)
    for (source, bucket), _ in sizes.items():
        holding = [u for u in units if u.source == source and u.first <= bucket <= u.last]
        assert len(holding) == (source != "new")
    for u in units:
        own = [r for r in rows if r[0] == u.source and u.first <= r[1] <= u.last]
        assert {u.first, u.last} <= {r[1] for r in own}
        assert u.documents == sum(r[2] for r in own)
        assert u.tokens == sum(r[3] for r in own)
        assert u.source_group == GROUPS[u.source]
        assert u.scorer == SCORERS[u.source_group]


@given(buckets, st.integers(1, 150))
def test_units_are_cut_near_the_tokens_asked_for(
    sizes: dict[tuple[str, int], tuple[int, int, int]], unit_tokens: int
) -> None:
    rows = [(s, b, d, t, d + more) for (s, b), (d, t, more) in sizes.items()]
    units = plan(rows, GROUPS, SCORERS, unit_tokens)
    tokens = {(s, b): t for s, b, _, t, _ in rows}
    for u in units:
        assert u.tokens <= unit_tokens or u.first == u.last
    for u, after in pairwise(units):
        if u.source == after.source:
            assert u.last < after.first
            assert u.tokens + tokens[after.source, after.first] > unit_tokens


@given(buckets, st.integers(1, 150), st.randoms())
def test_units_do_not_depend_on_the_order_of_the_rows(
    sizes: dict[tuple[str, int], tuple[int, int, int]], unit_tokens: int, random: object
) -> None:
    rows = [(s, b, d, t, d + more) for (s, b), (d, t, more) in sizes.items()]
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan(shuffled, GROUPS, SCORERS, unit_tokens) == plan(rows, GROUPS, SCORERS, unit_tokens)


def test_a_unit_is_full_at_exactly_its_tokens() -> None:
    rows = [("code", bucket, 1, 50, 1) for bucket in range(5)]
    assert [(u.first, u.last) for u in plan(rows, GROUPS, SCORERS, 100)] == [(0, 1), (2, 3), (4, 4)]
    assert [(u.first, u.last) for u in plan(rows, GROUPS, SCORERS, 99)] == [
        (b, b) for b in range(5)
    ]
    assert [(u.first, u.last) for u in plan(rows, GROUPS, SCORERS, 10**9)] == [(0, 4)]


def test_a_unit_is_of_one_source() -> None:
    rows = [("web", 0, 2, 10, 2), ("chat", 0, 3, 20, 3), ("chat", 1, 4, 30, 4)]
    assert plan(rows, GROUPS, SCORERS, 1000) == [
        Unit("chat", "group_b", 0, 1, 7, 50, True, B),
        Unit("web", "group_b", 0, 0, 2, 10, True, B),
    ]


def test_a_unit_is_whole_while_none_of_its_documents_has_a_score() -> None:
    rows = [("code", b, 2, 50, there) for b, there in enumerate([2, 2, 2, 3, 3, 2, 2, 2])]
    units = plan(rows, GROUPS, SCORERS, 100)
    assert [u.whole for u in units] == [True, False, False, True]


def test_a_unit_is_not_whole_when_a_bucket_inside_it_is_scored_already() -> None:
    """Bucket 2 has nothing to score, so it is not in the sizes, but its documents are there: a
    whole unit from 1 to 3 would score them again."""
    rows = [("code", 1, 5, 50, 5), ("code", 3, 5, 50, 5)]
    for u in plan(rows, GROUPS, SCORERS, 1000):
        assert not (u.whole and u.first <= 2 <= u.last)


def test_a_group_without_a_student_is_left_out() -> None:
    rows = [("new", 0, 1, 10, 1), ("code", 0, 1, 10, 1), ("web", 5, 1, 10, 1)]
    assert [u.source for u in plan(rows, GROUPS, {"group_a": A}, 1000)] == ["code"]
    assert plan(rows, GROUPS, {}, 1000) == []


def test_nothing_to_score_is_no_unit() -> None:
    assert plan([], GROUPS, SCORERS, 1000) == []


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
    ]
    assert len(set(ids)) == len(ids)
    assert {len(one) for one in ids} == {24}


@pytest.mark.parametrize(
    "change",
    [{}, {"scorer": replace(A, artefact_uri="/elsewhere")}, {"documents": 9, "tokens": 9}],
)
def test_a_unit_s_id_does_not_depend_on_the_run(change: dict[str, object]) -> None:
    # Golden: another id would let a unit that was committed before be committed again.
    assert unit(**change).unit_id("mira.scores", 7) == "dee8c1e2506967a4e22b4f6f"
