"""A walk down documents in order to the first that does not fit, seen only through histograms.

A walk ends at the first step that does not fit whole and goes on inside it with finer steps, so
that documents themselves are only met where few of them tie. What decides is compared as exact
fractions.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from mira_spark.errors import ReconciliationError
from mira_spark.histograms import FIRST_HASH, Run, Steps


@dataclass(frozen=True)
class Walk:
    """What the documents of some sources may take of a budget, going down them in order.

    A source is charged the tokens taken of it, but at least its reserve and at most its cap if it
    has one; together they are charged at most `limit`. All in tokens, exact, 0 <= reserve <= cap.
    `reserves` names every source of the walk.
    """

    limit: Fraction
    reserves: Mapping[str, Fraction]
    caps: Mapping[str, Fraction]

    def charges(self, taken: Mapping[str, int | Fraction]) -> dict[str, Fraction]:
        """What each source is charged when so many tokens are taken of it."""
        charged = {s: max(reserve, Fraction(taken[s])) for s, reserve in self.reserves.items()}
        return {s: min(tokens, self.caps.get(s, tokens)) for s, tokens in charged.items()}


@dataclass(frozen=True)
class Cut:
    """The last place in the order that is kept: all above `quality_cut`, and of the documents with
    that quality those up to (`tie_hash_cut`, `tie_doc_id_cut`), itself included; none of them where
    the two are None. No document has the empty id: (hash, "") is the place before that hash.
    """

    quality_cut: int
    tie_hash_cut: int | None = None
    tie_doc_id_cut: str | None = None

    @property
    def place(self) -> tuple[int, int, bytes]:
        """Grows down the order: of two cuts the one with the greater place keeps more."""
        tie_hash = FIRST_HASH if self.tie_hash_cut is None else self.tie_hash_cut
        return -self.quality_cut, tie_hash, (self.tie_doc_id_cut or "").encode()


@dataclass(frozen=True)
class Boundary:
    """The step of a walk that does not fit whole: documents with `quality` and a tie hash from
    `first_hash` to `last_hash`, both of which count.

    By source, `documents` and `tokens` are in it and `above` is the tokens before it. All up to
    `cut` fits; how much more does is for finer steps to say.
    """

    quality: int
    first_hash: int
    last_hash: int
    documents: Mapping[str, int]
    tokens: Mapping[str, int]
    above: Mapping[str, int]
    cut: Cut


def boundary(walk: Walk, steps: Steps, inside: Boundary | None = None) -> Boundary | None:
    """The first step that does not fit whole; None where all fit.

    Without `inside`, `steps` are the levels of all candidates. Otherwise `inside` is the walk's
    boundary so far and `steps` are finer ones of its documents, and of any others;
    ReconciliationError when they are not the documents it counted.
    """
    runs = {source: steps.run(source) for source in walk.reserves}
    first, end, above = 0, len(steps.quality), dict.fromkeys(runs, 0)
    if inside:
        first, end = steps.within(inside.quality, inside.first_hash, inside.last_hash)
        above = dict(inside.above)
        if _counts(runs, first, end) != (inside.documents, inside.tokens):
            raise ReconciliationError(
                f"documents of quality {inside.quality} were counted twice, with different "
                "results: a table changed while the selection was made"
            )

    def taken(step: int) -> dict[str, int]:
        return {s: above[s] + run.between(first, step)[1] for s, run in runs.items()}

    def is_over(step: int) -> bool:
        return sum(walk.charges(taken(step + 1)).values()) > walk.limit

    stop = first + bisect_left(range(first, end), True, key=is_over)
    if stop == end:
        return None
    documents, tokens = _counts(runs, stop, stop + 1)
    first_hash = int(steps.tie_hash[stop])
    return Boundary(
        quality=int(steps.quality[stop]),
        first_hash=first_hash,
        last_hash=first_hash + 2 ** (64 - steps.bits) - 1,
        documents=documents,
        tokens=tokens,
        above=taken(stop),
        cut=_cut(steps, first, stop, runs.values()),
    )


def _counts(runs: Mapping[str, Run], first: int, end: int) -> tuple[dict[str, int], dict[str, int]]:
    """Documents and tokens by source from one step on and before another."""
    found = {source: run.between(first, end) for source, run in runs.items()}
    return {s: d for s, (d, _) in found.items()}, {s: t for s, (_, t) in found.items()}


def _cut(steps: Steps, first: int, stop: int, runs: Iterable[Run]) -> Cut:
    """At the last document from `first` on and before `stop`; where there is none or steps are no
    documents, before `stop`."""
    kept = max(run.last_before(stop) for run in runs)
    if steps.doc_id is not None and kept >= first:
        return Cut(int(steps.quality[kept]), int(steps.tie_hash[kept]), steps.doc_id[kept])
    return Cut(int(steps.quality[stop]), int(steps.tie_hash[stop]), "")
