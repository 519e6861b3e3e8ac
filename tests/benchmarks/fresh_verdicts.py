"""What the scores of a finished demo are worth on documents it has no label of:
`python -m tests.benchmarks.fresh_verdicts [--folder .mira] [--seed 1]`.

Reads the lake without Spark. A second label sample is drawn, with another seed; documents whose
text has a label are left out, the others are judged by the heuristic judge. Printed for each group
with at least 100 such documents, with intervals over domains: the gain at 40 % of the tokens of the
stored quality (the bar is 50 %) and its Spearman with the judge's verdict (0.55).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from mira_spark.distillation import figures
from mira_spark.distillation.figures import JudgedRows, quality_figures
from mira_spark.labels import verdict
from mira_spark.students.paper_rule import NO_QUALITY
from tests.benchmarks import demo_labels
from tests.benchmarks.demo_labels import Group

BARS = {figures.GAIN_40: 0.5, figures.SPEARMAN: 0.55, figures.WITHIN: None}
FEWEST = 100
say = sys.stdout.write


def stored_qualities(folder: Path) -> pd.Series:
    """doc_id to its latest quality, `NO_QUALITY` where it has none."""
    scores = demo_labels.table(folder, "scores", ["doc_id", "quality", "scored_at"])
    latest = scores.sort_values("scored_at").drop_duplicates("doc_id", keep="last")
    return latest.set_index("doc_id")["quality"].fillna(NO_QUALITY).astype(np.int16)


def fresh_documents(group: Group, corpus: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The documents of the second sample whose text has no label."""
    drawn = demo_labels.sample(group.sources, corpus, seed)
    return drawn[~drawn["content_hash"].isin(group.labels["content_hash"])]


def judged_rows(group: Group, fresh: pd.DataFrame) -> JudgedRows:
    """The judge's verdicts on them, over the dimensions that apply by the labels."""
    labels = group.labels[~group.labels["spoilt"]]
    scores = np.array(labels["scores"].tolist(), np.float64)
    applying = verdict.applies(scores, labels["source"].tolist())
    rows = [demo_labels.judged(demo_labels.shown(text), group.dimensions) for text in fresh["text"]]
    judged, sources = np.array(rows, np.float64), fresh["source"].tolist()
    return JudgedRows(
        verdict.weighted_means(judged, sources, applying, group.weights),
        np.full(len(fresh), np.nan),
        sources,
        fresh["domain"].fillna(fresh["doc_id"]).tolist(),
        np.zeros(len(fresh), np.int32),
        fresh["n_tokens"].to_numpy(),
        fresh["n_bytes"].to_numpy(),
    )


def say_group(group: Group, fresh: pd.DataFrame, stored: pd.Series) -> None:
    """The group's figures beside their bars."""
    quality = stored.reindex(fresh["doc_id"]).fillna(NO_QUALITY).to_numpy(np.int16)
    missing = int((quality == NO_QUALITY).sum())
    say(f"{group.name}: {len(fresh):,} documents without a label")
    say(f", {missing:,} of them without a score\n" if missing else "\n")
    if len(fresh) < FEWEST:
        say(f"    fewer than {FEWEST}: not measured\n")
        return
    for row in quality_figures(judged_rows(group, fresh), quality, {}):
        if row.predictor == figures.STUDENT and row.source is None and row.figure in BARS:
            value, low, high = row.estimate.value, row.estimate.low, row.estimate.high
            bar = BARS[row.figure]
            met = "met" if bar is None or (value is not None and value >= bar) else "NOT MET"
            against = "" if bar is None else f" (bar {bar:g}: {met})"
            say(f"    {row.figure:24} {shown(value)} ({shown(low)} to {shown(high)}){against}\n")


def shown(value: float | None) -> str:
    """The number as it is printed."""
    return "undefined" if value is None else f"{value:.3f}"


def main() -> None:
    """A part for each group."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path(".mira"))
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    corpus, stored = demo_labels.documents(chosen.folder), stored_qualities(chosen.folder)
    for group in demo_labels.groups(chosen.folder, corpus):
        say_group(group, fresh_documents(group, corpus, chosen.seed), stored)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
