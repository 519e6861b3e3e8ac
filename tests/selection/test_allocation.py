"""One cut per source under a budget: exactly the oracle's set, at any granularity of the walk."""

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, find, given, settings

from mira_spark.errors import InputError
from mira_spark.selection.allocation import KEEP_ALL, Policy, boundaries, cuts, walks
from mira_spark.selection.oversized import most_tokens
from mira_spark.selection.positions import Positions, levels
from tests import selection_oracle as oracle
from tests.counting import bins_of, cuts_of, passes
from tests.selection_cases import SOURCES, Case, cases
from tests.selection_oracle import Document

Select = Callable[[Case, int], set[str]]


def by_cuts(case: Case, budget: int) -> set[str]:
    cut = cuts_of(case.documents, case.policy, budget, case.groups, case.bits)
    limits = most_tokens(case.policy, bins_of(case.documents, case.groups))
    passing = (d for d in case.documents if passes(d, cut[d.source]))
    return {d.doc_id for d in passing if d.tokens <= limits[d.source]}


def by_oracle(case: Case, budget: int) -> set[str]:
    return oracle.kept(case.documents, budget, case.rule)


def by_skipping(case: Case, budget: int) -> set[str]:
    return oracle.kept_skipping(case.documents, budget, case.rule)


def by_sharing_leftovers(case: Case, budget: int) -> set[str]:
    return oracle.kept_sharing_leftovers(case.documents, budget, case.rule)


def broken(select: Select, case: Case) -> set[str]:
    """The promises that a way to select breaks."""
    kept, larger = select(case, case.budget), select(case, case.larger)
    found = set()
    if kept != by_oracle(case, case.budget) or larger != by_oracle(case, case.larger):
        found.add("exact")
    if not kept <= larger:
        found.add("nested")
    return found | broken_limits(case, kept)


def broken_limits(case: Case, kept: set[str]) -> set[str]:
    """Budgets, caps and floors, and that at most a document per source is wanting."""
    found = set()
    ordered, rule = oracle.sized(case.documents, case.rule), case.rule
    for pool in set(rule.pool_of.values()):
        candidates = oracle.of_pool(ordered, pool, rule)
        limit = case.budget * rule.shares[pool]
        tokens = oracle.tokens_of(d for d in candidates if d.doc_id in kept)
        wanting = sum(first_left_out(oracle.of_source(candidates, s), kept) for s in SOURCES)
        if tokens > limit:
            found.add("over")
        there = oracle.by_source(candidates)
        if oracle.charge(there, there, case.budget, rule) > limit >= tokens + wanting:
            found.add("wasted")
    for source in SOURCES:
        own = oracle.of_source(ordered, source)
        tokens = oracle.tokens_of(d for d in own if d.doc_id in kept)
        floor = oracle.floor_of(source, oracle.tokens_of(own), case.budget, rule)
        if floor and {d.doc_id for d in oracle.prefix(own, floor)} - kept:
            found.add("floor")
        if source in rule.caps and tokens > case.budget * rule.caps[source]:
            found.add("cap")
    return found


def first_left_out(ordered: Iterable[Document], kept: set[str]) -> int:
    return next((d.tokens for d in ordered if d.doc_id not in kept), 0)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(cases())
def test_the_set_is_the_oracles_and_nested_and_within_all_limits(case: Case) -> None:
    assert broken(by_cuts, case) == set()


@pytest.mark.long
@settings(max_examples=20_000, deadline=None, derandomize=True)
@given(cases())
def test_20_000_sets_are_the_oracles_and_nested_and_within_all_limits(case: Case) -> None:
    assert broken(by_cuts, case) == set()


@pytest.mark.parametrize("promise", ["exact", "nested"])
@pytest.mark.parametrize("wrong", [by_skipping, by_sharing_leftovers])
def test_a_wrong_variant_is_found_out(wrong: Select, promise: str) -> None:
    search = settings(max_examples=2_000, deadline=None, derandomize=True, phases=[Phase.generate])
    assert find(cases(), lambda case: promise in broken(wrong, case), settings=search)


def tokens_at(*rows: tuple[str, int, int]) -> Positions:
    """Levels of one document each: (source, quality, tokens)."""
    return levels([r[0] for r in rows], [r[1] for r in rows], [1] * len(rows), [r[2] for r in rows])


# In order: web 40 tokens, books 30, web 40, books 30.
BINS = tokens_at(("web", 9, 40), ("books", 8, 30), ("web", 7, 40), ("books", 6, 30))
GROUPS = {"web": "x", "books": "x"}


@pytest.mark.parametrize(
    ("budget", "floors", "caps", "web", "books"),
    [
        # 40 + 30, and 40 more would be 110.
        (100, {}, {}, 7, 7),
        (109, {}, {}, 7, 7),
        (110, {}, {}, 6, 6),
        (140, {}, {}, KEEP_ALL, KEEP_ALL),
        # 60 are reserved for books, of which the walk comes to 30; 40 + 60, and 40 more do not fit.
        (100, {"books": "60%"}, {}, 7, KEEP_ALL),
        # As web has no more than 40, its second document costs nothing and does not end the walk.
        (100, {}, {"web": "0.4"}, 7, KEEP_ALL),
        # A cap may be its floor: web is charged 45 from first to last, and books come to 60.
        (100, {"web": "45%"}, {"web": "9/20"}, 7, 6),
        # Less than what is reserved is there: 60 of 90 tokens, so web may have 140 - 60 = 80.
        (140, {"books": "9/14"}, {}, KEEP_ALL, KEEP_ALL),
        # 39.9 tokens do not hold a document of 40; books may have what web may not.
        (100, {}, {"web": "0.399"}, 9, KEEP_ALL),
        (1, {}, {}, 9, 9),
    ],
)
def test_cuts_a_reader_can_check(
    budget: int, floors: dict[str, str], caps: dict[str, str], web: int, books: int
) -> None:
    policy = Policy("global", floors=floors, caps=caps)
    found = walks(policy, budget, GROUPS, BINS)
    quality = {s: cut.quality_cut for s, cut in cuts(found, boundaries(found, BINS)).items()}
    assert quality == {"web": web, "books": books}


@pytest.mark.parametrize(
    ("budget", "floors", "every", "web", "books"),
    [
        # Half of books' 60 tokens are reserved, and what is left of 60 is too little for web.
        (60, {"books": "50% of source"}, "0%", 9, 6),
        # All of books' 60 are reserved, and web has what is left of 100: one document of 40.
        (100, {"books": "1 of source"}, "0%", 7, KEEP_ALL),
        # Three quarters are 60 of web's and 45 of books': 80 of web's and 45 would be 125.
        (120, {}, "75%", 7, 6),
        # Web is named, and so has no floor; with it 105 would be reserved.
        (85, {"web": "0"}, "75%", 7, 6),
    ],
)
def test_floors_may_be_of_a_sources_own_tokens(
    budget: int, floors: dict[str, str], every: str, web: int, books: int
) -> None:
    policy = Policy("global", floors=floors, every_source=every)
    found = walks(policy, budget, GROUPS, BINS)
    quality = {s: cut.quality_cut for s, cut in cuts(found, boundaries(found, BINS)).items()}
    assert quality == {"web": web, "books": books}


def test_each_pool_has_its_share() -> None:
    """Of 140 tokens, web has 80 and books 60: of 70 web gets 40, just enough, and books 30."""
    for policy in (
        Policy("source"),
        Policy("source", shares={"web": "4/7", "books": "3/7"}),
        Policy("group"),
    ):
        found = walks(policy, 70, {"web": "x", "books": "y"}, BINS)
        quality = {s: cut.quality_cut for s, cut in cuts(found, boundaries(found, BINS)).items()}
        assert quality == {"web": 7, "books": 6}
    found = walks(Policy("source", shares="equal"), 70, GROUPS, BINS)
    assert cuts(found, boundaries(found, BINS))["web"].quality_cut == 9, "35 are less than 40"


@pytest.mark.parametrize(
    ("policy", "problems"),
    [
        (
            Policy(floors={"web": "much", "blogs": "1%"}, caps={"books": "1.01"}),
            [
                "selection.floors.web: much should be from 0 to 1, e.g. 0.05, 5% or 1/20, or of "
                "the source's own tokens, e.g. 5% of source",
                "selection.floors.blogs: there is no such source; there are books, web",
                "selection.caps.books: 1.01 should be from 0 to 1, e.g. 0.05, 5% or 1/20",
            ],
        ),
        (
            Policy("global", floors={"web": "0.7", "books": "50%"}, caps={"web": "0.6"}),
            [
                "selection.caps.web: 3/5 is below the source's floor, 7/10",
                "selection.floors: sum to 6/5, should be at most 1",
            ],
        ),
        (
            Policy("source", floors={"books": "0.5"}),
            [
                "selection.floors: those of pool books sum to 1/2, more than its share of the "
                "budget, 0.428571"
            ],
        ),
        (
            Policy("global", every_source="60%"),
            ["selection.floors: sum to 6/5, should be at most 1"],
        ),
        (
            Policy("source", floors={"books": "100% of source"}),
            [
                "selection.floors: those of pool books sum to 6/7, more than its share of the "
                "budget, 0.428571"
            ],
        ),
        (
            Policy("global", every_source="20%", caps={"web": "1/8"}),
            ["selection.caps.web: 1/8 is below the source's floor, 8/35"],
        ),
        (
            Policy("source", shares={"web": "0.6", "books": "0.39"}),
            ["selection.shares: sum to 99/100, should be exactly 1"],
        ),
        (
            Policy("group", shares={"y": "1"}),
            [
                "selection.shares.y: there is no such pool; there are x",
                "selection.shares.x: missing; every pool needs a share",
            ],
        ),
    ],
)
def test_what_is_refused_is_said_all_at_once(policy: Policy, problems: list[str]) -> None:
    with pytest.raises(InputError) as error:
        walks(policy, 70, GROUPS, BINS)
    assert str(error.value).splitlines() == problems


@pytest.mark.parametrize("text", ["-0.1", "1/0", "1e-3", "nan", "", "%", " 0.1", "٣", "9" * 5_000])
def test_a_share_is_a_plain_number(text: str) -> None:
    with pytest.raises(InputError, match=r"^selection.floors.web: .* should be from 0 to 1"):
        walks(Policy(floors={"web": text}), 70, GROUPS, BINS)


def test_no_budget_and_documents_without_a_group_are_refused() -> None:
    with pytest.raises(InputError) as error:
        walks(Policy(), 0, {"web": "x"}, BINS)
    assert str(error.value).splitlines() == [
        "selection.budget: 0 tokens, should be more than 0",
        "books: has documents and no group: run mira group-sources",
    ]


def test_ten_thousand_sources_are_each_cut_by_every_policy() -> None:
    """From the columns, 200 levels of each."""
    generator = np.random.default_rng(0)
    names = [f"source {i}" for i in range(10_000)]
    source = pa.array(np.repeat(np.array(names, object), 200))
    quality = np.tile(np.arange(200, dtype=np.int16) * 50, 10_000)
    documents = generator.integers(1, 1_000, len(source))
    tokens = documents * generator.integers(1, 100, len(source))
    limits = {"floors": dict.fromkeys(names, "1/30000"), "caps": dict.fromkeys(names, "1/9000")}
    groups = {name: f"group {i % 5}" for i, name in enumerate(names)}
    budget = int(tokens.sum()) * 2 // 5
    bins = levels(source, quality, documents, tokens)
    for policy in (Policy("global"), Policy("source"), Policy("group", **limits)):
        found = walks(policy, budget, groups, bins)
        assert len(cuts(found, boundaries(found, bins))) == 10_000
