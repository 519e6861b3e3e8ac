"""Corpora, policies and budgets that try selection hard; generated, the same in every run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from hypothesis import strategies as st

from mira_spark.selection.allocation import Policy
from tests import selection_oracle as oracle
from tests.selection_oracle import Document, Rule

SOURCES = "abcd"
POOLS: tuple[Literal["global", "group", "source"], ...] = ("global", "group", "source")
SHARES: tuple[Literal["tokens", "equal", "given"], ...] = ("tokens", "equal", "given")
BITS: tuple[tuple[int, ...], ...] = ((), (1,), (2, 4, 6), (16, 32), (3, 61, 64))


@dataclass(frozen=True)
class Case:
    """Documents, a policy as the package takes it and as the oracle does, and two budgets.

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
    """Heavy ties in quality and hash, empty and huge documents, quarantined ones."""
    rows = draw(st.lists(ROWS, max_size=14))
    size = draw(st.sampled_from([FEW, st.one_of(FEW, MANY)]))
    return [
        Document(f"{letter}{i}", source, quality, tie_hash, draw(size))
        for i, (letter, source, quality, tie_hash) in enumerate(rows)
    ]


def parts(draw: st.DrawFn, names: Sequence[str], whole: Fraction) -> dict[str, Fraction]:
    """`whole` in exact parts, some of which may be 0."""
    weights = draw(st.lists(st.integers(0, 3), min_size=len(names), max_size=len(names)))
    weights[0] += not any(weights)
    return {name: whole * w / sum(weights) for name, w in zip(names, weights, strict=True)}


def shares_of(
    draw: st.DrawFn, how: str, documents: Iterable[Document], pool_of: Mapping[str, str]
) -> dict[str, Fraction]:
    names = sorted(set(pool_of.values()))
    if how == "given":
        return parts(draw, names, Fraction(1))
    if how == "equal":
        return dict.fromkeys(names, Fraction(1, len(names)))
    tokens = dict.fromkeys(names, 0)
    for d in oracle.in_order(documents):
        tokens[pool_of[d.source]] += d.tokens
    return {name: Fraction(n, sum(tokens.values()) or 1) for name, n in tokens.items()}


def texts(shares: Mapping[str, Fraction]) -> dict[str, str]:
    return {name: str(share) for name, share in shares.items()}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Floors may sum to exactly their pool's share, caps may be their source's floor."""
    documents = draw(corpora())
    groups = {source: draw(st.sampled_from("xy")) for source in SOURCES}
    pools, how = draw(st.sampled_from(POOLS)), draw(st.sampled_from(SHARES))
    pool_of = {s: {"global": "all", "group": groups[s], "source": s}[pools] for s in SOURCES}
    shares = shares_of(draw, how, documents, pool_of)
    floors: dict[str, Fraction] = {}
    for pool in shares if draw(st.booleans()) else ():
        members = [s for s in SOURCES if pool_of[s] == pool]
        floors |= {s: f for s, f in parts(draw, [*members, ""], shares[pool]).items() if s}
    caps = {}
    for source in SOURCES if draw(st.booleans()) else ():
        if (quarters := draw(st.integers(0, 7))) <= 4:
            floor = floors.get(source, Fraction(0))
            caps[source] = floor + (1 - floor) * Fraction(quarters, 4)
    most = oracle.tokens_of(documents) + 1
    budget = draw(st.one_of(st.integers(1, most), st.integers(1, 20)))
    larger = draw(st.one_of(st.integers(budget, 2 * most + 20), st.integers(budget, budget + 3)))
    given = texts(shares) if how == "given" else how
    policy = Policy(pools, given, texts(floors), texts(caps))
    rule = Rule(pool_of, shares, floors, caps)
    return Case(documents, groups, policy, rule, budget, larger, draw(st.sampled_from(BITS)))
