"""Which documents are spoilt, and with what: pairs of a document and a copy that must score below
it."""

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain, islice, zip_longest
from random import Random

from mira_spark.corpus.text_kinds import kind_of_text
from mira_spark.labels.spoilers import REPLACED_SHARE, SPOILERS, foreign_text

NEIGHBOURS = 8
"""A copy that needs another text takes one of so many that are nearest in length."""

_Sized = tuple[int, str, str]  # characters, text, source
_NO_SOURCE = "\x00"


@dataclass(frozen=True)
class SpoiltCopy:
    """One copy: the index of its document, the document's source, the kind of spoiling (the
    spoiler's name), the text."""

    document: int
    source: str
    kind: str
    text: str


def spoilt_copies(
    texts: Sequence[str],
    sources: Sequence[str],
    seed: int,
    per_source: int,
    foreign: Sequence[str] = (),
) -> list[SpoiltCopy]:
    """One copy for each document and each spoiling that can be applied to it, of up to
    `per_source` documents of every source, by document.

    `foreign` are texts unlike these, which `foreign_text` takes its stretches from; without any it
    takes them from the other sources. The same texts, sources and seed give the same copies, in
    whatever order the documents come.
    """
    drawn = _drawn_documents(texts, sources, seed, per_source)
    by_length = _by_length(texts, sources)
    strangers = _by_length(foreign, [_NO_SOURCE] * len(foreign)) or by_length
    of_source: dict[str, list[_Sized]] = {}
    for sized in by_length:
        of_source.setdefault(sized[2], []).append(sized)
    copies = []
    for document in drawn:
        text, source = texts[document], sources[document]
        for spoil in SPOILERS[kind_of_text(text)]:
            random = Random(_digest(seed, source, spoil.__name__, text))
            if spoil is foreign_text:
                other = _neighbour(strangers, text, random, but=source)
            else:
                other = _neighbour(of_source[source], text, random)
            if (copy := spoil(text, other, random)) is not None:
                copies.append(SpoiltCopy(document, source, spoil.__name__, copy))
    return copies


def spoilt_copy(text: str, near: str, foreign: str, seed: int) -> tuple[str, str] | None:
    """The kind and the text of one copy, of a spoiling drawn among those that can be applied; None
    where none can. `near` is another text of its source, `foreign` one of another. The same texts
    and seed give the same copy."""
    random = Random(_digest(seed, text))
    spoilers = SPOILERS[kind_of_text(text)]
    for spoil in random.sample(spoilers, len(spoilers)):
        copy = spoil(text, foreign if spoil is foreign_text else near, random)
        if copy is not None:
            return spoil.__name__, copy
    return None


def _by_length(texts: Sequence[str], sources: Sequence[str]) -> list[_Sized]:
    return sorted((len(text), text, source) for text, source in zip(texts, sources, strict=True))


def _drawn_documents(
    texts: Sequence[str], sources: Sequence[str], seed: int, per_source: int
) -> list[int]:
    """The documents with the lowest hashes of each source, in their order; equal texts of a source
    count once."""
    first: dict[str, dict[bytes, int]] = {}
    for document, (text, source) in enumerate(zip(texts, sources, strict=True)):
        first.setdefault(source, {}).setdefault(_digest(seed, source, "drawn", text), document)
    return sorted(
        document
        for digests in first.values()
        for _, document in nsmallest(per_source, digests.items())
    )


def _digest(seed: int, *parts: str) -> bytes:
    whole = "\x00".join((str(seed), *parts))
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).digest()


def _neighbour(
    by_length: Sequence[_Sized], text: str, random: Random, but: str | None = None
) -> str:
    """One of the other texts that are nearest in length, none of the source `but`; else ""."""
    at = bisect_left(by_length, (len(text),))
    outward = zip_longest(reversed(range(at)), range(at, len(by_length)))
    near = (by_length[place] for place in chain.from_iterable(outward) if place is not None)
    fit = (
        other
        for length, other, source in near
        if source != but and other != text and length >= REPLACED_SHARE * len(text)
    )
    return random.choice([*islice(fit, NEIGHBOURS)] or [""])
