"""Units of work: every document in one of them, the same for the same inputs."""

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira_spark.scoring import Scorer
from mira_spark.units import Unit, plan

A = Scorer("mira_group_a/1", "/students/a", "aa")
B = Scorer("mira_group_b/2", "/students/b", "bb")
GROUPS = {"code": "group_a", "web": "group_b", "chat": "group_b", "new": "group_c"}
SCORERS = {"group_a": A, "group_b": B}

Row = tuple[str, int, int, int]
sizes = st.dictionaries(
    st.tuples(st.sampled_from(sorted(GROUPS)), st.integers(0, 30)),
    st.tuples(st.integers(1, 9), st.integers(0, 60)),
    max_size=60,
).map(lambda found: [(*key, *size) for key, size in found.items()])


def unit(**changes: object) -> Unit:
    made = Unit("code", "group_a", 0, 3, 10, 100, True, A)
    return replace(made, **changes)  # type: ignore[arg-type]


def planned(rows: list[Row], unit_tokens: int, **scored: int) -> list[Unit]:
    """The plan where `scored` says how many documents of a source have a score already."""
    there = {s: sum(r[2] for r in rows if r[0] == s) + scored.get(s, 0) for s in GROUPS}
    return plan(rows, there, GROUPS, SCORERS, unit_tokens)


@given(sizes, st.integers(1, 150))
def test_every_bucket_of_a_scored_group_is_in_one_unit_and_no_other_is(
    rows: list[Row], unit_tokens: int
) -> None:
    units = planned(rows, unit_tokens)
    for source, bucket, _, _ in rows:
        holding = [u for u in units if u.source == source and u.first <= bucket <= u.last]
        assert len(holding) == (source != "new")
    for u in units:
        own = [r for r in rows if r[0] == u.source and u.first <= r[1] <= u.last]
        assert {u.first, u.last} <= {r[1] for r in own}
        assert u.documents == sum(r[2] for r in own)
        assert u.tokens == sum(r[3] for r in own)
        assert u.source_group == GROUPS[u.source]
        assert u.scorer == SCORERS[u.source_group]


@given(sizes, st.integers(1, 150))
def test_units_are_cut_near_the_tokens_asked_for(rows: list[Row], unit_tokens: int) -> None:
    units = planned(rows, unit_tokens)
    tokens = {(source, bucket): t for source, bucket, _, t in rows}
    for u in units:
        assert u.tokens <= unit_tokens or u.first == u.last
    for u, after in pairwise(units):
        if u.source == after.source:
            assert u.last < after.first
            assert u.tokens + tokens[after.source, after.first] > unit_tokens


@given(sizes, st.integers(1, 150), st.randoms())
def test_units_do_not_depend_on_the_order_of_the_rows(
    rows: list[Row], unit_tokens: int, random: Random
) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert planned(shuffled, unit_tokens) == planned(rows, unit_tokens)


def test_a_unit_is_full_at_exactly_its_tokens() -> None:
    rows = [("code", bucket, 1, 50) for bucket in range(5)]

    def ranges(unit_tokens: int) -> list[tuple[int, int]]:
        return [(u.first, u.last) for u in planned(rows, unit_tokens)]

    assert ranges(100) == [(0, 1), (2, 3), (4, 4)]
    assert ranges(99) == [(bucket, bucket) for bucket in range(5)]
    assert ranges(10**9) == [(0, 4)]


def test_a_unit_is_of_one_source() -> None:
    rows = [("web", 0, 2, 10), ("chat", 0, 3, 20), ("chat", 1, 4, 30)]
    assert planned(rows, 1000) == [
        Unit("chat", "group_b", 0, 1, 7, 50, True, B),
        Unit("web", "group_b", 0, 0, 2, 10, True, B),
    ]


@given(sizes, st.integers(1, 150), st.dictionaries(st.sampled_from(sorted(GROUPS)), st.just(1)))
def test_units_are_whole_while_no_document_of_their_source_has_a_score(
    rows: list[Row], unit_tokens: int, scored: dict[str, int]
) -> None:
    """A scored document may lie in a bucket between two others: a whole unit over it would score
    it again."""
    for u in planned(rows, unit_tokens, **scored):
        assert u.whole == (u.source not in scored)


def test_a_bucket_scored_already_inside_a_unit_is_not_scored_again() -> None:
    rows = [("code", 1, 5, 50), ("code", 3, 5, 50), ("web", 1, 5, 50), ("web", 3, 5, 50)]
    code, web = planned(rows, 1000, code=7)
    assert (code.first, code.last, code.documents, code.whole) == (1, 3, 10, False)
    assert (web.first, web.last, web.documents, web.whole) == (1, 3, 10, True)


def test_a_group_without_a_student_is_left_out() -> None:
    rows = [("new", 0, 1, 10), ("code", 0, 1, 10), ("web", 5, 1, 10)]
    there = {"new": 1, "code": 1, "web": 1}
    assert [u.source for u in plan(rows, there, GROUPS, {"group_a": A}, 1000)] == ["code"]
    assert plan(rows, there, GROUPS, {}, 1000) == []


def test_nothing_to_score_is_no_unit() -> None:
    assert planned([], 1000, code=5) == []


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
