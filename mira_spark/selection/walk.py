"""Walks down documents in order to the first that does not fit, seen only through histograms.

A walk ends at the first position that does not fit whole and goes on inside it with finer
positions, so that documents themselves are only met where few of them tie. What decides is compared
as exact fractions. All walks are bisected together: there are as many as sources and more.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Self

import numpy as np

from mira_spark.errors import ReconciliationError
from mira_spark.selection.positions import FIRST_HASH, Flags, Integers, Positions, first_true

_ALL = 2**63 - 1
"""More tokens than there are."""


@dataclass(frozen=True)
class Walk:
    """What the documents of some sources may take of a budget, going down them in order.

    A source is charged the tokens taken of it, but at least its reserve and at most its cap if it
    has one; together they are charged at most `limit`. All in tokens, exact, 0 <= reserve <= cap.
    `reserves` names every source of the walk.
    """

    limit: Fraction
    reserves: Mapping[str, Fraction]
    caps: Mapping[str, Fraction]

    def charges(self, taken: Mapping[str, int | Fraction]) -> dict[str, Fraction]:
        """What each source is charged when so many tokens are taken of it."""
        charged = {s: max(reserve, Fraction(taken[s])) for s, reserve in self.reserves.items()}
        return {s: min(tokens, self.caps.get(s, tokens)) for s, tokens in charged.items()}


@dataclass(frozen=True)
class Cut:
    """The last place in the order that is kept: all above `quality_cut`, and of the documents with
    that quality those up to (`tie_hash_cut`, `tie_doc_id_cut`), itself included; none of them where
    the two are None. No document has the empty id: (hash, "") is the place before that hash.
    """

    quality_cut: int
    tie_hash_cut: int | None = None
    tie_doc_id_cut: str | None = None

    @property
    def place(self) -> tuple[int, int, bytes]:
        """Grows down the order: of two cuts the one with the greater place keeps more."""
        tie_hash = FIRST_HASH if self.tie_hash_cut is None else self.tie_hash_cut
        return -self.quality_cut, tie_hash, (self.tie_doc_id_cut or "").encode()


@dataclass(frozen=True)
class Boundary:
    """The position of a walk that does not fit whole: documents with `quality` and a tie hash from
    `first_hash` to `last_hash`, both of which count.

    By source, `documents` and `tokens` are in it and `above` is the tokens before it. All up to
    `cut` fits; how much more does is for finer positions to say.
    """

    quality: int
    first_hash: int
    last_hash: int
    documents: Mapping[str, int]
    tokens: Mapping[str, int]
    above: Mapping[str, int]
    cut: Cut


def find_stops(
    walks: Sequence[Walk], positions: Positions, inside: Sequence[Boundary] | None = None
) -> list[Boundary | None]:
    """Of each walk the first position that does not fit whole; None where all fit.

    Without `inside`, `positions` are the levels of all candidates. Otherwise `inside` are the
    walks' boundaries so far and `positions` are finer ones of their documents, and of any others;
    ReconciliationError when they are not the documents counted before.
    """
    if not walks:
        return []
    members = _Members.from_walks(walks, positions)
    first, end = np.zeros(len(walks), np.int64), np.full(len(walks), len(positions))
    above = np.zeros(len(members.walk), np.int64)
    if inside is not None:
        first, end = positions.within(
            [b.quality for b in inside],
            [b.first_hash for b in inside],
            [b.last_hash for b in inside],
        )
        above = members.column(b.above for b in inside)
        _check(members, inside, members.sums(first, end))
    if not len(positions):
        return [None] * len(walks)
    before = above - positions.tokens[members.rows_before(first)]

    def taken(position: Integers) -> Integers:
        return before + positions.tokens[members.rows_before(position)]

    stop = first_true(first, end, lambda position: members.are_over(taken(position + 1)))
    columns = (*members.sums(stop, stop + 1), taken(stop))
    kept = members.last_positions(stop)
    return [
        _boundary(positions, int(first[i]), int(stop[i]), int(kept[i]), *by_source)
        if stop[i] < end[i]
        else None
        for i, by_source in enumerate(zip(*map(members.by_source, columns), strict=True))
    ]


def _boundary(
    positions: Positions,
    first: int,
    stop: int,
    kept: int,
    documents: Mapping[str, int],
    tokens: Mapping[str, int],
    above: Mapping[str, int],
) -> Boundary:
    """At position `stop` of a walk from `first` on, whose last position before it is `kept`; the
    cut is at the last document kept, or before `stop` where there is none or positions are no
    documents."""
    quality, first_hash = int(positions.quality[stop]), int(positions.tie_hash[stop])
    cut = Cut(quality, first_hash, "")
    if positions.doc_id is not None and kept >= first:
        cut = Cut(
            int(positions.quality[kept]), int(positions.tie_hash[kept]), positions.doc_id[kept]
        )
    last_hash = first_hash + 2 ** (64 - positions.bits) - 1
    return Boundary(quality, first_hash, last_hash, documents, tokens, above, cut)


@dataclass(frozen=True)
class _Members:
    """The sources of several walks, walk after walk: whose `walk` each is and its `number` in the
    positions, both as in `walks` and `positions`; `starts` has the place of each walk's first.

    One that fewer than `least` tokens are taken of is charged its reserve, one that more than
    `most` are taken of its cap, any other what is taken of it.
    """

    walks: Sequence[Walk]
    positions: Positions
    walk: Integers
    number: Integers
    starts: Integers
    limits: Integers
    reserves: Sequence[Fraction]
    caps: Sequence[Fraction | int]
    least: Integers
    most: Integers

    @classmethod
    def from_walks(cls, walks: Sequence[Walk], positions: Positions) -> Self:
        """Those of these walks."""
        sizes = [len(walk.reserves) for walk in walks]
        reserves = [reserve for walk in walks for reserve in walk.reserves.values()]
        caps = [walk.caps.get(source, _ALL) for walk in walks for source in walk.reserves]
        return cls(
            walks,
            positions,
            walk=np.repeat(np.arange(len(walks)), sizes),
            number=positions.numbers(source for walk in walks for source in walk.reserves),
            starts=np.cumsum([0, *sizes[:-1]]),
            limits=_whole(floor(walk.limit) for walk in walks),
            reserves=reserves,
            caps=caps,
            least=_whole(ceil(reserve) for reserve in reserves),
            most=_whole(floor(cap) for cap in caps),
        )

    def column(self, by_walk: Iterable[Mapping[str, int]]) -> Integers:
        """What each walk has by source, as one column."""
        pairs = zip(self.walks, by_walk, strict=True)
        return np.array([found[s] for walk, found in pairs for s in walk.reserves], np.int64)

    def by_source(self, column: Integers) -> list[dict[str, int]]:
        """A column as what each walk has by source."""
        values = iter(column.tolist())
        return [{source: next(values) for source in walk.reserves} for walk in self.walks]

    def rows_before(self, position: Integers) -> Integers:
        """The rows before those of each source from its walk's position on."""
        return self.positions.rows_before(self.number, position[self.walk])

    def sums(self, first: Integers, end: Integers) -> tuple[Integers, Integers]:
        """Documents and tokens of each source from its walk's `first` position on and before
        `end`."""
        i, j = self.rows_before(first), self.rows_before(end)
        documents, tokens = self.positions.documents, self.positions.tokens
        return documents[j] - documents[i], tokens[j] - tokens[i]

    def last_positions(self, end: Integers) -> Integers:
        """The last position of each walk before `end` that one of its sources has documents in,
        below 0 where none has."""
        rows = self.rows_before(end)
        position = self.positions.place[rows - 1] - self.number * len(self.positions)
        return np.maximum.reduceat(np.where(rows > 0, position, -1), self.starts)

    def are_over(self, taken: Integers) -> Flags:
        """Whether each walk is charged more than its limit when so much is taken of its sources."""
        is_reserved, is_capped = taken < self.least, taken > self.most
        left: dict[int, Fraction] = {}
        for is_charged, charges in ((is_reserved, self.reserves), (is_capped, self.caps)):
            for member in np.flatnonzero(is_charged).tolist():
                walk = int(self.walk[member])
                left[walk] = left.get(walk, self.walks[walk].limit) - charges[member]
        limits = self.limits.copy()
        limits[list(left)] = [max(-1, floor(tokens)) for tokens in left.values()]
        others = np.where(is_reserved | is_capped, 0, taken)
        return np.add.reduceat(others, self.starts) > limits


def _whole(tokens: Iterable[int]) -> Integers:
    return np.array([min(count, _ALL) for count in tokens], np.int64)


def _check(
    members: _Members, inside: Sequence[Boundary], counted: tuple[Integers, Integers]
) -> None:
    before = (members.column(b.documents for b in inside), members.column(b.tokens for b in inside))
    differs = (before[0] != counted[0]) | (before[1] != counted[1])
    if differs.any():
        quality = inside[members.walk[differs.argmax()]].quality
        raise ReconciliationError(
            f"documents of quality {quality} were counted twice, with different results: a table "
            "changed while the selection was made; run mira select-documents again"
        )
