"""Whether another sample of labels selects the same documents:
`python -m tests.benchmarks.label_stability [--folder .mira] [--seed 1] [--group GROUP]`.

Reads the lake of a demo without Spark. For every group two linear students are distilled: of the
labels that are there, and of a sample of as many documents drawn with another seed and labelled
afresh by the heuristic judge. Both score all documents of the group, and 40 % of its tokens are
selected by each. Printed is how many of the selected tokens are in both selections, under `shrunk`
(the bar is 90 %), under `paper`, and under the other rules of `quality_rules`, and how many of the
labels have a text that is in both samples.
"""

import argparse
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa

from mira_spark.students.protocol import score
from tests.benchmarks import demo_labels
from tests.benchmarks.demo_labels import Group
from tests.benchmarks.quality_rules import (
    DEFAULT,
    RULES,
    Quality,
    fitted,
    qualities,
    shared_tokens,
    with_verdict,
    without_verdict,
)

BAR = 0.9
say = sys.stdout.write


def of_labels(group: Group, documents: pd.DataFrame) -> dict[str, Quality]:
    """The quality of each document by rule, as these labels of its group decide it."""
    with demo_labels.staged(with_verdict(group)) as labelled:
        student, predicted = demo_labels.distilled(labelled, len(group.dimensions) + 1)
    decided = fitted(without_verdict(predicted), group.weights)
    raw = score(student, pa.array(documents["text"], pa.large_string()))
    return qualities(decided, raw, documents["source"].tolist())


def compare(group: Group, corpus: pd.DataFrame, seed: int) -> dict[str, float]:
    """The share of the selected tokens in common, by rule."""
    own = corpus[corpus["source"].isin(group.sources)]
    again = demo_labels.labelled_anew(group, corpus, seed)
    hashes = [set(each.labels["content_hash"]) for each in (group, again)]
    say(
        f"{group.name}: {len(own):,} documents, {len(hashes[0]):,} and {len(hashes[1]):,} of them "
        f"labelled, {len(hashes[0] & hashes[1]):,} by both\n"
    )
    first, second = of_labels(group, own), of_labels(again, own)
    n_tokens = own["n_tokens"].to_numpy()
    return {rule: shared_tokens(first[rule], second[rule], n_tokens) for rule in RULES}


def main() -> None:
    """A part for each group."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path(".mira"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--group", help="this one alone")
    chosen = parser.parse_args()
    corpus = demo_labels.documents(chosen.folder)
    for group in demo_labels.groups(chosen.folder, corpus):
        if chosen.group in (None, group.name):
            started = time.perf_counter()
            for rule, shared in compare(group, corpus, chosen.seed).items():
                met = "met" if shared >= BAR else "NOT MET"
                bar = f" (bar {BAR:.0%}: {met})" if rule == DEFAULT else ""
                say(f"    {rule:8} {shared:.1%} of the selected tokens in both{bar}\n")
            say(f"    {time.perf_counter() - started:.0f} s\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
