"""Corpora, policies and budgets that try selection hard; generated, the same in every run."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor
from typing import Literal

from hypothesis import strategies as st

from mira_spark.selection.allocation import Policy
from mira_spark.settings.selection import parse_share
from tests import selection_oracle as oracle
from tests.selection_oracle import Document, Rule

SOURCES = "abcd"
POOLS: tuple[Literal["global", "group", "source"], ...] = ("global", "group", "source")
SHARES: tuple[Literal["tokens", "equal", "given"], ...] = ("tokens", "equal", "given")
BITS: tuple[tuple[int, ...], ...] = ((), (1,), (2, 4, 6), (16, 32), (3, 61, 64))


@dataclass(frozen=True)
class Case:
    """Documents by what they compete by, a policy as the package takes it and as the oracle does,
    and two budgets.

    `bits` are the lengths of the prefixes by which the walks are refined before they meet single
    documents.
    """

    documents: list[Document]
    groups: Mapping[str, str]
    policy: Policy
    rule: Rule
    budget: int
    larger: int
    bits: tuple[int, ...]


HASHES = st.one_of(
    st.integers(-3, 3),
    st.integers(-4, 3).map(lambda n: n << 61),
    st.integers(-(2**63), 2**63 - 1),
)
FEW, MANY = st.integers(0, 4), st.integers(0, 10**12)
ROWS = st.tuples(
    st.sampled_from(["z", "é", "\uffff", "\U00010000"]),
    st.sampled_from(SOURCES),
    st.one_of(st.none(), st.integers(0, 2), st.sampled_from([0, 9_999, 10_000])),
    HASHES,
)


@st.composite
def corpora(draw: st.DrawFn) -> list[Document]:
    """Heavy ties in quality and hash, empty and huge documents, quarantined ones; with noise at
    some temperature, and often so many small ones that large ones are oversized."""
    rows = draw(st.lists(ROWS, max_size=14))
    size = draw(st.sampled_from([FEW, st.one_of(FEW, MANY)]))
    drawn = [
        Document(f"{letter}{i}", source, quality, tie_hash, draw(size))
        for i, (letter, source, quality, tie_hash) in enumerate(rows)
    ]
    small = [
        Document(f"small{i}", SOURCES[i % 4], i % 3, (i * 7 % 32 - 16) << 59, i % 5)
        for i in range(draw(st.sampled_from([0, 0, 12, 30])))
    ]
    temperature = draw(
        st.sampled_from([Fraction(0), Fraction(1, 1_000), Fraction(1), Fraction(10)])
    )
    return oracle.with_noise(drawn + small, temperature)


def parts(draw: st.DrawFn, names: Sequence[str], whole: Fraction) -> dict[str, Fraction]:
    """`whole` in exact parts, some of which may be 0."""
    weights = draw(st.lists(st.integers(0, 3), min_size=len(names), max_size=len(names)))
    weights[0] += not any(weights)
    return {name: whole * w / sum(weights) for name, w in zip(names, weights, strict=True)}


def shares_of(
    draw: st.DrawFn, how: str, competing: Iterable[Document], pool_of: Mapping[str, str]
) -> dict[str, Fraction]:
    names = sorted(set(pool_of.values()))
    if how == "given":
        return parts(draw, names, Fraction(1))
    if how == "equal":
        return dict.fromkeys(names, Fraction(1, len(names)))
    tokens = dict.fromkeys(names, 0)
    for d in competing:
        tokens[pool_of[d.source]] += d.tokens
    return {name: Fraction(n, sum(tokens.values()) or 1) for name, n in tokens.items()}


def texts(shares: Mapping[str, Fraction]) -> dict[str, str]:
    return {name: str(share) for name, share in shares.items()}


def floors_of(
    draw: st.DrawFn, shares: Mapping[str, Fraction], pool_of: Mapping[str, str]
) -> dict[str, Fraction]:
    """Floors as shares of the budget, which may sum to exactly their pool's."""
    floors: dict[str, Fraction] = {}
    for pool in shares if draw(st.booleans()) else ():
        members = [s for s in pool_of if pool_of[s] == pool]
        floors |= {s: f for s, f in parts(draw, [*members, ""], shares[pool]).items() if s}
    return floors


def own_floors_of(
    draw: st.DrawFn, floors: dict[str, Fraction], own: Mapping[str, int], budget: int
) -> dict[str, Fraction]:
    """Some of the floors as shares of their source's own tokens, taken out of `floors`."""
    if not draw(st.booleans()):
        return {}
    sources = [s for s in floors if own.get(s) and draw(st.booleans())]
    return {s: thousandths(floors.pop(s) * budget / own[s]) for s in sources}


def every_source_of(
    draw: st.DrawFn, named: Collection[str], own: Mapping[str, int], room: Mapping[str, Fraction],
    pool_of: Mapping[str, str],
) -> Fraction:  # fmt: skip
    """A floor for all sources that are not named, within the tokens that are left of each pool."""
    unnamed = dict.fromkeys(room, 0)
    for source, tokens in own.items():
        unnamed[pool_of[source]] += 0 if source in named else tokens
    if not draw(st.booleans()):
        return Fraction(0)
    return thousandths(min(left / max(1, unnamed[pool]) for pool, left in room.items()))


def thousandths(share: Fraction) -> Fraction:
    return Fraction(floor(min(share, 1) * 1_000), 1_000)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Floors may sum to exactly their pool's share, caps may be their source's floor."""
    documents = draw(corpora())
    groups = {source: draw(st.sampled_from("xy")) for source in SOURCES}
    pools, how = draw(st.sampled_from(POOLS)), draw(st.sampled_from(SHARES))
    pool_of = {s: {"global": "all", "group": groups[s], "source": s}[pools] for s in SOURCES}
    document_share = draw(st.sampled_from(["0.1%", "1%", "1/3", "100%"]))
    rule = Rule(pool_of, {}, {}, {}, document_share=parse_share(document_share) or Fraction(1))
    competing = oracle.sized(documents, rule)
    shares = shares_of(draw, how, competing, pool_of)
    most = oracle.tokens_of(documents) + 1
    budget = draw(st.one_of(st.integers(1, most), st.integers(1, 20)))
    larger = draw(st.one_of(st.integers(budget, 2 * most + 20), st.integers(budget, budget + 3)))
    floors = floors_of(draw, shares, pool_of)
    own = oracle.by_source(competing)
    own_floors = own_floors_of(draw, floors, own, budget)
    rule = replace(rule, shares=shares, floors=floors, own_floors=own_floors)
    room = {pool: budget * share for pool, share in shares.items()}
    for source in SOURCES:
        room[pool_of[source]] -= oracle.floor_of(source, own.get(source, 0), budget, rule)
    every = every_source_of(draw, {*floors, *own_floors}, own, room, pool_of)
    unnamed = [s for s in SOURCES if s not in floors and s not in own_floors]
    rule = replace(rule, own_floors=own_floors | dict.fromkeys(unnamed, every))
    caps = {}
    for source in SOURCES if draw(st.booleans()) else ():
        if (quarters := draw(st.integers(0, 7))) <= 4:
            least = oracle.floor_of(source, own.get(source, 0), budget, rule) / budget
            caps[source] = least + (1 - least) * Fraction(quarters, 4)
    given = texts(shares) if how == "given" else how
    of_source = {s: f"{share} of source" for s, share in own_floors.items()}
    policy = Policy(
        pools, given, texts(floors) | of_source, texts(caps), str(every), document_share
    )
    rule = replace(rule, caps=caps)
    return Case(documents, groups, policy, rule, budget, larger, draw(st.sampled_from(BITS)))
