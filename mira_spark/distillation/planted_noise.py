"""Whether a scorer of quality tells documents from spoilt copies of them. No judge is asked.

Legend: n documents, B the documents as they are (first) and their resamples.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from mira_spark.distillation import bootstrap
from mira_spark.labels.agreement import Estimate
from mira_spark.labels.spoiling import SpoiltCopy, spoilt_copies
from mira_spark.students.paper_rule import NO_QUALITY

QualityScorer = Callable[[Sequence[str], Sequence[str]], npt.NDArray[np.int16]]
"""Texts and their sources to qualities in thousandths of a point, NO_QUALITY where one has none."""
ALL_KINDS = "all"
PER_SOURCE = 60
"""Documents of a source that are spoilt: the AUC of one kind is then known to about 0.1."""
MIN_PAIRS = 20
"""Kinds of spoiling with fewer pairs are left out of the mean, where any kind has as many."""

_Wins = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NoiseCheck:
    """AUC of one kind of spoiling in a source (None: in all): the share of pairs of a document and
    its spoilt copy in which the document has the higher quality, ties half; with its 95 % interval.

    `kind` is the spoiler's name, or ALL_KINDS: the mean of the AUCs of the kinds that have at least
    MIN_PAIRS pairs (of all kinds, where none has), `pairs` being all of theirs. A pair without a
    quality on one side does not count; without any pair the AUC is undefined.
    """

    source: str | None
    kind: str
    pairs: int
    auc: Estimate

    def row(self, student_id: str, run_id: str, now: datetime) -> dict[str, object]:
        """The row of `noise_checks`."""
        return {
            "student_id": student_id,
            "source": self.source,
            "kind": self.kind,
            "pairs": self.pairs,
            "auc": self.auc.value,
            "auc_low": self.auc.low,
            "auc_high": self.auc.high,
            "run_id": run_id,
            "checked_at": now,
        }


def noise_checks(
    score: QualityScorer,
    texts: Sequence[str],
    sources: Sequence[str],
    seed: int,
    per_source: int = PER_SOURCE,
    foreign: Sequence[str] = (),
) -> list[NoiseCheck]:
    """The checks of all sources together, then of each source by name; in each ALL_KINDS first,
    then the kinds that could be applied, by name. Empty where no text can be spoilt.

    `foreign` as in `spoilt_copies`. Each document and each copy is scored once. Intervals by
    bootstrap over documents within their source. The same scorer, documents and seed give the same
    checks, in whatever order the documents come.
    """
    copies = spoilt_copies(texts, sources, seed, per_source, foreign)
    spoilt = sorted({copy.document for copy in copies}, key=lambda row: (sources[row], texts[row]))
    if not spoilt:
        return []
    place = {document: row for row, document in enumerate(spoilt)}
    of_documents = [sources[document] for document in spoilt]
    whole = score([texts[document] for document in spoilt], of_documents)
    copied = score([copy.text for copy in copies], [copy.source for copy in copies])
    wins: dict[str, _Wins] = {}
    for copy, quality in zip(copies, copied.tolist(), strict=True):
        column = wins.setdefault(copy.kind, np.full(len(spoilt), np.nan))
        column[place[copy.document]] = _win(int(whole[place[copy.document]]), quality)
    weights = bootstrap.resamples(of_documents, bootstrap.ROUNDS, seed)
    named = np.array(of_documents, object)
    checks = list(_checks(None, wins, weights, _planted(copies, None)))
    for source in sorted(set(of_documents)):
        own = named == source
        columns = {kind: column[own] for kind, column in wins.items()}
        checks += _checks(source, columns, weights[own], _planted(copies, source))
    return checks


def overall(checks: Sequence[NoiseCheck]) -> Estimate:
    """The AUC over all kinds of all sources; undefined where nothing could be spoilt."""
    for check in checks:
        if check.source is None and check.kind == ALL_KINDS:
            return check.auc
    return bootstrap.UNDEFINED


def _planted(copies: Sequence[SpoiltCopy], source: str | None) -> list[str]:
    return sorted({copy.kind for copy in copies if source in (None, copy.source)})


def _win(document: int, copy: int) -> float:
    if NO_QUALITY in (document, copy):
        return np.nan
    return float(np.heaviside(document - copy, 0.5))


def _checks(
    source: str | None,
    wins: dict[str, _Wins],
    weights: bootstrap.Weights,
    kinds: Sequence[str],
) -> Iterator[NoiseCheck]:
    """`wins` [n] of each kind: 1, 0.5 or 0, NaN where a document has no pair; `weights` [n, B]."""
    pairs = {kind: int(np.isfinite(wins[kind]).sum()) for kind in kinds}
    aucs = {kind: _aucs(wins[kind], weights) for kind in kinds}
    common = [kind for kind in kinds if pairs[kind] >= MIN_PAIRS] or kinds
    mean = bootstrap.mean(np.stack([aucs[kind] for kind in common]))
    total = sum(pairs[kind] for kind in common)
    yield NoiseCheck(source, ALL_KINDS, total, bootstrap.estimate(mean, total))
    for kind in kinds:
        estimate = bootstrap.estimate(aucs[kind], pairs[kind])
        yield NoiseCheck(source, kind, pairs[kind], estimate)


def _aucs(wins: _Wins, weights: bootstrap.Weights) -> bootstrap.Figures:
    has_pair = np.isfinite(wins)
    drawn = weights[has_pair].astype(np.float64)
    return bootstrap.ratio(wins[has_pair] @ drawn, drawn.sum(axis=0))
