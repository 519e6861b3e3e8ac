"""Documents and tokens of sources, counted over steps in the order documents are selected in.

The order is (quality descending, tie hash as a signed 64-bit integer, doc_id by UTF-8 bytes). A
step is documents next to each other in it: all of one quality, those of one quality whose hashes
begin with the same bits, or a single one. All counts are int64.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Integers = npt.NDArray[np.int64]
Column = Sequence[int] | npt.NDArray[np.integer]
Names: TypeAlias = Sequence[str] | pa.StringArray

FIRST_HASH = -(2**63)


@dataclass(frozen=True)
class Run:
    """One source's part of the steps: those it has documents in, in order.

    `step` numbers them; `documents[i]` and `tokens[i]` are sums over those before the i-th, so
    these two are longer by one.
    """

    step: Integers
    documents: Integers
    tokens: Integers

    @property
    def total_tokens(self) -> int:
        """Tokens of all its steps."""
        return int(self.tokens[-1])

    def between(self, first: int, end: int) -> tuple[int, int]:
        """Documents and tokens in the steps from `first` on and before `end`."""
        i, j = np.searchsorted(self.step, (first, end))
        return int(self.documents[j] - self.documents[i]), int(self.tokens[j] - self.tokens[i])

    def last_before(self, end: int) -> int:
        """The source's last step before `end`, -1 where there is none."""
        i = np.searchsorted(self.step, end)
        return int(self.step[i - 1]) if i else -1


NO_RUN = Run(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64))


@dataclass(frozen=True)
class Steps:
    """The steps of all sources in order, as `levels`, `prefixes` or `single_documents` make them.

    The hashes of a step begin with the same `bits` and the first that could be in it is `tie_hash`;
    `doc_id` is None where a step may be more than one document.
    """

    bits: int
    quality: Integers
    tie_hash: Integers
    doc_id: Sequence[str] | None
    runs: Mapping[str, Run]

    def run(self, source: str) -> Run:
        """The source's part, empty where it has no document."""
        return self.runs.get(source, NO_RUN)

    def within(self, quality: int, first_hash: int, last_hash: int) -> tuple[int, int]:
        """The first step of this quality with a hash in the range, both ends of which count, and
        the step after the last."""
        every = range(len(self.quality))
        first = bisect_left(every, (-quality, first_hash), key=self._place)
        return first, bisect_right(every, (-quality, last_hash), key=self._place)

    def _place(self, step: int) -> tuple[int, int]:
        return -int(self.quality[step]), int(self.tie_hash[step])


def levels(source: Names, quality: Column, documents: Column, tokens: Column) -> Steps:
    """Steps of one quality each, of all candidates; columns of equal length, in any order.

    `quality` is in thousandths of a point, 0-10,000: quarantined documents have none and are no
    candidates. TypeError for a column that is not of integers.
    """
    return _steps(0, source, quality, [FIRST_HASH] * len(source), None, documents, tokens)


def prefixes(
    bits: int,
    source: Sequence[str],
    quality: Column,
    prefix: Column,
    documents: Column,
    tokens: Column,
) -> Steps:
    """Steps of the documents of one quality whose tie hashes begin with the same `bits`, 1-64;
    `prefix` is the hash shifted right by 64 - `bits`, keeping its sign."""
    first_hash = _integers(prefix) << (64 - bits)
    return _steps(bits, source, quality, first_hash, None, documents, tokens)


def single_documents(
    source: Sequence[str],
    quality: Column,
    tie_hash: Column,
    doc_id: Sequence[str],
    tokens: Column,
) -> Steps:
    """Steps of one document each, no two with the same id."""
    return _steps(64, source, quality, tie_hash, doc_id, [1] * len(source), tokens)


def _steps(
    bits: int,
    source: Names,
    quality: Column,
    tie_hash: Column,
    doc_id: Sequence[str] | None,
    documents: Column,
    tokens: Column,
) -> Steps:
    ids = sorted(doc_id or [""], key=str.encode)
    rank = {one: i for i, one in enumerate(ids)}
    ranks = [rank[one] for one in doc_id] if doc_id else [0] * len(source)
    keys = np.stack([_integers(ranks), _integers(tie_hash), -_integers(quality)])
    order = np.lexsort(keys)
    keys = keys[:, order]
    starts = np.ones(len(order), bool)
    starts[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    step = np.cumsum(starts) - 1
    named = pa.array(source, pa.string()).dictionary_encode()
    owner = named.indices.to_numpy(zero_copy_only=False)[order]
    counts = np.stack([_integers(documents), _integers(tokens)])[:, order]

    def run(number: int) -> Run:
        rows = np.flatnonzero(owner == number)
        return Run(step[rows], *np.pad(counts[:, rows].cumsum(axis=1), ((0, 0), (1, 0))))

    return Steps(
        bits=bits,
        quality=-keys[2, starts],
        tie_hash=keys[1, starts],
        doc_id=None if doc_id is None else [ids[i] for i in keys[0, starts]],
        runs={name: run(number) for number, name in enumerate(named.dictionary.to_pylist())},
    )


def _integers(column: Column) -> Integers:
    """As int64; an empty column has no type of its own and may be cast from any."""
    array = np.asarray(column)
    return array.astype(np.int64, casting="same_kind" if array.size else "unsafe")
