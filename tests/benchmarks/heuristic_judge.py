"""What the heuristic judge's verdicts are worth on the demo's corpus, without Spark:
`python -m tests.benchmarks.heuristic_judge [--documents 100]`.

Of every source of this Python installation so many documents are drawn by hash, the sources grouped
and a rubric discovered for each group as the pipeline does it. Printed are, by group, Cronbach's
alpha of the rubric (from raw scores, and from scores standardised by slot; a null is the mean of
its slot) with its effective number of dimensions, mean, deviation and null share of its slots, and
how often the verdict, the mean over the slots that were answered, is higher for a document than for
a spoilt copy of it (`planted_noise`), by kind of spoiling and by source; at the end the time of an
answer.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mira_spark.corpus import grouping
from mira_spark.corpus.draws import draw
from mira_spark.corpus.embedding import embed
from mira_spark.corpus.excerpts import excerpt
from mira_spark.corpus.python_environment import (
    CorpusLimits,
    SourceDocument,
    documents,
    find_files,
    this_environment,
)
from mira_spark.distillation.planted_noise import ALL_KINDS, NoiseCheck, noise_checks
from mira_spark.judges.defence import normalised
from mira_spark.judges.heuristic.judge import discover, label
from mira_spark.rubrics import discovery
from mira_spark.rubrics.discovery import JudgedPoint
from mira_spark.settings.corpus import GroupingSettings
from mira_spark.settings.judge import JudgeSettings
from mira_spark.settings.rubrics import DiscoverySettings
from mira_spark.students.paper_rule import NO_QUALITY

say = sys.stdout.write
SEED = 0
FILES_PER_DOCUMENT = 4
"""So many files are read for each document wanted: each domain gives few to discovery."""
FOREIGN = 20  # texts of each source of another group

Scores = npt.NDArray[np.float64]
Corpus = dict[str, list[SourceDocument]]


def drawn_documents(each: int) -> Corpus:
    """Up to `FILES_PER_DOCUMENT` times `each` documents of every source, in the order of a hash."""
    limits = CorpusLimits()
    ordered = sorted(find_files(this_environment(), limits), key=lambda f: draw(f.id, f.source))
    counted: Counter[str] = Counter()
    chosen = []
    for file in ordered:
        if counted[file.source] < FILES_PER_DOCUMENT * each:
            counted[file.source] += 1
            chosen.append(file)
    corpus: Corpus = {}
    for document in documents(chosen, limits):
        corpus.setdefault(document.source, []).append(document)
    for found in corpus.values():
        found.sort(key=lambda document: draw(document.doc_id, "judged"))
        del found[FILES_PER_DOCUMENT * each :]
    return corpus


def text_of(document: SourceDocument) -> str:
    """The document's text, what is not UTF-8 replaced."""
    return document.text.decode("utf-8", "replace")


def shown(text: str) -> str:
    """What the judge is shown of it."""
    return normalised(excerpt(text, JudgeSettings().window_tokens))


def groups(corpus: Corpus) -> dict[str, list[str]]:
    """Group to its sources."""
    sources = [
        grouping.Source(
            name,
            len(found),
            sum(len(document.text) for document in found),
            *grouping.source_vector(shown(text_of(document)) for document in found[:200]),
        )
        for name, found in sorted(corpus.items())
    ]
    named: dict[str, list[str]] = {}
    for source, group in grouping.group(sources, GroupingSettings()).items():
        named.setdefault(group, []).append(source)
    return dict(sorted(named.items()))


def rubric(corpus: Corpus, sources: Sequence[str]) -> list[str]:
    """The names of the group's dimensions, from the last documents of its sources."""
    settings = DiscoverySettings(selection="paper")
    points = []
    for source in sources:
        domains: Counter[str | None] = Counter()
        for document in reversed(corpus[source]):
            domains[document.domain] += 1
            if domains[document.domain] <= settings.documents_per_domain and (
                domains.total() <= -(-settings.documents_per_group // len(sources))
            ):
                for place, point in enumerate(discover(shown(text_of(document)))):
                    made = (point.name, point.reason, point.score)
                    points.append(JudgedPoint(source, document.doc_id, place, *made))
    points.sort(key=lambda point: (point.doc_id, point.point))
    return [each.anchor.name for each in discovery.anchors(points, settings, embed)]


def scored(texts: Sequence[str], names: Sequence[str]) -> Scores:
    """[texts, names] scores from 0 to 10, NaN where a dimension does not apply."""
    rows = [[p.score if p else np.nan for p in label(shown(text), names)] for text in texts]
    return np.array(rows, np.float64).reshape(len(texts), len(names))


def verdicts(scores: Scores) -> npt.NDArray[np.int16]:
    """The means over the answered slots in thousandths of a point."""
    answered = (~np.isnan(scores)).sum(axis=1)
    means = 1000 * np.nansum(scores, axis=1) / np.maximum(answered, 1)
    return np.where(answered > 0, np.round(means), NO_QUALITY).astype(np.int16)


def filled(scores: Scores) -> Scores:
    """The slots that vary, a null replaced by the mean of its slot."""
    used = scores[:, ~np.isnan(scores).all(axis=0)]
    whole = np.where(np.isnan(used), np.nanmean(used, axis=0), used)
    varying: Scores = whole[:, whole.std(axis=0) > 0]
    return varying


def cronbach_alpha(whole: Scores) -> float:
    """Cronbach's alpha of [rows, slots] without nulls."""
    slots = whole.shape[1]
    return float(slots / (slots - 1) * (1 - whole.var(axis=0).sum() / whole.sum(axis=1).var()))


def effective_dimensions(whole: Scores) -> float:
    """The exponential of the entropy of the correlations' eigenvalues."""
    values = np.linalg.eigvalsh(np.corrcoef(whole.T)) / whole.shape[1]
    positive = values[values > 0]
    return float(np.exp(-(positive * np.log(positive)).sum()))


def say_rubric(group: str, names: Sequence[str], scores: Scores) -> None:
    """Alpha and the slots."""
    whole = filled(scores)
    standardised = (whole - whole.mean(axis=0)) / whole.std(axis=0)
    say(
        f"{group}: alpha {cronbach_alpha(whole):.2f} raw, {cronbach_alpha(standardised):.2f} "
        f"standardised; {effective_dimensions(whole):.1f} effective dimensions of {len(names)}; "
        f"{len(scores):,} documents\n"
    )
    for name, slot in zip(names, scores.T, strict=True):
        known = slot[~np.isnan(slot)]
        mean, deviation = (known.mean(), known.std()) if len(known) else (np.nan, np.nan)
        null = np.isnan(slot).mean()
        say(f"    {name:24} mean {mean:4.1f}  SD {deviation:3.1f}  null {null:4.0%}\n")


def say_noise(checks: Sequence[NoiseCheck]) -> None:
    """The AUC of every kind, then of every source."""
    for check in checks:
        auc, what = check.auc, check.source or f"AUC {check.kind}"
        if auc.value is not None and (check.source is None or check.kind == ALL_KINDS):
            known = auc.low is not None and auc.high is not None
            interval = f" ({auc.low:.3f} to {auc.high:.3f})" if known else ""
            say(f"    {what:26} {auc.value:.3f}{interval}, {check.pairs:,} pairs\n")


def say_group(corpus: Corpus, sources: Sequence[str], each: int, group: str) -> tuple[float, int]:
    """The group's part; the seconds of a core that its labels took, and how many there are."""
    names = rubric(corpus, sources)
    rows = [(text_of(d), source) for source in sources for d in corpus[source][:each]]
    texts, named = [text for text, _ in rows], [source for _, source in rows]
    foreign = [
        text_of(document)
        for source in corpus.keys() - sources
        for document in corpus[source][:FOREIGN]
    ]

    def score(spoilt: Sequence[str], _: Sequence[str]) -> npt.NDArray[np.int16]:
        return verdicts(scored(spoilt, names))

    started = time.process_time()
    scores = scored(texts, names)
    took = time.process_time() - started
    say_rubric(group, names, scores)
    say_noise(noise_checks(score, texts, named, SEED, each, foreign))
    return took, len(texts)


def main() -> None:
    """A part for each group, then the time of an answer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=100, help="judged of each source")
    each = parser.parse_args().documents
    corpus = drawn_documents(each)
    seconds, judged = 0.0, 0
    for group, sources in groups(corpus).items():
        took, count = say_group(corpus, sources, each, group)
        seconds, judged = seconds + took, judged + count
    say(f"{1000 * seconds / judged:.1f} ms of a core for an answer with all slots\n")


if __name__ == "__main__":
    main()
