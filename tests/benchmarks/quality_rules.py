"""What the rules that make one quality of a document's scores are worth on a demo's labels:
`python -m tests.benchmarks.quality_rules [--folder .mira] [--splits 12] [--group GROUP]`.

Beside `shrunk` and `paper`: `mean`, the mean of the calibrated scores over the dimensions that
apply, and `direct`, one more output of the same student trained on the verdict itself. Every label
is predicted once, by a student of the other folds. A split cuts the labels into halves by domain:
one half decides curves and quality table, the other measures them, and the other way round.

Printed for each group are the means over the halves, in brackets the 2.5 and 97.5 percentiles over
them: Spearman with the verdict, overall and within source, the gain at 40 % of the tokens, the AUC
of planted noise (on documents without a label), and the tokens shared by the selections of 40 % of
all labelled documents by the tables that a split's two halves give. Then by how much `shrunk` is
above each other rule on the same halves: it wins or loses where that interval is on one side of 0.
The stability of `direct` is left out, it has no table that halves could decide; `label_stability`
has students of other labels for that.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from mira_spark.corpus.draws import draw
from mira_spark.distillation import cells, figures
from mira_spark.distillation.assessment import dimension_scores, judged_rows
from mira_spark.distillation.figures import quality_figures
from mira_spark.distillation.judged_rows import JudgedRows
from mira_spark.distillation.planted_noise import MIN_PAIRS, PER_SOURCE
from mira_spark.distillation.shards import Floats
from mira_spark.distillation.training import Evaluation
from mira_spark.labels import verdict
from mira_spark.labels.spoiling import SpoiltCopy, spoilt_copies
from mira_spark.lake.scale import FULL_SCALE
from mira_spark.settings.students import QualitySettings, Rule
from mira_spark.students import calibration
from mira_spark.students.calibration import Calibration
from mira_spark.students.linear import LinearStudent
from mira_spark.students.protocol import score
from mira_spark.students.quality import QualityTable, SourceCells, quality
from mira_spark.students.shrunk_rule import ONE
from tests.benchmarks import demo_labels
from tests.benchmarks.demo_labels import Group

DEFAULT: Rule = "shrunk"
RULES = (DEFAULT, "paper", "mean", "direct")
STABILITY, NOISE = "stability", "noise_auc"
SHOWN = (figures.SPEARMAN, figures.WITHIN, figures.GAIN_40, NOISE, STABILITY)
BUDGET = 0.4
HUNDRED = 100
MAX_NOISE_BYTES = 100_000
say = sys.stdout.write

Quality = npt.NDArray[np.int16]
Measured = dict[tuple[str, str], list[float]]
"""(rule, figure) to its value in each half."""


class Fitted(NamedTuple):
    """What some labels decide: the curves, and a table for every rule but `direct`."""

    curves: Calibration
    tables: Mapping[str, QualityTable]


def with_verdict(group: Group) -> pd.DataFrame:
    """The labels with one more score, the verdict; all of them in whole hundredths."""
    labels = group.labels
    judged, sources = np.array(labels["scores"].tolist(), np.float64), labels["source"].tolist()
    is_document = ~labels["spoilt"].to_numpy()
    applying = verdict.applies(judged[is_document], labels["source"][is_document].tolist())
    verdicts = verdict.weighted_means(judged, sources, applying, group.weights)
    scores = [hundredths([*own, v]) for own, v in zip(labels["scores"], verdicts, strict=True)]
    labels = labels.assign(scores=scores)
    for name in ("repeat_scores", "reversed_scores"):
        labels[name] = [None if own is None else hundredths([*own, None]) for own in labels[name]]
    return labels


def hundredths(points: Iterable[float | None]) -> list[int | None]:
    """Whole numbers, None where there is no score."""
    return [None if p is None or np.isnan(p) else round(float(p) * HUNDRED) for p in points]


def without_verdict(rows: Evaluation) -> Evaluation:
    """The rows without the last score, in points."""
    names = ("predicted", "judged", "repeated", "reversed")
    return replace(rows, **{name: getattr(rows, name)[:, :-1] / HUNDRED for name in names})


def fitted(rows: Evaluation, weights: tuple[int, ...]) -> Fitted:
    """What these labels decide; their scores are without the verdict."""
    documents = rows.only(~rows.spoilt)
    curves = calibration.fit(documents.predicted, documents.judged)
    points = cells.in_points(dimension_scores(curves, rows.predicted))
    tables: dict[str, QualityTable] = {}
    rules: tuple[Rule, ...] = (DEFAULT, "paper")
    for rule in rules:
        settings = QualitySettings(rule=rule)
        judged = rows.judged, rows.reversed
        known = cells.cells(points, *judged, rows.sources, rows.spoilt, weights, settings)
        tables[rule] = cells.quality_table(known, weights, settings)
    shrunk = tables[DEFAULT]
    level = {source: as_they_are(own) for source, own in shrunk.sources.items()}
    group = as_they_are(shrunk.group)
    tables["mean"] = shrunk.model_copy(update={"sources": level, "group": group})
    return Fitted(curves, tables)


def as_they_are(own: SourceCells) -> SourceCells:
    """Under the shrunk rule: the mean of the scores that count."""
    n = len(own.counts)
    zeros, ones = (0,) * n, (ONE,) * n
    return SourceCells(counts=own.counts, judged_mean=zeros, mean_prediction=zeros, slope=ones)


def qualities(of_half: Fitted, raw: Floats, sources: list[str]) -> dict[str, Quality]:
    """By rule, of raw scores in hundredths, the last that of the verdict."""
    points = raw / np.float32(HUNDRED)
    scores = dimension_scores(of_half.curves, points[:, :-1])
    direct = np.clip(calibration.quantised(points[:, -1]), 0, FULL_SCALE)
    by_table = {r: quality(scores, sources, table) for r, table in of_half.tables.items()}
    return by_table | {"direct": direct}


def halves(domains: list[str], seed: int) -> npt.NDArray[np.bool_]:
    """Which rows are in the first half of the domains."""
    names = sorted(set(domains), key=lambda name: draw(name, f"halves {seed}"))
    first = set(names[: len(names) // 2])
    return np.array([name in first for name in domains])


def measured(
    rows: JudgedRows, by_rule: Mapping[str, Quality]
) -> Iterator[tuple[str, str, float | None]]:
    """(rule, figure, value) of every rule on the rows that all of them give a quality."""
    beside = {rule: figures.as_points(q) for rule, q in by_rule.items() if rule != DEFAULT}
    if nothing := [rule for rule, points in beside.items() if np.isnan(points).all()]:
        raise SystemExit(f"{', '.join(nothing)}: no dimension counts in any source")
    for row in quality_figures(rows, by_rule[DEFAULT], beside, rounds=1):
        if row.source is None and row.figure in SHOWN and row.predictor != figures.REVERSED:
            rule = DEFAULT if row.predictor == figures.STUDENT else row.predictor
            yield rule, row.figure, row.estimate.value


def selected(own: Quality, n_tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """The documents of the highest qualities that fit into the budget."""
    order = np.argsort(-own.astype(int), kind="stable")
    fits = np.empty(len(own), bool)
    fits[order] = np.cumsum(n_tokens[order]) <= BUDGET * n_tokens.sum()
    return fits


def shared_tokens(first: Quality, second: Quality, n_tokens: npt.NDArray[np.int64]) -> float:
    """The share of the tokens that two selections have in common."""
    one, other = (selected(own, n_tokens) for own in (first, second))
    return float(2 * n_tokens[one & other].sum() / (n_tokens[one].sum() + n_tokens[other].sum()))


class Planted(NamedTuple):
    """Documents without a label and their spoilt copies, with their raw scores."""

    copies: list[SpoiltCopy]
    sources: list[str]
    documents: Floats
    spoilt: Floats

    def auc(self, of_half: Fitted) -> Iterator[tuple[str, float]]:
        """(rule, AUC over all kinds), as `planted_noise` has it."""
        whole = qualities(of_half, self.documents, self.sources)
        copied = qualities(of_half, self.spoilt, [copy.source for copy in self.copies])
        place = [copy.document for copy in self.copies]
        kinds = pd.Series([copy.kind for copy in self.copies])
        for rule in RULES:
            above = whole[rule][place].astype(int) - copied[rule]
            wins = pd.Series(np.heaviside(above, 0.5)).groupby(kinds).agg(["mean", "size"])
            yield rule, float(wins["mean"][wins["size"] >= MIN_PAIRS].mean())


def planted(group: Group, corpus: pd.DataFrame, student: LinearStudent) -> Planted:
    """`PER_SOURCE` documents of each source that have no label."""
    unlabelled = ~corpus["content_hash"].isin(group.labels["content_hash"])
    short = corpus[unlabelled & (corpus["n_bytes"] <= MAX_NOISE_BYTES)]
    order = short["doc_id"].map(lambda doc_id: draw(doc_id, "spoilt here"))
    drawn = short.assign(order=order).sort_values("order").groupby("source").head(PER_SOURCE)
    is_own = drawn["source"].isin(group.sources)
    texts, sources = drawn["text"][is_own].tolist(), drawn["source"][is_own].tolist()
    copies = spoilt_copies(texts, sources, 0, PER_SOURCE, drawn["text"][~is_own].tolist())
    spoilt = score(student, pa.array([copy.text for copy in copies], pa.large_string()))
    return Planted(copies, sources, score(student, pa.array(texts, pa.large_string())), spoilt)


def by_halves(group: Group, corpus: pd.DataFrame, splits: int) -> Measured:
    """Every figure of every rule in every half; stability in every split."""
    with demo_labels.staged(with_verdict(group)) as labelled:
        student, predicted = demo_labels.distilled(labelled, len(group.dimensions) + 1)
    with_copies = without_verdict(predicted)
    is_document = ~predicted.spoilt
    predicted = predicted.only(is_document)
    rows = without_verdict(predicted)
    judged, noise = judged_rows(rows, group.weights), planted(group, corpus, student)
    found: Measured = {(rule, figure): [] for rule in RULES for figure in SHOWN}
    for split in range(splits):
        first = halves(with_copies.domains, split)
        of_split = []
        for deciding in (first, ~first):
            half = deciding[is_document]
            of_half = fitted(with_copies.only(deciding), group.weights)
            all_rows = qualities(of_half, predicted.predicted, rows.sources)
            of_split.append(all_rows)
            on_others = {rule: own[~half] for rule, own in all_rows.items()}
            for rule, figure, value in measured(judged.only(~half), on_others):
                found[rule, figure].append(np.nan if value is None else value)
            for rule, auc in noise.auc(of_half):
                found[rule, NOISE].append(auc)
        for rule in RULES[:-1]:
            both = of_split[0][rule], of_split[1][rule]
            found[rule, STABILITY].append(shared_tokens(*both, rows.n_tokens))
    return found


def interval(values: list[float] | npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """The mean, and the 2.5 and 97.5 percentiles."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(np.nanmean(values)), float(low), float(high)


def cell(values: list[float] | npt.NDArray[np.float64]) -> str:
    """The interval as it is printed."""
    return "{:.3f} ({:.3f} to {:.3f})".format(*interval(values)) if len(values) else "-"


def lines(found: Measured) -> Iterator[str]:
    """The group's table, and where the default stands."""
    for figure in SHOWN:
        yield f"  {figure}\n"
        for rule in RULES:
            own, default = np.array(found[rule, figure]), np.array(found[DEFAULT, figure])
            lead = ""
            if rule != DEFAULT and len(own):
                mean, low, high = interval(default - own)
                verdict_on = "wins" if low > 0 else "LOSES" if high < 0 else "ties"
                lead = f"   {DEFAULT} {verdict_on}, {mean:+.3f} ({low:+.3f} to {high:+.3f})"
            yield f"    {rule:8} {cell(found[rule, figure]):26}{lead}\n"


def ending(of_groups: Mapping[str, Measured]) -> Iterator[str]:
    """On which figures the default loses, and which gains are below 0."""
    for group, found in of_groups.items():
        lost = []
        for figure in SHOWN:
            default = np.array(found[DEFAULT, figure])
            above = [
                rule
                for rule in RULES[1:]
                if found[rule, figure] and interval(default - np.array(found[rule, figure]))[2] < 0
            ]
            lost += [f"{figure} to {', '.join(above)}"] if above else []
        is_met = "met" if len(lost) <= 1 else "NOT MET"
        what = "; ".join(lost) or "nothing"
        yield f"{group}: {DEFAULT} loses {what}; at most one figure: {is_met}\n"
        _, low, high = interval(found[DEFAULT, figures.GAIN_40])
        is_met = "met" if high >= 0 else "NOT MET"
        yield f"{group}: gain {low:.3f} to {high:.3f}; not below 0: {is_met}\n"


def main() -> None:
    """A part for each group, then where the default stands."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path(".mira"))
    parser.add_argument("--splits", type=int, default=12)
    parser.add_argument("--group", help="this one alone")
    chosen = parser.parse_args()
    corpus, of_groups = demo_labels.documents(chosen.folder), {}
    for group in demo_labels.groups(chosen.folder, corpus):
        if chosen.group in (None, group.name):
            started = time.perf_counter()
            of_groups[group.name] = found = by_halves(group, corpus, chosen.splits)
            say(f"{group.name}: {len(group.labels):,} labels, {2 * chosen.splits} halves, ")
            say(f"{time.perf_counter() - started:.0f} s\n{''.join(lines(found))}")
            sys.stdout.flush()
    say("".join(ending(of_groups)))


if __name__ == "__main__":
    main()
