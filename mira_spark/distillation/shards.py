"""Labels with their texts as Parquet files, streamed: what every kind of student trains on.

Columns: doc_id, source, text, scores and repeat_scores list<int16> in slot order (null: not
answered), reasons list<string>, split.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mira_spark.errors import InputError

Split = Literal["train", "validation"]
Floats = npt.NDArray[np.float32]

COLUMNS = ("doc_id", "source", "text", "scores", "repeat_scores", "reasons", "split")
_ROWS_AT_ONCE = 64


def rows(shards: Path, split: Split, at_once: int = _ROWS_AT_ONCE) -> Iterator[pa.RecordBatch]:
    """The split's rows, at most `at_once` at a time, in the order of the files' names."""
    for path in sorted(shards.glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(at_once, columns=list(COLUMNS)):
                found = batch.filter(pc.equal(batch["split"], split))
                if found.num_rows:
                    yield found


def judged(scores: pa.ListArray, slots: int) -> Floats:
    """Scores [rows, slots] in points; NaN where the judge gave none, or was not asked."""
    absent = scores.is_null().to_numpy(zero_copy_only=False)
    lengths = set(scores.drop_null().value_lengths().to_pylist())
    if lengths - {slots}:
        raise InputError(f"label rows have {sorted(lengths)} scores, expected {slots}")
    judged_points = np.full((len(scores), slots), np.nan, np.float32)
    points = scores.drop_null().flatten().cast(pa.float32()).to_numpy(zero_copy_only=False)
    judged_points[~absent] = points.reshape(-1, slots)
    return judged_points


def averaged(batch: pa.RecordBatch, slots: int) -> Floats:
    """The judge's first answer and its repeat, averaged where both are there: [rows, slots]."""
    first, again = (judged(batch[name], slots) for name in ("scores", "repeat_scores"))
    return np.where(np.isnan(again), first, np.where(np.isnan(first), again, (first + again) / 2))


def row_weights(sources: Sequence[str], counts: Mapping[str, int]) -> npt.NDArray[np.float64]:
    """How much the loss on a row of each of these sources counts: a source of n rows as much as
    sqrt(n) rows, the mean over all rows 1. `counts` is source to rows, of all that is trained on.

    So large sources lead and small ones are still learnt; the rule is ours.
    """
    mean = sum(n**0.5 for n in counts.values()) / sum(counts.values())
    weights = {source: n**-0.5 / mean for source, n in counts.items()}
    return np.array([weights[source] for source in sources], np.float64)


def require_rows(shards: Path, n_rows: int) -> None:
    """InputError when there is nothing to train on."""
    if n_rows == 0:
        raise InputError(f"{shards}: found no row with split 'train' in *.parquet")
