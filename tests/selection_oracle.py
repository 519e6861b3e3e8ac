"""The rule of selection, document by document: what every faster way has to agree with.

Documents of a pool are walked in order while the pool's charge stays within its limit; a source is
charged the tokens walked of it, at least what its floor reserves, at most its cap. Kept of a source
is its longest prefix within its floor, and of what was walked its longest prefix within its cap.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import floor

import numpy as np


@dataclass(frozen=True)
class Document:
    """`quality` None: quarantined, never kept."""

    doc_id: str
    source: str
    quality: int | None
    tie_hash: int
    tokens: int


@dataclass(frozen=True)
class Rule:
    """Pool by source, share of the budget by pool; floors and caps of sources that have one.

    `own_floors` are shares of a source's own tokens that compete. A document does not compete that
    has more than `document_share` of its pool's tokens and more than ten of its mean documents.
    """

    pool_of: Mapping[str, str]
    shares: Mapping[str, Fraction]
    floors: Mapping[str, Fraction]
    caps: Mapping[str, Fraction]
    own_floors: Mapping[str, Fraction] = field(default_factory=dict)
    document_share: Fraction = Fraction(1, 100)


def in_order(documents: Iterable[Document]) -> list[Document]:
    """Those with a quality, best first."""
    scored = [(d.quality, d) for d in documents if d.quality is not None]
    ordered = sorted(scored, key=lambda pair: (-pair[0], pair[1].tie_hash, pair[1].doc_id.encode()))
    return [d for _, d in ordered]


def with_noise(documents: Iterable[Document], temperature: Fraction) -> list[Document]:
    """By what they compete at a temperature, in points: quality + temperature x noise, from its
    least value, at quality 0, to its greatest, at 10, brought to 0 to 10,000 and rounded down."""
    least, most = gumbel(0), gumbel(65_535)
    whole = 10_000 + temperature * (most - least)
    return [
        d if d.quality is None else replace(
            d, quality=floor((d.quality + temperature * (gumbel(d.tie_hash) - least)) * 10_000
                             / whole))
        for d in documents
    ]  # fmt: skip


def gumbel(tie_hash: int) -> int:
    """The noise of a document, in thousandths: a quantile by the last 16 bits of its hash."""
    return round(-1000 * float(np.log(-np.log((tie_hash % 65_536 + 0.5) / 65_536))))


def sized(documents: Iterable[Document], rule: Rule) -> list[Document]:
    """Those that are not too large for their pool."""
    ordered = in_order(documents)
    found = []
    for pool in set(rule.pool_of.values()):
        own = of_pool(ordered, pool, rule)
        tokens, mean = tokens_of(own), Fraction(tokens_of(own), max(1, len(own)))
        found += [d for d in own
                  if d.tokens <= tokens * rule.document_share or d.tokens <= 10 * mean]  # fmt: skip
    return in_order(found)


def tokens_of(documents: Iterable[Document]) -> int:
    return sum(d.tokens for d in documents)


def by_source(documents: Iterable[Document]) -> dict[str, int]:
    """Tokens of each source."""
    found: dict[str, int] = {}
    for d in documents:
        found[d.source] = found.get(d.source, 0) + d.tokens
    return found


def prefix(documents: Sequence[Document], tokens: Fraction) -> list[Document]:
    """The longest prefix with at most so many tokens."""
    taken = 0
    for place, document in enumerate(documents):
        taken += document.tokens
        if taken > tokens:
            return list(documents[:place])
    return list(documents)


def of_source(documents: Iterable[Document], source: str) -> list[Document]:
    return [d for d in documents if d.source == source]


def of_pool(documents: Iterable[Document], pool: str, rule: Rule) -> list[Document]:
    return [d for d in documents if rule.pool_of[d.source] == pool]


def charge(taken: Mapping[str, int], there: Mapping[str, int], budget: int, rule: Rule) -> Fraction:
    """What a pool is charged for the tokens taken of each source, of those that are there."""
    charged = Fraction(0)
    for source, tokens in there.items():
        reserved = min(floor_of(source, tokens, budget, rule), Fraction(tokens))
        wanted = max(reserved, Fraction(taken.get(source, 0)))
        charged += min(wanted, budget * rule.caps.get(source, Fraction(10**30)))
    return charged


def floor_of(source: str, tokens: int, budget: int, rule: Rule) -> Fraction:
    """The tokens that are kept for a source that has so many; 0 where it has no floor."""
    own = tokens * rule.own_floors.get(source, Fraction(0))
    return own + budget * rule.floors.get(source, Fraction(0))


def walk(
    candidates: Sequence[Document], pool: str, budget: int, rule: Rule, skipping: bool
) -> list[Document]:
    """The documents of a pool up to the first that does not fit; `skipping` goes on after it."""
    walked: list[Document] = []
    taken, there = dict[str, int](), by_source(candidates)
    for document in candidates:
        more = taken | {document.source: taken.get(document.source, 0) + document.tokens}
        if charge(more, there, budget, rule) <= budget * rule.shares[pool]:
            walked.append(document)
            taken = more
        elif not skipping:
            break
    return walked


def kept(
    documents: Iterable[Document], budget: int, rule: Rule, skipping: bool = False
) -> set[str]:
    """The ids of what is kept."""
    ordered = sized(documents, rule)
    found: set[str] = set()
    for pool in set(rule.pool_of.values()):
        candidates = of_pool(ordered, pool, rule)
        walked = ids_of(walk(candidates, pool, budget, rule, skipping))
        for source in {d.source for d in candidates}:
            own = of_source(candidates, source)
            if least := floor_of(source, tokens_of(own), budget, rule):
                found |= ids_of(prefix(own, least))
            if source in rule.caps:
                own = prefix(own, budget * rule.caps[source])
            found |= ids_of(own) & walked
    return found


def ids_of(documents: Iterable[Document]) -> set[str]:
    return {d.doc_id for d in documents}


def kept_skipping(documents: Iterable[Document], budget: int, rule: Rule) -> set[str]:
    """A wrong variant: what does not fit is skipped and the walk goes on."""
    return kept(documents, budget, rule, skipping=True)


def kept_sharing_leftovers(documents: Iterable[Document], budget: int, rule: Rule) -> set[str]:
    """A wrong variant: what the pools leave of the budget is walked down once more by all."""
    documents = list(documents)
    ids = kept(documents, budget, rule)
    left = budget - tokens_of(d for d in documents if d.doc_id in ids)
    others = [d for d in sized(documents, rule) if d.doc_id not in ids]
    return ids | {d.doc_id for d in prefix(others, Fraction(left))}
