"""What anchors that separate are worth beside the paper's, on a finished demo's documents:
`python -m tests.benchmarks.anchors [--folder .mira] [--group GROUP] [--per-source 300]`.

Reads the lake without Spark. For each group the heuristic judge names dimensions in a discovery's
sample; `paper` and `separating` each take their slots of them. Then it labels `--per-source`
documents of every source on either rubric, with spoilt copies, and a linear student learns them.
Printed are the gain at 40 % of the tokens of the student's quality and its AUC on planted noise
(out of fold, means over halves of the documents by domain), the effective number of dimensions,
Cronbach's alpha, and how many slots have a standard deviation below 0.5 points in every source.

Behind `separating` stands by how much it is above `paper` on the same halves and copies, with a
standard error: of the gain the standard deviation over the halves (a half of a sample varies about
the whole as much as the whole does about the truth), of the AUC that over planted documents.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from mira_spark.corpus.draws import draw
from mira_spark.corpus.embedding import embed
from mira_spark.distillation import figures
from mira_spark.distillation.assessment import dimension_scores, judged_rows
from mira_spark.distillation.figures import quality_figures
from mira_spark.distillation.planted_noise import MIN_PAIRS
from mira_spark.distillation.training import Evaluation
from mira_spark.judges.heuristic.judge import discover
from mira_spark.labels.discovery_calls import pilot_documents
from mira_spark.labels.discovery_sample import ENOUGH
from mira_spark.rubrics import dimension_figures, discovery
from mira_spark.rubrics.discovery import JudgedPoint
from mira_spark.rubrics.separation import LEAST_SPREAD, separations
from mira_spark.settings.rubrics import DiscoverySettings
from mira_spark.students.quality import quality
from tests.benchmarks import demo_labels
from tests.benchmarks.demo_labels import Group
from tests.benchmarks.quality_rules import Planted, fitted, halves, planted

SPLITS = 6
Floats = npt.NDArray[np.float64]
say = sys.stdout.write


class Figures(NamedTuple):
    """Of one rubric of a group."""

    slots: int
    gains: Floats
    """At 40 %, by half."""
    aucs: Floats
    """Of planted noise, by half."""
    wins: Floats
    """How often the copies of each planted document are below it, over halves and copies."""
    effective: float
    alpha: float | None
    flat: int


def shown_documents(
    sources: Sequence[str], corpus: pd.DataFrame, settings: DiscoverySettings
) -> pd.DataFrame:
    """As `discovery_sample` draws them, but for the draw itself."""
    each = -(-settings.documents_per_group // len(sources))
    own = corpus[corpus["source"].isin(sources)]
    own = own.assign(draw=own["doc_id"].map(lambda doc_id: draw(doc_id, "discovery")))
    own = own.sort_values("draw")
    place = own.groupby(["source", "domain"]).cumcount().where(own["domain"].notna(), 0)
    own = own.assign(beyond=(place + 1 - settings.documents_per_domain).clip(lower=0))
    own = own.sort_values(["beyond", "draw"])
    rank = own.groupby("source").cumcount()
    is_shown = (rank < each) & ((own["beyond"] == 0) | (rank < min(each, ENOUGH)))
    return own[is_shown].sort_values("doc_id")


def rubrics(sources: Sequence[str], corpus: pd.DataFrame) -> dict[str, list[str]]:
    """The names of the slots by either selection."""
    settings = DiscoverySettings(selection="separating")
    paper = DiscoverySettings(selection="paper")
    rows = shown_documents(sources, corpus, settings).to_dict("records")
    texts = {row["doc_id"]: demo_labels.shown(row["text"]) for row in rows}
    points = [
        JudgedPoint(row["source"], row["doc_id"], place, p.name, p.reason, p.score)
        for row in rows
        for place, p in enumerate(discover(texts[row["doc_id"]]))
    ]
    names = [a.anchor.name for a in discovery.anchors(points, settings, embed)]
    source_of = {row["doc_id"]: row["source"] for row in rows}
    drawn = pilot_documents([(source, doc_id) for doc_id, source in source_of.items()], settings)
    scores = np.array([demo_labels.judged(texts[i], names) for i in drawn], np.float64)
    pilot = separations(names, scores, scores, [source_of[i] for i in drawn], settings.dimensions)
    return {
        "paper": [a.anchor.name for a in discovery.anchors(points, paper, embed)],
        "separating": [n for n, each in zip(names, pilot, strict=True) if each.reason is None],
    }


def measured(group: Group, names: Sequence[str], corpus: pd.DataFrame) -> Figures:
    """The figures of a rubric of these dimensions, with labels and a student of its own."""
    own = replace(group, dimensions=tuple(names), weights=(1000,) * len(names))
    own = demo_labels.labelled_anew(own, corpus, 0)
    with demo_labels.staged(own.labels) as labelled:
        student, with_copies = demo_labels.distilled(labelled, len(names))
    noise = planted(own, corpus, student)
    by_halves = [by_half(with_copies, noise, own.weights, split) for split in range(2 * SPLITS)]
    gains, aucs, wins = (np.array(column) for column in zip(*by_halves, strict=True))
    rows = with_copies.only(~with_copies.spoilt)
    scores = rows.judged.astype(np.float64)
    r = dimension_figures.correlations(dimension_figures.within_sources(scores, rows.sources))
    spreads = dimension_figures.source_spreads(scores, rows.sources)
    highest = np.nan_to_num(list(spreads.values())).max(axis=0)
    return Figures(
        len(names),
        gains,
        aucs,
        wins.mean(axis=0),
        dimension_figures.effective_dimensions(r),
        dimension_figures.cronbach_alpha(r),
        int((highest < LEAST_SPREAD).sum()),
    )


def by_half(
    with_copies: Evaluation, noise: Planted, weights: tuple[int, ...], split: int
) -> tuple[float, float, Floats]:
    """Gain at 40 % on one half of the domains, AUC of planted noise, and the share of each planted
    document's copies that are below it, by what the other half decides."""
    deciding = halves(with_copies.domains, split // 2) ^ bool(split % 2)
    of_half = fitted(with_copies.only(deciding), weights)
    is_document = ~with_copies.spoilt
    rows, half = with_copies.only(is_document), deciding[is_document]
    table = of_half.tables["shrunk"]

    def rated(raw: npt.NDArray[np.float32], sources: list[str]) -> npt.NDArray[np.int16]:
        return quality(dimension_scores(of_half.curves, raw), sources, table)

    other = judged_rows(rows, weights).only(~half)
    measured_half = quality_figures(other, rated(rows.predicted, rows.sources)[~half], {}, rounds=1)
    (gain,) = (
        row.estimate.value
        for row in measured_half
        if (row.predictor, row.figure, row.source) == (figures.STUDENT, figures.GAIN_40, None)
    )
    whole = rated(noise.documents, noise.sources)[[copy.document for copy in noise.copies]]
    copied = rated(noise.spoilt, [copy.source for copy in noise.copies])
    wins = pd.DataFrame(noise.copies).assign(wins=np.heaviside(whole.astype(int) - copied, 0.5))
    by_kind = wins.groupby("kind")["wins"].agg(["mean", "size"])
    auc = float(by_kind["mean"][by_kind["size"] >= MIN_PAIRS].mean())
    by_document = wins.groupby("document")["wins"].mean().to_numpy()
    return float("nan") if gain is None else gain, auc, by_document


def lines(found: Figures, paper: Figures) -> Iterator[str]:
    """The figures of one selection; behind those of another than `paper` its lead."""
    leads = ["", ""]
    if found is not paper:
        gains, wins = found.gains - paper.gains, found.wins - paper.wins
        errors = np.std(gains), np.std(wins) / np.sqrt(len(wins))
        means = np.mean(gains), np.mean(found.aucs - paper.aucs)
        leads = [f" ({m:+.3f}, se {e:.3f})" for m, e in zip(means, errors, strict=True)]
    yield f"{found.slots:2} slots: gain {np.mean(found.gains):.3f}{leads[0]}"
    yield f"noise {np.mean(found.aucs):.3f}{leads[1]}"
    yield f"effective dimensions {found.effective:.2f}"
    yield "alpha undefined" if found.alpha is None else f"alpha {found.alpha:.2f}"
    yield f"flat {found.flat}"


def main() -> None:
    """A line for each group and selection."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path(".mira"))
    parser.add_argument("--group", help="this one alone")
    parser.add_argument("--per-source", type=int, default=300)
    chosen = parser.parse_args()
    demo_labels.PER_SOURCE = chosen.per_source
    corpus = demo_labels.documents(chosen.folder)
    for group in demo_labels.groups(chosen.folder, corpus):
        if chosen.group not in (None, group.name):
            continue
        of_selection: dict[str, Figures] = {}
        for selection, names in rubrics(group.sources, corpus).items():
            of_selection[selection] = found = measured(group, names, corpus)
            own = ", ".join(lines(found, of_selection["paper"]))
            say(f"{group.name} {selection:10} {own}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
