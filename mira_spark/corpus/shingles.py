"""Texts as sets of shingles, how alike two sets are, and the bands by which alike ones are found.

A shingle is a run of so many words, hashed to 64 bits. Words are runs of letters, digits and `_`
(`\\w`) of the casefolded text; in scripts written without spaces every character is a word.
A text with fewer words than a shingle is one shingle, a text without words is its own bytes.

MinHash (Broder 1997, On the resemblance and containment of documents): of two sets the least hashes
are equal with a probability that is their Jaccard similarity s. A band is `rows` least hashes
together; two sets share one of BANDS bands with the probability 1 - (1 - s**rows)**BANDS.

All is integers, and the same on every machine with one version of Unicode.
"""

import functools
import hashlib
import re
import sys
import unicodedata
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mira_spark.process.machine_code import compiled

Hashes = npt.NDArray[np.uint64]

SHINGLES_VERSION = 1
"""Raised with every change of what is hashed and how: what is stored is then made anew."""
BANDS = 16
LEAST_SHARE = 0.24
"""Of the pairs of the similarity asked for so many or more share a given band: 98.7 % share one or
more of the 16, and of more similar pairs soon all."""
MOST_ROWS = 16
_SPACELESS = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters: no space tells words apart."""
_NONE, _IN_WORD, _OWN_WORD = range(3)
_START = np.uint64(0x9E3779B97F4A7C15)
_STEP = np.uint64(0xD6E8FEB86659FD93)
_PRIME = np.uint64(0x100000001B3)
_MIX_A = np.uint64(0xFF51AFD7ED558CCD)
_MIX_B = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)


class MinHash(NamedTuple):
    """What decides the bands of a text: words of a shingle, least hashes of a band, the seed."""

    words: int
    rows: int
    seed: int

    @property
    def id(self) -> str:
        """16 hex digits of all that decides the bands."""
        parts = (SHINGLES_VERSION, *self, BANDS, unicodedata.unidata_version)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def rows_of_a_band(similarity: float) -> int:
    """The most least hashes of a band by which pairs of this similarity are still found."""
    return max(n for n in range(1, MOST_ROWS + 1) if n == 1 or similarity**n >= LEAST_SHARE)


def shingle_set(text: str, words: int) -> Hashes:
    """The hashes of the text's shingles, ascending, each once; never empty."""
    hashes = _shingles(text, words)
    hashes.sort()
    distinct: Hashes = _without_repeats(hashes)
    return distinct


def band_values(text: str, by: MinHash) -> npt.NDArray[np.int64]:
    """The bands of the text, int64 [BANDS]: texts that share a band share one of these values."""
    factors, terms = _draws(by.seed, by.rows * BANDS)
    values: Hashes = _bands(_shingles(text, by.words), factors, terms, by.rows)
    return values.view(np.int64)


def jaccard(a: Hashes, b: Hashes) -> float:
    """The share of the shingles of either set that both have, 0 to 1."""
    both = int(_common(a, b))
    return both / (len(a) + len(b) - both)


def _shingles(text: str, words: int) -> Hashes:
    """The hashes of the text's shingles in their order, repeats among them; never empty."""
    points = np.frombuffer(text.casefold().encode("utf-32-le", "surrogatepass"), np.uint32)
    of_words: Hashes = _word_hashes(points, _kinds())
    if not len(of_words):
        own = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]
        return np.frombuffer(own, "<u8").astype(np.uint64)
    shingles: Hashes = _runs(of_words, min(words, len(of_words)))
    return shingles


@functools.cache
def _kinds() -> npt.NDArray[np.uint8]:
    """What each code point is to a word: nothing, a part, or a word alone."""
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    kinds = np.zeros(len(everything), np.uint8)
    for run in re.finditer(r"\w+", everything):
        kinds[run.start() : run.end()] = _IN_WORD
    for run in re.finditer(f"[{_SPACELESS}]+", everything):
        kinds[run.start() : run.end()] *= _OWN_WORD
    return kinds


@functools.cache
def _draws(seed: int, count: int) -> tuple[Hashes, Hashes]:
    """A factor, which is odd, and a term for each of `count` hash functions."""
    digests = [hashlib.sha256(f"{seed} {n}".encode()).digest()[:16] for n in range(count)]
    drawn = np.frombuffer(b"".join(digests), "<u8").astype(np.uint64).reshape(count, 2)
    return drawn[:, 0] | np.uint64(1), drawn[:, 1].copy()


@compiled
def _mixed(value: Any) -> Any:
    """A hash whose every bit depends on every bit of `value`: the end of MurmurHash3."""
    value = (value ^ (value >> _SHIFT)) * _MIX_A
    value = (value ^ (value >> _SHIFT)) * _MIX_B
    return value ^ (value >> _SHIFT)


@compiled
def _word_hashes(points: Any, kinds: Any) -> Any:
    """The hash of each word of these code points, in their order."""
    hashes = np.empty(len(points), np.uint64)
    count, word, is_open = 0, _START, False
    for point in points:
        kind = kinds[point]
        if is_open and kind != _IN_WORD:
            hashes[count] = _mixed(word)
            count, word, is_open = count + 1, _START, False
        if kind == _IN_WORD:
            word, is_open = (word ^ np.uint64(point)) * _PRIME, True
        elif kind == _OWN_WORD:
            hashes[count] = _mixed((_START ^ np.uint64(point)) * _PRIME)
            count += 1
    if is_open:
        hashes[count] = _mixed(word)
        count += 1
    return hashes[:count].copy()


@compiled
def _runs(words: Any, length: Any) -> Any:
    """The hash of each run of so many words."""
    hashes = np.empty(len(words) - length + 1, np.uint64)
    for start in range(len(hashes)):
        run = _START
        for word in words[start : start + length]:
            run = run * _STEP + word
        hashes[start] = _mixed(run)
    return hashes


@compiled
def _without_repeats(ascending: Any) -> Any:
    count = 1
    for value in ascending[1:]:
        if value != ascending[count - 1]:
            ascending[count] = value
            count += 1
    return ascending[:count].copy()


@compiled
def _bands(shingles: Any, factors: Any, terms: Any, rows: Any) -> Any:
    """The least hash of the shingles by each function, those of a band hashed to one number."""
    least = np.full(len(factors), np.uint64(0xFFFFFFFFFFFFFFFF))
    for shingle in shingles:
        for n in range(len(factors)):
            least[n] = min(least[n], shingle * factors[n] + terms[n])
    values = np.empty(len(factors) // rows, np.uint64)
    for band in range(len(values)):
        value = _mixed(_START + np.uint64(band))
        for n in range(band * rows, (band + 1) * rows):
            value = _mixed(value * _STEP + least[n])
        values[band] = value
    return values


@compiled
def _common(a: Any, b: Any) -> Any:
    """How many values two ascending arrays without repeats share."""
    i, j, count = 0, 0, 0
    while i < len(a) and j < len(b):
        if a[i] == b[j]:
            i, j, count = i + 1, j + 1, count + 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return count
