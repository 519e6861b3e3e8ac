"""Units of work: every document in one of them, the same for the same inputs."""

from collections import Counter
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
    made = Unit(("code",), "group_a", 0, 3, Tally(10, 100, 5), Tally(), A)
    return replace(made, **changes)  # type: ignore[arg-type]


def planned(
    documents: Mapping[Bucket, Tally], unit_tokens: int, scores: Mapping[Bucket, Tally] = {}
) -> list[Unit]:
    return cut_units(documents, scores, GROUPS, SCORERS, unit_tokens)


def holds(u: Unit, source: str, bucket: int) -> bool:
    return source in u.sources and u.first <= bucket <= u.last


@given(rows, st.integers(1, 150))
def test_every_bucket_of_a_scored_group_is_in_one_unit_and_no_other_is(
    documents: dict[Bucket, Tally], unit_tokens: int
) -> None:
    units = planned(documents, unit_tokens)
    for place in documents:
        assert sum(holds(u, *place) for u in units) == (place[0] != "new")
    for u in units:
        own = {place: tally for place, tally in documents.items() if holds(u, *place)}
        buckets = [bucket for _, bucket in own]
        assert (u.first, u.last) == (min(buckets), max(buckets))
        assert u.sources == tuple(sorted({source for source, _ in own}))
        assert (u.there, u.scored) == (total(own.values()), Tally())
        assert (u.documents, u.tokens) == (u.there.documents, u.there.tokens)
        assert {u.source_group} == {GROUPS[source] for source in u.sources}
        assert u.scorer == SCORERS[u.source_group]


@given(rows, st.integers(1, 150))
def test_units_are_cut_near_the_tokens_asked_for(
    documents: dict[Bucket, Tally], unit_tokens: int
) -> None:
    units = planned(documents, unit_tokens)
    for u in units:
        assert u.tokens <= unit_tokens or (u.first == u.last and len(u.sources) == 1)
    for u, after in pairwise(units):
        if u.sources == after.sources:
            assert u.last < after.first
            assert u.tokens + documents[after.sources[0], after.first].tokens > unit_tokens


@given(rows, st.integers(1, 150))
def test_a_source_shares_a_unit_whole_or_not_at_all_and_two_that_fit_together_do(
    documents: dict[Bucket, Tally], unit_tokens: int
) -> None:
    units = planned(documents, unit_tokens)
    parts = Counter(source for u in units for source in u.sources)
    for u in units:
        assert len(u.sources) == 1 or {parts[source] for source in u.sources} == {1}
    for group in SCORERS:
        small = [u.tokens for u in units if u.source_group == group and parts[u.sources[0]] == 1]
        assert all(one + after > unit_tokens for one, after in pairwise(small))


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
        if any(holds(u, s, b) for u in ended)
    }  # fmt: skip
    assert planned(documents, unit_tokens, scores) == [u for u in before if u not in ended]


def test_a_unit_is_full_at_exactly_its_tokens() -> None:
    documents = {("code", bucket): Tally(1, 50, 1) for bucket in range(5)}

    def ranges(unit_tokens: int) -> list[tuple[int, int]]:
        return [(u.first, u.last) for u in planned(documents, unit_tokens)]

    assert ranges(100) == [(0, 1), (2, 3), (4, 4)]
    assert ranges(99) == [(bucket, bucket) for bucket in range(5)]
    assert ranges(10**9) == [(0, 4)]


def test_small_sources_of_a_group_share_a_unit_up_to_its_tokens() -> None:
    documents = {("web", 4): Tally(2, 10, 1), ("chat", 0): Tally(3, 20, 2),
                 ("chat", 1): Tally(4, 30, 3), ("code", 9): Tally(1, 10, 4)}  # fmt: skip
    code = Unit(("code",), "group_a", 9, 9, Tally(1, 10, 4), Tally(), A)
    (both, alone) = planned(documents, 60)
    assert both == Unit(("chat", "web"), "group_b", 0, 4, Tally(9, 60, 6), Tally(), B)
    assert alone == code
    assert planned(documents, 59) == [
        Unit(("chat",), "group_b", 0, 1, Tally(7, 50, 5), Tally(), B),
        code,
        Unit(("web",), "group_b", 4, 4, Tally(2, 10, 1), Tally(), B),
    ]
    assert [(u.name, u.place) for u in (both, alone)] == [
        ("chat and 1 more", "chat and 1 more, buckets 0 to 4"),
        ("code", "code, buckets 9 to 9"),
    ]


def test_ten_thousand_small_sources_are_a_few_units() -> None:
    groups = {f"s{number}": f"group_{'ab'[number % 2]}" for number in range(10_000)}
    documents = {(source, 3): Tally(10, 100, 1) for source in groups}
    cut = cut_units(documents, {}, groups, SCORERS, 100_000)
    assert [u.there for u in cut] == [Tally(10_000, 100_000, 1_000)] * 10


def test_a_unit_scored_in_part_has_the_rest_to_do() -> None:
    documents = {("code", 1): Tally(5, 50, 7), ("code", 3): Tally(5, 40, 8)}
    (left,) = planned(documents, 1000, {("code", 1): Tally(5, 50, 7), ("code", 3): Tally(2, 10, 1)})
    assert (left.first, left.last, left.documents, left.tokens) == (1, 3, 3, 30)


def test_scores_of_as_many_other_documents_are_not_those_of_these() -> None:
    documents = {("code", 1): Tally(5, 50, 7)}
    assert planned(documents, 1000, {("code", 1): Tally(5, 50, 8)}) == [
        Unit(("code",), "group_a", 1, 1, Tally(5, 50, 7), Tally(5, 50, 8), A)
    ]


def test_a_group_without_a_student_is_left_out() -> None:
    documents = {("new", 0): Tally(1, 10), ("code", 0): Tally(1, 10), ("web", 5): Tally(1, 10)}
    assert [u.sources for u in cut_units(documents, {}, GROUPS, {"group_a": A}, 1000)] == [
        ("code",)
    ]
    assert cut_units(documents, {}, GROUPS, {}, 1000) == []


def test_nothing_to_score_is_no_unit() -> None:
    assert planned({}, 1000) == []


def test_a_unit_s_id_is_another_for_each_thing_that_is_scored_or_scores() -> None:
    ids = [
        unit().unit_id("mira.scores", 7),
        unit().unit_id("mira.scores", 8),
        unit().unit_id("other.scores", 7),
        unit(sources=("web",)).unit_id("mira.scores", 7),
        unit(sources=("code", "web")).unit_id("mira.scores", 7),
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
