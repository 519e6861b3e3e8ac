"""Documents and tokens of sources, counted over positions in the order documents are selected in.

The order is (quality descending, tie hash as a signed 64-bit integer, doc_id by UTF-8 bytes). A
position is documents next to each other in it: all of one quality, those of one quality whose
hashes begin with the same bits, or a single one. All counts are int64.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Column = Sequence[int] | npt.NDArray[np.integer]
Names: TypeAlias = Sequence[str] | pa.StringArray

FIRST_HASH = -(2**63)


@dataclass(frozen=True)
class SourcePositions:
    """One source's part of the positions: those it has documents in, in order.

    `position` numbers them; `documents[i]` and `tokens[i]` are sums over those before the i-th, so
    these two are longer by one.
    """

    position: Integers
    documents: Integers
    tokens: Integers

    def between(self, first: int, end: int) -> tuple[int, int]:
        """Documents and tokens in the positions from `first` on and before `end`."""
        i, j = np.searchsorted(self.position, (first, end))
        return int(self.documents[j] - self.documents[i]), int(self.tokens[j] - self.tokens[i])


@dataclass(frozen=True)
class Positions:
    """The positions of all sources in order, as `levels`, `prefixes` or `single_documents` make
    them.

    The hashes of a position begin with the same `bits` and the first that could be in it is
    `tie_hash`; `doc_id` is None where a position may be more than one document.

    `sources` numbers the sources. A row is one source's part of one position; rows are ordered by
    source, then by position, and `place` is source number x number of positions + position.
    `documents[i]` and `tokens[i]` are sums over the rows before the i-th.
    """

    bits: int
    quality: Integers
    tie_hash: Integers
    doc_id: Sequence[str] | None
    sources: Mapping[str, int]
    place: Integers
    documents: Integers
    tokens: Integers

    def __len__(self) -> int:
        return len(self.quality)

    def numbers(self, sources: Iterable[str]) -> Integers:
        """Of these sources; one that has no document has a number past the last."""
        return np.array([self.sources.get(source, len(self.sources)) for source in sources], int)

    def rows_before(self, source: Integers, position: Integers) -> Integers:
        """The rows before those of each source, by number, from each position on."""
        return np.searchsorted(self.place, source * len(self) + position)

    def source_positions(self, source: str) -> SourcePositions:
        """The source's part, empty where it has no document."""
        number = self.sources.get(source, len(self.sources))
        first, end = np.searchsorted(self.place, (number * len(self), (number + 1) * len(self)))
        return SourcePositions(
            self.place[first:end] - number * len(self),
            self.documents[first : end + 1] - self.documents[first],
            self.tokens[first : end + 1] - self.tokens[first],
        )

    def total_tokens(self) -> dict[str, int]:
        """Tokens of all positions by source; sources without documents are absent."""
        ends = np.searchsorted(self.place, np.arange(len(self.sources) + 1) * len(self))
        return dict(zip(self.sources, np.diff(self.tokens[ends]).tolist(), strict=True))

    def within(
        self, quality: Column, first_hash: Column, last_hash: Column
    ) -> tuple[Integers, Integers]:
        """For each quality and range of hashes, both ends of which count: the first position in it,
        and the position after the last."""
        low = np.searchsorted(-self.quality, -_integers(quality))
        high = np.searchsorted(-self.quality, -_integers(quality), side="right")
        first, last = _integers(first_hash), _integers(last_hash)
        return (
            first_true(
                low, high, lambda position: self.tie_hash.take(position, mode="clip") >= first
            ),
            first_true(
                low, high, lambda position: self.tie_hash.take(position, mode="clip") > last
            ),
        )


def first_true(low: Integers, high: Integers, test: Callable[[Integers], Flags]) -> Integers:
    """For each range from `low` to before `high` the first number for which the test holds, `high`
    where none does. `test` takes a number for each range at once; within a range it turns true once
    and stays so. Of a range that is settled it is asked for `high` too, and not heeded."""
    while (low < high).any():
        middle = (low + high) // 2
        is_true = test(middle)
        high, low = (
            np.where(is_true & (low < high), middle, high),
            np.where(is_true | (low == high), low, middle + 1),
        )
    return low


def levels(source: Names, quality: Column, documents: Column, tokens: Column) -> Positions:
    """Positions of one quality each, of all candidates; columns of equal length, in any order.

    `quality` is in thousandths of a point, 0-10,000: quarantined documents have none and are no
    candidates. TypeError for a column that is not of integers.
    """
    position, first = _numbered(-_integers(quality))
    first_hash = np.full(len(first), FIRST_HASH)
    return _positions(
        0, _integers(quality)[first], first_hash, None, source, position, documents, tokens
    )


def prefixes(
    bits: int,
    source: Sequence[str],
    quality: Column,
    prefix: Column,
    documents: Column,
    tokens: Column,
) -> Positions:
    """Positions of the documents of one quality whose tie hashes begin with the same `bits`, 1-64;
    `prefix` is the hash shifted right by 64 - `bits`, keeping its sign."""
    qualities, hashes = _integers(quality), _integers(prefix) << (64 - bits)
    position, first = _numbered(-qualities, hashes)
    ends = qualities[first], hashes[first]
    return _positions(bits, *ends, None, source, position, documents, tokens)


def single_documents(
    source: Sequence[str],
    quality: Column,
    tie_hash: Column,
    doc_id: Sequence[str],
    tokens: Column,
) -> Positions:
    """Positions of one document each, no two with the same id."""
    rank = {one: i for i, one in enumerate(sorted(doc_id, key=str.encode))}
    qualities, hashes = _integers(quality), _integers(tie_hash)
    position, first = _numbered(-qualities, hashes, _integers([rank[one] for one in doc_id]))
    ids = [doc_id[row] for row in first]
    one = np.ones(len(source), np.int64)
    return _positions(64, qualities[first], hashes[first], ids, source, position, one, tokens)


def _numbered(*keys: Integers) -> tuple[Integers, Integers]:
    """The number of each row's position, rows with equal keys being one and the first key deciding
    first; and a row of each position."""
    order = np.lexsort(keys[::-1])
    starts = np.ones(len(order), bool)
    starts[1:] = np.logical_or.reduce([key[order[1:]] != key[order[:-1]] for key in keys])
    position = np.empty(len(order), np.int64)
    position[order] = np.cumsum(starts) - 1
    return position, order[starts]


def _positions(
    bits: int,
    quality: Integers,
    tie_hash: Integers,
    doc_id: Sequence[str] | None,
    source: Names,
    position: Integers,
    documents: Column,
    tokens: Column,
) -> Positions:
    """From what each position is, and rows in any order."""
    named = pa.array(source, pa.string()).dictionary_encode()
    place = named.indices.to_numpy(zero_copy_only=False) * np.int64(len(quality)) + position
    order = np.argsort(place)
    return Positions(
        bits=bits,
        quality=quality,
        tie_hash=tie_hash,
        doc_id=doc_id,
        sources={name: number for number, name in enumerate(named.dictionary.to_pylist())},
        place=place[order],
        documents=_sums(_integers(documents)[order]),
        tokens=_sums(_integers(tokens)[order]),
    )


def _sums(counts: Integers) -> Integers:
    """Over those before each, and over all at the end."""
    return np.concatenate(([0], counts.cumsum()))


def _integers(column: Column) -> Integers:
    """As int64; an empty column has no type of its own and may be cast from any."""
    array = np.asarray(column)
    return array.astype(np.int64, casting="same_kind" if array.size else "unsafe", copy=False)
