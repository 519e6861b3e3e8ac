"""Shingles and their similarity as in plain Python; bands find what is near."""

import hashlib
import itertools
import random
import sys

import numpy as np
import pytest

from mira_spark.corpus.shingles import (
    BANDS,
    MinHash,
    band_values,
    jaccard,
    rows_of_a_band,
    shingle_set,
)
from tests import near_oracle

TEXTS = (
    "The cat sat on the mat. THE CAT, the_cat; the-cat 42\u00b2 na\u00efve",
    "Stra\u00dfe STRASSE \u1e9e \ufb01ne \u0130stanbul \u03a3\u03c2\u03c3 \u2167",
    "\u6211\u4eec\u5728\u5317\u4eac\uff0cHello\u4e16\u754c\u3002 \u3053\u3093 \u30c6\u30b9\u30c8",
    "\u0e2a\u0e27\u0e31\u0e2a \u0939\u093f\u0928\u094d \ud55c\uad6d\uc5b4 \u0627\u0644\u0639",
    "",
    " \n\t",
    "!?\u2026",
    "one",
    "\U0001f600 \U0001d4d0\U0001d4d1 a\u0000b \ufffd",
    "a a a a a a a a a a a a",
)  # fmt: skip


@pytest.mark.parametrize("words", [1, 5, 8])
def test_shingles_are_those_of_plain_python(words: int) -> None:
    draw = random.Random(1)
    letters = "".join(TEXTS)
    texts = [*TEXTS, *("".join(draw.choices(letters, k=draw.randint(0, 80))) for _ in range(300))]
    for text in texts:
        own, plain = shingle_set(text, words), near_oracle.shingles(text, words)
        assert len(own) == len(plain), text
        assert (own[1:] > own[:-1]).all()
    pairs = list(itertools.combinations(texts, 2))
    for a, b in draw.sample(pairs, 5_000):
        exact = near_oracle.similarity(a, b, words)
        assert jaccard(shingle_set(a, words), shingle_set(b, words)) == exact, (a, b)


def test_every_character_is_part_of_a_word_or_not_as_in_plain_python() -> None:
    """Two by two with a letter between them, so that each is told from its neighbours."""
    points = [p for p in range(sys.maxunicode + 1) if not 0xD800 <= p < 0xE000]
    for start in range(0, len(points), 50_000):
        text = "q".join(map(chr, points[start : start + 50_000]))
        words = near_oracle.words(text)
        assert len(shingle_set(text, 1)) == len(set(words))
        assert len(shingle_set(text, 2)) == len(set(itertools.pairwise(words)))


def test_a_text_without_words_is_its_own_bytes() -> None:
    assert jaccard(shingle_set("...", 8), shingle_set("...", 8)) == 1
    assert jaccard(shingle_set("...", 8), shingle_set("..", 8)) == 0
    assert jaccard(shingle_set("", 8), shingle_set(" ", 8)) == 0


def test_bands_and_shingles_are_the_same_on_every_machine() -> None:
    by = MinHash(words=5, rows=4, seed=7)
    values = np.concatenate([band_values(text, by) for text in TEXTS]).astype("<i8").tobytes()
    sets = np.concatenate([shingle_set(text, 5) for text in TEXTS]).astype("<u8").tobytes()
    digests = [hashlib.sha256(data).hexdigest()[:16] for data in (values, sets)]
    assert digests == ["36a021463cb1a741", "6d46f5c7c82a8c50"]


@pytest.mark.parametrize("similarity", [0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
def test_98_of_100_pairs_of_the_similarity_asked_for_share_a_band(similarity: float) -> None:
    rows = rows_of_a_band(similarity)
    draw = random.Random(similarity)
    by = MinHash(words=5, rows=rows, seed=1)
    found = exact = 0.0
    lost = int(396 * (1 - similarity) / (1 + similarity))  # of 396 shingles: 4 more than words
    for _ in range(600):
        words = draw.choices(near_oracle.VOCABULARY, k=400)
        start = draw.randrange(5, 395 - lost)
        others = [f"other{n}" for n in range(lost - 4)]
        copy = [*words[:start], *others, *words[start + lost - 4 :]]
        a, b = " ".join(words), " ".join(copy)
        alike = jaccard(shingle_set(a, 5), shingle_set(b, 5))
        assert similarity <= alike < similarity + 0.01
        exact += 1 - (1 - alike**rows) ** BANDS
        found += bool(set(band_values(a, by)) & set(band_values(b, by)))
    assert exact / 600 > 0.987
    assert found / 600 == pytest.approx(exact / 600, abs=0.012), "as theory has it"


def test_pairs_that_are_far_seldom_share_a_band() -> None:
    draw = random.Random(5)
    by = MinHash(words=5, rows=rows_of_a_band(0.8), seed=3)
    shared = 0
    for _ in range(500):
        words = draw.choices(near_oracle.VOCABULARY, k=200)
        copy = near_oracle.changed(words, 0.6, draw)  # a similarity of 0.24
        bands = [set(band_values(" ".join(w), by)) for w in (words, copy)]
        shared += bool(bands[0] & bands[1])
    assert shared < 10


def test_another_seed_or_length_gives_other_bands() -> None:
    text = " ".join(near_oracle.VOCABULARY[:50])
    one = MinHash(words=5, rows=4, seed=0)
    for other in (one._replace(seed=1), one._replace(words=6), one._replace(rows=5)):
        assert not set(band_values(text, one)) & set(band_values(text, other))
        assert one.id != other.id
    assert len(set(band_values(text, one))) == BANDS
