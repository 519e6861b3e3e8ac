"""A token budget cut into pools with floors and caps, and the one cut of each source it leads to.

Every source has its documents in the order of `histograms`, and all sources of a pool share that
order. A pool is walked down to the first document that would charge it more than its part of the
budget, where each source is charged at least what its floor reserves and at most its cap. Kept of a
source is its longest prefix within its floor, and of what was walked its longest prefix within its
cap. Ours, after the prefix rule of minimum shares (walk in order, stop at the first that does not
fit, never round what is reserved), extended by caps.

So no budget is ever passed, floors and caps are kept, a larger budget keeps all that a smaller one
kept, and at most one document per source and one per pool is wanting to fill it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, NamedTuple

from mira_spark.errors import InputError, joined
from mira_spark.lake.scale import FULL_SCALE
from mira_spark.selection.positions import Positions
from mira_spark.selection.walk import Boundary, Cut, Walk, find_stops
from mira_spark.settings.selection import (
    FLOOR_FORM,
    FORM,
    OF_SOURCE,
    SelectionSettings,
    contradictions,
    parse_floor,
    parse_share,
    share_text,
)

KEEP_ALL = -1
"""A quality_cut below every quality."""
KEEP_NONE = FULL_SCALE + 1
"""A quality_cut above every quality."""

_Kind = Literal["pool", "floor", "cap"]
Key = tuple[_Kind, str]


@dataclass(frozen=True)
class Policy:
    """Who competes with whom for which part of the budget.

    `pools`: all sources in one (`global`), those of a group (`group`) or each for itself
    (`source`). `shares` of the budget by pool: by tokens of what competes, equal, or given, then
    for every pool and 1 in sum. `floors` and `caps` are shares of the whole budget by source; a
    floor that ends in ` of source` is a share of what competes of the source instead, and so is
    `every_source`, the floor of each source that `floors` does not name. A floor of 0 is none.
    `max_document_share`, of its pool's tokens, is what a document may have, as in `oversized`.
    Given shares are texts from 0 to 1: 0.05, 5% or 1/20.
    """

    pools: Literal["global", "group", "source"] = "group"
    shares: Literal["tokens", "equal"] | Mapping[str, str] = "tokens"
    floors: Mapping[str, str] = field(default_factory=dict)
    caps: Mapping[str, str] = field(default_factory=dict)
    every_source: str = "0%"
    max_document_share: str = "1%"


def allocation_policy(settings: SelectionSettings) -> Policy:
    """Who competes with whom for which part under these settings."""
    return Policy(
        settings.policy,
        settings.shares,
        settings.floors,
        settings.caps,
        settings.every_source,
        settings.max_document_share,
    )


def pools(policy: Policy, groups: Mapping[str, str]) -> dict[str, list[str]]:
    """The sources of each pool; `groups` is source to group."""
    members: dict[str, list[str]] = {}
    for source, group in sorted(groups.items()):
        pool = {"global": "all", "group": group, "source": source}[policy.pools]
        members.setdefault(pool, []).append(source)
    return members


class Tie(NamedTuple):
    """Documents of one source with one quality and a tie hash in a range, both ends included."""

    source: str
    quality: int
    first_hash: int
    last_hash: int


def walks(
    policy: Policy, budget: int, groups: Mapping[str, str], bins: Positions
) -> dict[Key, Walk]:
    """The walks that lead to the cuts: one of each pool, of each floor and of each cap.

    `budget` in tokens, `groups` is source to group and names every source, `bins` are the levels of
    all candidates. InputError with every problem, one a line: no budget, an unreadable share, an
    unknown source or pool, given shares that leave out a pool or do not sum to exactly 1, a cap
    below its source's floor, floors over their pool's share.
    """
    limits = _limits(policy, budget, groups, bins)
    none, totals = Fraction(0), bins.total_tokens()
    found: dict[Key, Walk] = {}
    for pool, sources in limits.members.items():
        floors = {s: budget * limits.floors.get(s, none) for s in sources}
        found["pool", pool] = Walk(
            limit=budget * limits.shares[pool],
            reserves={s: min(f, Fraction(totals.get(s, 0))) for s, f in floors.items()},
            caps={s: budget * limits.caps[s] for s in sources if s in limits.caps},
        )
    for source, floor in limits.floors.items():
        found["floor", source] = Walk(budget * floor, {source: none}, {})
    for source, cap in limits.caps.items():
        found["cap", source] = Walk(budget * cap, {source: none}, {})
    return found


def boundaries(
    walks: Mapping[Key, Walk], positions: Positions, so_far: Mapping[Key, Boundary] | None = None
) -> dict[Key, Boundary]:
    """Where the walks end: first at a level, then inside their boundaries `so_far` at finer
    positions; absent where all fits. ReconciliationError when positions are not of the documents
    counted before.
    """
    keys = list(walks if so_far is None else so_far)
    inside = None if so_far is None else list(so_far.values())
    found = find_stops([walks[key] for key in keys], positions, inside)
    return {key: end for key, end in zip(keys, found, strict=True) if end is not None}


def ties(ends: Iterable[Boundary]) -> set[Tie]:
    """The documents that finer positions are to tell apart; where made with equal bits, no document
    is in two of them."""
    return {
        Tie(source, end.quality, end.first_hash, end.last_hash)
        for end in ends
        for source, documents in end.documents.items()
        if documents
    }


def cuts(walks: Mapping[Key, Walk], ends: Mapping[Key, Boundary]) -> dict[str, Cut]:
    """The cut of each source: the earlier of its pool's and its cap's, or its floor's if that is
    later."""
    cut = {key: ends[key].cut if key in ends else Cut(KEEP_ALL) for key in walks}
    found = {}
    for key, walk in walks.items():
        for source in walk.reserves if key[0] == "pool" else ():
            capped = min(cut[key], cut.get(("cap", source), Cut(KEEP_ALL)), key=_place)
            floor = cut.get(("floor", source), Cut(KEEP_NONE))
            found[source] = max(capped, floor, key=_place)
    return found


def _place(cut: Cut) -> tuple[int, int, bytes]:
    return cut.place


class _Limits(NamedTuple):
    """A policy as read: the sources of each pool, and shares of the budget."""

    members: dict[str, list[str]]
    shares: dict[str, Fraction]
    floors: dict[str, Fraction]
    caps: dict[str, Fraction]


def _limits(policy: Policy, budget: int, groups: Mapping[str, str], bins: Positions) -> _Limits:
    problems = [] if budget > 0 else [f"budget: {budget:,} tokens, should be more than 0"]
    members = pools(policy, groups)
    shares = _shares(policy, members, bins, problems)
    floors = _floors(policy, budget, groups, bins, problems)
    caps = _read("caps", policy.caps, groups, problems)
    problems += contradictions(floors, caps)
    problems += _conflicts(members, shares, floors)
    lines = [f"selection.{problem}" for problem in problems]
    orphans = sorted(bins.sources.keys() - groups.keys())
    lines += [f"{source}: has documents and no group: run mira group-sources" for source in orphans]
    if lines:
        raise InputError(joined(lines))
    return _Limits(members, shares, {s: floor for s, floor in floors.items() if floor}, caps)


def _shares(
    policy: Policy, members: Mapping[str, Sequence[str]], bins: Positions, problems: list[str]
) -> dict[str, Fraction]:
    """Each pool's share of the budget; exact."""
    if policy.shares == "equal":
        return {pool: Fraction(1, len(members)) for pool in members}
    if policy.shares == "tokens":
        totals = bins.total_tokens()
        tokens = {pool: sum(totals.get(s, 0) for s in of) for pool, of in members.items()}
        whole = sum(tokens.values()) or 1
        return {pool: Fraction(t, whole) for pool, t in tokens.items()}
    given = _read("shares", policy.shares, members, problems)
    missing = sorted(members.keys() - policy.shares.keys())
    problems += [f"shares.{pool}: missing; every pool needs a share" for pool in missing]
    if given.keys() == members.keys() and sum(given.values()) != 1:
        problems.append(f"shares: sum to {sum(given.values())}, should be exactly 1")
    return given


def _floors(
    policy: Policy, budget: int, groups: Collection[str], bins: Positions, problems: list[str]
) -> dict[str, Fraction]:
    """Each source's floor as a share of the budget; exact."""
    given = dict.fromkeys(groups, policy.every_source + OF_SOURCE) | dict(policy.floors)
    totals = bins.total_tokens()
    own = {source: Fraction(totals.get(source, 0), max(1, budget)) for source in given}
    return _read("floors", given, groups, problems, own)


def _read(
    name: str,
    given: Mapping[str, str],
    known: Collection[str],
    problems: list[str],
    own: Mapping[str, Fraction] | None = None,
) -> dict[str, Fraction]:
    """The given shares that can be read, of those of known sources or pools; as floors, where `own`
    is what each source's own tokens are of the budget."""
    names, kind = sorted(known), "pool" if name == "shares" else "source"
    form = FORM if own is None else FLOOR_FORM
    found = {}
    for key, text in given.items():
        share = parse_share(text) if own is None else parse_floor(text, own[key])
        if key not in known:
            problems.append(f"{name}.{key}: there is no such {kind}; there are {', '.join(names)}")
        elif share is None:
            problems.append(f"{name}.{key}: {text} {form}")
        else:
            found[key] = share
    return found


def _conflicts(
    members: Mapping[str, Sequence[str]],
    shares: Mapping[str, Fraction],
    floors: Mapping[str, Fraction],
) -> Iterator[str]:
    for pool, sources in members.items():
        floor = sum((floors[s] for s in sources if s in floors), Fraction(0))
        if pool in shares and shares[pool] < floor <= 1:
            yield (
                f"floors: those of pool {pool} sum to {share_text(floor)}, more than its share of "
                f"the budget, {float(shares[pool]):.6f}"
            )
