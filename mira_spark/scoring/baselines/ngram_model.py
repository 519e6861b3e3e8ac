"""An n-gram language model of words: interpolated modified Kneser-Ney.

The formulas are those of Heafield et al. 2013 (KenLM), after Chen and Goodman 1998: counts of the
orders below the highest are numbers of different words before, three discounts an order come from
its counts of counts (0.5, 1 and 1.5 where these are too few), and what they leave goes to the next
lower order, in the end evenly to all words, the end of a text and the unknown word. A text begins
with one mark, which is only ever a context, and ends with another, which is predicted.

An n-gram is known by the place of the n-gram without its last word, and that word: exact numbers,
no hashes. Legend: T tokens, V words with the three marks, N n-grams of one order.
"""

import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from mira_spark.scoring.baselines.dsir import words

_Integers = npt.NDArray[np.int64]
_Doubles = npt.NDArray[np.float64]
_UNKNOWN, _BEGIN, _END = range(3)
_MARKS = ("<unknown>", "<begin>", "<end>")
"""Of no text: a word holds no such mix of signs and letters."""
_FEW = (0.5, 1.0, 1.5)


class Level(NamedTuple):
    """The n-grams of one order that the target set has.

    `keys` int64 [N], ascending: place of all but the last word in the level below, times V, and the
    last word. `shares` float64 [N]: the probability of the last word after the others, without what
    the level below adds; of the first level with it. `rests` float64 [N]: what an n-gram leaves to
    the levels below of the word after it.
    """

    keys: _Integers
    shares: _Doubles
    rests: _Doubles


@dataclass(frozen=True)
class NgramModel:
    """`vocabulary` is each word's number, the marks first; `levels` are the orders from 1 up."""

    vocabulary: Mapping[str, int]
    levels: tuple[Level, ...]

    def mean_log_likelihood(self, text: str) -> float:
        """The mean log probability of a word of the text, its end among them, in nats: minus the
        log of the perplexity. NaN for a text without a word."""
        numbers = [self.vocabulary.get(word, _UNKNOWN) for word in words(text)]
        if not numbers:
            return math.nan
        ids = np.array([_BEGIN, *numbers, _END], np.int64)
        return float(np.log(self.probabilities(ids)[1:]).mean())

    def probabilities(self, ids: _Integers) -> _Doubles:
        """Of each token after those before it, float64 [T]; ids are of one whole text."""
        likelihood, places = self.levels[0].shares[ids], ids
        for below, level in pairwise(self.levels):
            before = np.concatenate([[-1], places[:-1]])
            keys = before * len(self.vocabulary) + ids
            at = np.minimum(np.searchsorted(level.keys, keys), len(level.keys) - 1)
            is_known = (before >= 0) & (level.keys[at] == keys)
            rest = np.where(before >= 0, below.rests[before], 1.0)
            likelihood = np.where(is_known, level.shares[at], 0.0) + rest * likelihood
            places = np.where(is_known, at, -1)
        return likelihood

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All of the model, as `from_arrays` takes it."""
        text = "\n".join(self.vocabulary).encode()
        arrays: dict[str, npt.NDArray[Any]] = {"words": np.frombuffer(text, np.uint8)}
        for order, level in enumerate(self.levels, 1):
            arrays |= {f"{name}_{order}": array for name, array in level._asdict().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The model that gave these `arrays`."""
        names = arrays["words"].tobytes().decode().split("\n")
        orders = range(1, sum(name.startswith("keys_") for name in arrays) + 1)
        levels = (Level(*(arrays[f"{name}_{order}"] for name in Level._fields)) for order in orders)
        return cls({name: number for number, name in enumerate(names)}, tuple(levels))


def train(texts: Iterable[str], order: int) -> NgramModel:
    """The model of these texts, the same in whatever order they come. All their words are held in
    memory, about 100 bytes for each of them in the texts."""
    first_seen: dict[str, int] = {mark: number for number, mark in enumerate(_MARKS)}
    read = array("i")
    for text in texts:
        read.append(_BEGIN)
        read.extend(first_seen.setdefault(word, len(first_seen)) for word in words(text))
        read.append(_END)
    names = [*_MARKS, *sorted(first_seen.keys() - set(_MARKS))]
    vocabulary = {name: number for number, name in enumerate(names)}
    numbers = np.array([vocabulary[name] for name in first_seen], np.int64)
    ids = numbers[np.frombuffer(read, np.int32)] if read else np.zeros(0, np.int64)
    return NgramModel(vocabulary, tuple(_levels(ids, len(vocabulary), order)))


def _levels(ids: _Integers, size: int, order: int) -> list[Level]:
    """`ids` are those of all texts, one behind the other."""
    places = ids  # of the n-gram that ends at each token; -1 where it would begin before its text
    keys, counts = np.arange(size), np.bincount(ids, minlength=size)
    prefixes, begins = np.zeros(size, np.int64), np.arange(size) == _BEGIN
    known: list[tuple[_Integers, _Integers, _Integers]] = []
    for _ in range(1, order):
        ends = np.flatnonzero((places[:-1] >= 0) & (ids[1:] != _BEGIN)) + 1
        longer, first, inverse, longer_counts = np.unique(
            places[ends - 1] * size + ids[ends],
            return_index=True, return_inverse=True, return_counts=True,
        )  # fmt: skip
        if not len(longer):  # no text is as long
            break
        # Nothing stands before the begin of a text: what begins there is counted as it is.
        different = np.bincount(places[ends[first]], minlength=len(keys))
        known.append((keys, np.where(begins, counts, different), prefixes))
        keys, counts, prefixes = longer, longer_counts, longer // size
        begins = begins[prefixes]
        places = np.full(len(ids), -1)
        places[ends] = inverse
    return _smoothed([*known, (keys, counts, prefixes)])


def _smoothed(orders: list[tuple[_Integers, _Integers, _Integers]]) -> list[Level]:
    """The levels of keys, counts and the places of their prefixes."""
    levels: list[Level] = []
    for keys, counts, prefixes in orders:
        contexts = len(levels[-1].keys) if levels else 1
        if not levels:
            counts = np.where(keys == _BEGIN, 0, counts)
        discounts = _discounts(counts)[np.minimum(counts, 3)]
        total = np.bincount(prefixes, counts, contexts)
        left = np.bincount(prefixes, discounts, contexts)
        rests = np.divide(left, total, out=np.ones(contexts), where=total > 0)
        shares = (counts - discounts) / total[prefixes]
        if levels:
            levels[-1] = levels[-1]._replace(rests=rests)
        else:
            shares = np.where(keys == _BEGIN, 0.0, shares + rests[0] / (len(keys) - 1))
        levels.append(Level(keys, shares, np.ones(len(keys))))
    return levels


def _discounts(counts: _Integers) -> _Doubles:
    """What is taken off a count of 0, 1, 2, and 3 and more, float64 [4]."""
    once, twice, thrice, four = (np.count_nonzero(counts == count) for count in range(1, 5))
    if not (once and twice and thrice and four):
        return np.array([0.0, *_FEW])
    part = once / (once + 2 * twice)
    found = np.array([0.0, *(c - (c + 1) * part * more / fewer for c, fewer, more in (
        (1, once, twice), (2, twice, thrice), (3, thrice, four)))])  # fmt: skip
    is_usable = (found >= 0).all() and (found <= np.arange(4)).all()
    return found if is_usable else np.array([0.0, *_FEW])
