"""Label rows as the Parquet files that students train on."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

Row = tuple[str, str, str | None, list[int | None], str]
"""doc_id, source, text, scores, split."""


def staged(
    folder: Path,
    rows: list[Row],
    per_shard: int = 100,
    repeats: dict[str, list[int | None]] | None = None,
    reasons: dict[str, list[str]] | None = None,
) -> Path:
    """The folder, with the rows in files of `per_shard`; repeats and reasons by doc_id."""
    folder.mkdir()
    points = pa.list_(pa.int16())
    for first in range(0, len(rows), per_shard):
        some = rows[first : first + per_shard]
        columns = [
            pa.array([row[0] for row in some], pa.string()),
            pa.array([row[1] for row in some], pa.string()),
            pa.array([row[2] for row in some], pa.string()),
            pa.array([row[3] for row in some], points),
            pa.array([(repeats or {}).get(row[0]) for row in some], points),
            pa.array([(reasons or {}).get(row[0]) for row in some], pa.list_(pa.string())),
            pa.array([row[4] for row in some], pa.string()),
        ]
        names = ["doc_id", "source", "text", "scores", "repeat_scores", "reasons", "split"]
        pq.write_table(pa.table(columns, names), folder / f"{first:06}.parquet")
    return folder
