"""What a budget and a policy would keep, from the histogram of qualities alone.

Levels above a source's cut are counted whole. Of the level at the cut, tokens are taken as if
documents were small and ties spread evenly, so that what is kept of a source is what its pool's
walk charges for it; its documents are in proportion to its tokens.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import log2

import numpy as np

from mira_spark.selection.allocation import KEEP_ALL, Policy, boundaries, cuts, walks
from mira_spark.selection.positions import FIRST_HASH, Positions, SourcePositions
from mira_spark.selection.walk import Boundary, Walk


@dataclass(frozen=True)
class Kept:
    """What is kept of a source; qualities in thousandths of a point.

    `mean_quality` is over documents, None where none is kept. `marginal_quality` is that of the cut
    and exact, None where there is no cut because all fits.
    """

    documents: int
    tokens: int
    mean_quality: float | None
    marginal_quality: int | None


@dataclass(frozen=True)
class WhatIf:
    """What is kept by source, and with `more` tokens of budget added to the same policy.

    `entropy_bits` is that of the kept tokens over sources: 0 where all are of one source, log2(n)
    where they are of n sources in equal parts.
    """

    kept: Mapping[str, Kept]
    kept_with_more: Mapping[str, Kept]
    entropy_bits: float


def what_if(
    policy: Policy, budget: int, groups: Mapping[str, str], bins: Positions, more: int = 10**9
) -> WhatIf:
    """What a selection would keep, and what `more` tokens would change.

    `budget` and `more` in tokens, `groups` is source to group, `bins` are the levels of all
    candidates. InputError as of `allocation.walks`.
    """
    kept = _kept_by_source(policy, budget, groups, bins)
    with_more = _kept_by_source(policy, budget + more, groups, bins)
    return WhatIf(kept, with_more, entropy_bits(k.tokens for k in kept.values()))


def entropy_bits(tokens: Iterable[int]) -> float:
    """Shannon's entropy of the parts of a whole; 0 for nothing."""
    parts = [t for t in tokens if t]
    return sum(t / sum(parts) * log2(sum(parts) / t) for t in parts)


def _kept_by_source(
    policy: Policy, budget: int, groups: Mapping[str, str], bins: Positions
) -> dict[str, Kept]:
    found = walks(policy, budget, groups, bins)
    ends = boundaries(found, bins)
    quality = {source: cut.quality_cut for source, cut in cuts(found, ends).items()}
    hashes = [FIRST_HASH] * len(quality)
    levels = zip(*bins.within(list(quality.values()), hashes, hashes), strict=True)
    level = dict(zip(quality, levels, strict=True))
    totals = bins.total_tokens()
    return {
        source: _source_kept(
            bins, bins.source_positions(source), quality[source], *level[source], tokens
        )
        for key, walk in found.items()
        if key[0] == "pool"
        for source, tokens in _tokens(walk, ends.get(key), totals).items()
    }


def _tokens(walk: Walk, end: Boundary | None, totals: Mapping[str, int]) -> dict[str, Fraction]:
    """By source, the tokens a walk takes when it goes on through its last level evenly.

    The charge is a broken line in the part of the level that is taken, which bends where a source
    comes to its reserve or cap; it meets the limit between two bends.
    """
    if end is None:
        return walk.charges({source: totals.get(source, 0) for source in walk.reserves})

    def charges(part: Fraction) -> dict[str, Fraction]:
        return walk.charges({s: end.above[s] + part * t for s, t in end.tokens.items()})

    def charge(part: Fraction) -> Fraction:
        return sum(charges(part).values(), Fraction(0))

    bends = {
        (bound - end.above[source]) / tokens
        for bounds in (walk.reserves, walk.caps)
        for source, bound in bounds.items()
        if (tokens := end.tokens[source])
    }
    parts = sorted({Fraction(0), Fraction(1)} | {part for part in bends if 0 < part < 1})
    over = bisect_left(parts, True, key=lambda part: charge(part) > walk.limit)
    low, high = parts[over - 1], parts[over]
    slope = (charge(high) - charge(low)) / (high - low)
    return charges(low + (walk.limit - charge(low)) / slope)


def _source_kept(
    bins: Positions, own: SourcePositions, quality_cut: int, first: int, end: int, tokens: Fraction
) -> Kept:
    """`tokens` kept of a source reach into the level at its cut, the position `first` before `end`,
    if it has one there."""
    documents, whole = own.between(0, first)
    tied_documents, tied_tokens = own.between(first, end)
    tied = tied_documents * (tokens - whole) / tied_tokens if tied_tokens else Fraction(0)
    levels = np.searchsorted(own.position, first)
    quality = int(np.diff(own.documents)[:levels] @ bins.quality[own.position[:levels]])
    kept = documents + tied
    return Kept(
        documents=int(kept),
        tokens=int(tokens),
        mean_quality=float((quality + tied * quality_cut) / kept) if kept else None,
        marginal_quality=None if quality_cut == KEEP_ALL else quality_cut,
    )
