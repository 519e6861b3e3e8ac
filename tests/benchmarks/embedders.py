"""What embedders make of a demo's sources and of judgement points in other words:
`python -m tests.benchmarks.embedders [--folder .mira] [--encoder minilm] [--documents 60]`.

Reads the Delta table `documents` without Spark. Printed are, by embedder, the agreement (ARI) of
clusters of points with their dimensions, and for every number of groups which mix code, prose and
questions with answers; * is the number that the silhouette chooses.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.metrics import silhouette_score

from mira_spark.corpus import grouping
from mira_spark.corpus.draws import draw
from mira_spark.corpus.embedding import Embedder, embed, unit_vectors
from mira_spark.corpus.excerpts import excerpt
from mira_spark.corpus.grouping import MOST_GROUPS, WINDOW_TOKENS, Source
from mira_spark.embedders.encoder import encoder_embedder
from mira_spark.settings.corpus import GroupingSettings
from mira_spark.settings.embedder import EmbedderSettings
from tests.benchmarks import demo_labels
from tests.benchmarks.students import minilm
from tests.embedders.judgement_points import agreement

KINDS = {
    "code": {"c_headers", "generated_code", "javascript", "package_code", "package_tests",
             "stdlib_code", "stdlib_tests", "type_stubs"},
    "prose": {"documentation", "licences", "package_descriptions"},
    "questions": {"docstring_qa"},
}  # fmt: skip
"""The demo's sources; configuration_data is none of these."""


def sampled_texts(folder: Path, documents: int) -> dict[str, list[str]]:
    """By source, the excerpts of so many documents drawn by their ids."""
    texts: dict[str, list[tuple[float, str]]] = defaultdict(list)
    table = demo_labels.documents(folder)
    for row in table.to_dict("records"):
        texts[row["source"]].append((draw(row["doc_id"], "embedders"), row["text"]))
    return {
        source: [excerpt(text, WINDOW_TOKENS) for _, text in sorted(rows)[:documents]]
        for source, rows in sorted(texts.items())
    }


def sources(texts: dict[str, list[str]], embedder: Embedder) -> list[Source]:
    """The sources with their vectors."""
    return [
        Source(name, len(each), sum(map(len, each)), *grouping.source_vector(each, embedder))
        for name, each in texts.items()
    ]


def mixed(group: list[str]) -> bool:
    """Whether sources of two kinds are in it."""
    return sum(bool(members & set(group)) for members in KINDS.values()) > 1


def groupings(found: list[Source]) -> Iterator[str]:
    """A line for each number of groups."""
    chosen = len(set(grouping.group(found, GroupingSettings(outlier_below=-1)).values()))
    vectors = np.stack([source.vector for source in found])
    centred = unit_vectors(vectors - vectors.mean(axis=0))
    for k in range(2, min(MOST_GROUPS, len(found) - 1) + 1):
        groups = grouping.group(found, GroupingSettings(groups=k, outlier_below=-1))
        names = sorted(set(groups.values()))
        members = [[source for source in groups if groups[source] == name] for name in names]
        labels = [names.index(groups[source.name]) for source in found]
        silhouette = silhouette_score(centred, labels, metric="cosine")
        mixing = "; ".join(" + ".join(group) for group in members if mixed(group))
        star = "*" if k == chosen else " "
        yield f"  {star}{k} groups, silhouette {silhouette:.3f}, mixed: {mixing or 'none'}\n"


def main() -> None:
    """A block for each embedder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path(".mira"))
    parser.add_argument("--encoder", default="minilm", help="a folder, or minilm")
    parser.add_argument("--documents", type=int, default=60, help="of a source")
    parser.add_argument("--max-tokens", type=int, default=512)
    given = parser.parse_args()
    model = minilm() if given.encoder == "minilm" else given.encoder
    chosen = EmbedderSettings(kind="encoder", model=model, max_tokens=given.max_tokens)
    texts = sampled_texts(given.folder, given.documents)
    for name, embedder in (("hashing", embed), (given.encoder, encoder_embedder(chosen))):
        sys.stdout.write(f"{name}: ARI of judgement points {agreement(embedder):.3f}\n")
        sys.stdout.writelines(groupings(sources(texts, embedder)))


if __name__ == "__main__":
    main()
