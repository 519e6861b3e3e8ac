"""The n-grams of normalised words of texts.

An n-gram is n words one after another, whatever stands between them (`word_characters`), written
with a space between two. They are looked up by a hash of 64 bits; whether two are equal is decided
by their words.

Legend: T texts, G n-grams.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mira_spark.corpus.ngram_kernels import bits_of_hashes, ngrams_of_texts
from mira_spark.corpus.word_characters import character_table

EVERY_NGRAM = np.full(1, -1, np.int64)
"""The filter that every n-gram passes."""


class Ngrams(NamedTuple):
    """The distinct n-grams of each of some texts; G of them, and how many words each text has.

    `rows` are the texts' places, `positions` the character of the text at which the first of the
    n-gram begins, both int64 [G]; `hashes` int64 [G]; `words` int64 [T].
    """

    rows: npt.NDArray[np.int64]
    ngrams: pa.Array
    positions: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]


def distinct_ngrams(
    texts: pa.Array, sizes: Sequence[int], passing: npt.NDArray[np.int64] = EVERY_NGRAM
) -> Ngrams:
    """The n-grams, of each of `sizes` words, that pass a filter; those of one text once each, in
    its order. `passing` is as `filter_bits` says."""
    column = texts.cast(pa.large_string())
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets or b"\0" * 8, np.int64)
    bounds = bounds[column.offset : column.offset + len(column) + 1]
    utf8 = np.frombuffer(data or b"", np.uint8)
    arrays: list[npt.NDArray[Any]] = [utf8, bounds, *character_table(), np.array(sizes), passing]
    rows, positions, hashes, ends, ngrams, words = ngrams_of_texts(
        *(_read_only(array) for array in arrays)
    )
    starts = pa.py_buffer(np.concatenate((np.zeros(1, np.int64), ends)))
    strings = pa.LargeStringArray.from_buffers(len(ends), starts, pa.py_buffer(ngrams))
    return Ngrams(rows, strings, positions, hashes.view(np.int64), words)


def filter_bits(hashes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The bits that n-grams of these hashes need, int64 [G], to pass a filter.

    A filter is a blocked Bloom filter: int64 [2**k], in which an n-gram passes when it has all its
    bits at the place `hash & (2**k - 1)`. (Putze, Sanders and Singler 2007.)
    """
    bits: npt.NDArray[np.int64] = bits_of_hashes(hashes.view(np.uint64)).view(np.int64)
    return bits


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view that nobody may write through: numba would compile anew for a writable array."""
    view = array.view()
    view.flags.writeable = False
    return view
