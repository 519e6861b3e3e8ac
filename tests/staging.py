"""Label rows as the Parquet files that students train on."""

from collections.abc import Collection, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mira_spark.distillation.shards import Labelled

HELD_OUT, TRAIN = 0, 1
"""Folds."""
Row = tuple[str, str, str | None, list[int | None], int]
"""doc_id, source, text, scores, fold; the domain is the doc_id, where none is given."""


def staged(
    folder: Path,
    rows: list[Row],
    per_shard: int = 100,
    repeats: dict[str, list[int | None]] | None = None,
    reasons: dict[str, list[str]] | None = None,
    domains: Mapping[str, str] | None = None,
    copies: Collection[Row] = (),
) -> Path:
    """The folder, with the rows in files of `per_shard`; repeats, reasons and domains by doc_id.
    `copies` are rows like others that were spoilt; they come last."""
    rows = [*rows, *copies]
    is_copy = [False] * (len(rows) - len(copies)) + [True] * len(copies)
    folder.mkdir()
    points = pa.list_(pa.int16())
    for first in range(0, len(rows), per_shard):
        some = rows[first : first + per_shard]
        domain = [(domains or {}).get(row[0], row[0]) for row in some]
        columns = [
            pa.array([row[0] for row in some], pa.string()),
            pa.array([row[1] for row in some], pa.string()),
            pa.array([row[2] for row in some], pa.string()),
            pa.array([row[3] for row in some], points),
            pa.array([(repeats or {}).get(row[0]) for row in some], points),
            pa.array([(reasons or {}).get(row[0]) for row in some], pa.list_(pa.string())),
            pa.array([row[4] for row in some], pa.int32()),
            pa.array(domain, pa.string()),
            pa.array([len(row[2] or "") for row in some], pa.int64()),
            pa.nulls(len(some), points),
            pa.array(is_copy[first : first + per_shard]),
        ]
        names = [
            "doc_id", "source", "text", "scores", "repeat_scores", "reasons", "fold", "domain",
            "n_tokens", "reversed_scores", "spoilt",
        ]  # fmt: skip
        pq.write_table(pa.table(columns, names), folder / f"{first:06}.parquet")
    return folder


def learnt(folder: Path) -> Labelled:
    """The rows of all folds but HELD_OUT."""
    return Labelled(folder, (1, 2, 3, 4))


def held_out(folder: Path) -> Labelled:
    """The rows of the fold HELD_OUT."""
    return Labelled(folder, (HELD_OUT,))
