"""Labels with their texts as Parquet files, streamed: what every kind of student trains on.

Columns: doc_id, source, domain (what folds are cut by: rows of one domain are in one fold), text,
n_tokens, scores, repeat_scores and reversed_scores list<int16> in slot order (null: not answered),
reasons list<string>, fold (0 to 4), spoilt (a copy, spoilt on purpose: learnt from,
and nothing is measured on it).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mira_spark.errors import InputError

Floats = npt.NDArray[np.float32]

FOLDS = 5
COLUMNS = (
    "doc_id", "source", "domain", "text", "n_tokens", "scores", "repeat_scores", "reversed_scores",
    "reasons", "fold", "spoilt",
)  # fmt: skip
_ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Labelled:
    """The labelled rows of some folds, in a folder."""

    folder: Path
    folds: tuple[int, ...] = tuple(range(FOLDS))

    def rows(self, at_once: int = _ROWS_AT_ONCE) -> Iterator[pa.RecordBatch]:
        """At most `at_once` rows at a time, in the order of the files' names."""
        wanted = pa.array(self.folds, pa.int32())
        for path in sorted(self.folder.glob("*.parquet")):
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(at_once, columns=list(COLUMNS)):
                    rows = batch.filter(pc.is_in(batch["fold"], wanted))
                    if rows.num_rows:
                        yield rows

    def count(self) -> int:
        """How many documents, spoilt copies not counted."""
        return sum(pc.sum(pc.invert(rows["spoilt"])).as_py() for rows in self.rows(4_096))

    def sources(self) -> set[str]:
        """Those that a row is of."""
        return {source for rows in self.rows(4_096) for source in rows["source"].to_pylist()}

    def with_rows(self) -> "Labelled":
        """The same, without the folds that have no row."""
        folds = {fold for rows in self.rows(4_096) for fold in rows["fold"].to_pylist()}
        return replace(self, folds=tuple(sorted(folds)))

    def of_folds(self, *folds: int) -> "Labelled":
        """The rows of these folds."""
        return replace(self, folds=folds)

    def without(self, fold: int) -> "Labelled":
        """The rows of the other folds."""
        return replace(self, folds=tuple(f for f in self.folds if f != fold))


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


def require_rows(labelled: Labelled, n_rows: int) -> None:
    """InputError when there is nothing to train on."""
    if n_rows == 0:
        raise InputError(f"{labelled.folder}: there is no labelled row to train on in *.parquet")
