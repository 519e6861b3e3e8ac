"""Which fold a labelled row is in: rows of one domain are in one, so that what is predicted of a
row was never learnt from its neighbours."""

import re
import zlib
from collections.abc import Mapping

import numpy as np

from mira_spark.corpus.draws import draw

_WORD = re.compile(r"\w+")
_SHINGLE = 8  # words
_COMPARED_CHARACTERS = 20_000  # of a text: so much decides what it nearly equals
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xFF51AFD7ED558CCD)


def balanced_folds(rows: Mapping[str, int], folds: int) -> dict[str, int]:
    """A fold from 0 for each domain, `rows` saying how many rows each has: the largest domain
    first, each into the fold with the fewest rows so far. The same domains give the same folds."""
    sizes = [0] * folds
    fold_of = {}
    for domain in sorted(rows, key=lambda name: (-rows[name], draw(name, "fold"), name)):
        fold = sizes.index(min(sizes))
        fold_of[domain] = fold
        sizes[fold] += rows[domain]
    return fold_of


def nearly_equal_key(text: str) -> str:
    """One key for texts that share nearly all runs of eight words: the least hash of them
    (MinHash). Two texts have the same key with the probability that a run of either is in both."""
    words = _WORD.findall(text[:_COMPARED_CHARACTERS].lower())
    hashes = np.array([zlib.crc32(word.encode("utf-8", "replace")) for word in words], np.uint64)
    runs = np.zeros(max(1, len(words) - _SHINGLE + 1), np.uint64)
    with np.errstate(over="ignore"):
        for place in range(min(_SHINGLE, len(words))):
            runs = runs * _BASE + hashes[place : place + len(runs)]
        runs = (runs ^ (runs >> np.uint64(32))) * _MIX
        runs ^= runs >> np.uint64(32)
    return f"text {int(runs.min()):016x}"
