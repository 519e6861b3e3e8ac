"""Near-duplicates by brute force: sets of tuples of words, all pairs, in plain Python; and texts
with planted copies to find."""

import hashlib
import itertools
import random
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
"""Characters of scripts without spaces."""
WORD = re.compile(rf"[{ALONE}]|[^\W{ALONE}]+")
VOCABULARY = [f"word{n}" for n in range(3_000)]


class Member(NamedTuple):
    """A document that another stands for."""

    representative: str
    similarity: float


def words(text: str) -> list[str]:
    return [word for word in WORD.findall(text.casefold()) if re.match(r"\w", word)]


def shingles(text: str, length: int = 8) -> frozenset[tuple[str, ...]]:
    if not (found := words(text)):
        return frozenset([("no word", text)])
    starts = range(max(1, len(found) - length + 1))
    return frozenset(tuple(found[start : start + length]) for start in starts)


def jaccard(a: frozenset[object], b: frozenset[object]) -> float:
    return len(a & b) / len(a | b)


def similarity(a: str, b: str, length: int = 8) -> float:
    return jaccard(shingles(a, length), shingles(b, length))


def content_hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]


def near_pairs(texts: Iterable[str], least: float, length: int = 8) -> dict[tuple[str, str], float]:
    """All pairs of distinct texts that are near, in the order of their hashes."""
    ordered = sorted(set(texts), key=content_hash)
    sets = {text: shingles(text, length) for text in ordered}
    holders: dict[object, list[str]] = {}
    for text in ordered:  # only what shares a shingle can be near
        for shingle in sets[text]:
            holders.setdefault(shingle, []).append(text)
    alike = {pair for held in holders.values() for pair in itertools.combinations(held, 2)}
    found = {(a, b): jaccard(sets[a], sets[b]) for a, b in alike}
    return {pair: similarity for pair, similarity in found.items() if similarity >= least}


def members(
    documents: Mapping[str, str], near: Mapping[tuple[str, str], float]
) -> dict[str, Member]:
    """doc_id to what stands for it; `documents` is doc_id to text, `near` are `near_pairs`."""
    texts = sorted(set(documents.values()), key=content_hash)
    neighbours: dict[str, dict[str, float]] = {text: {} for text in texts}
    for (a, b), similarity in near.items():
        neighbours[a][b] = neighbours[b][a] = similarity
    standing: set[str] = set()
    for text in texts:
        if not standing & neighbours[text].keys():
            standing.add(text)
    first = {text: doc_id for doc_id, text in sorted(documents.items(), reverse=True)}
    found = {}
    for doc_id, text in documents.items():
        best = text, 1.0
        if text not in standing:
            near_ones = [(-s, content_hash(t), t) for t, s in neighbours[text].items()
                         if t in standing]  # fmt: skip
            minus, _, representative = min(near_ones)
            best = representative, -minus
        if first[best[0]] != doc_id:
            found[doc_id] = Member(first[best[0]], best[1])
    return found


def changed(words: list[str], share: float, draw: random.Random) -> list[str]:
    """The words with others in the place of a share of them, in one run, which may be in the
    middle: so the Jaccard similarity is about (1 - share) / (1 + share)."""
    count = round(share * len(words))
    start = draw.randrange(len(words) - count + 1)
    return [*words[:start], *draw.choices(VOCABULARY, k=count), *words[start + count :]]


def planted(documents: int, seed: int) -> dict[str, str]:
    """doc_id to text: originals of 60 to 300 words, half of them with copies at similarities from
    0.5 to 1, equal texts, texts that differ in case and punctuation, short and empty ones."""
    draw = random.Random(seed)
    texts: list[str] = ["", " ", "...", "\n", "one", "One!", "one two", "\u00df", "SS", "ss"]
    while len(texts) < documents:
        words = draw.choices(VOCABULARY, k=draw.randint(60, 300))
        texts.append(" ".join(words))
        if draw.random() < 0.5:
            continue
        for _ in range(draw.choice((1, 1, 1, 2, 3, 12))):
            similarity = draw.uniform(0.5, 1)
            copy = changed(words, (1 - similarity) / (1 + similarity), draw)
            texts.append(draw.choice((" ", " ", ", ", "\n")).join(copy))
        if draw.random() < 0.2:
            texts += [texts[-1]] * draw.choice((1, 2, 9))
            texts.append(texts[-1].upper() + "!")
    names = [f"doc {n:05}" for n in range(documents)]
    draw.shuffle(names)
    return dict(zip(names, texts[:documents], strict=True))
