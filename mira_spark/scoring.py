"""What runs on executors: Arrow batches of documents in, Arrow batches of scores out.

Plain Python, no Spark: the step hands `score` to `mapInArrow`. A student is loaded once per Python
worker, after its artefact's digests were verified.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute
from pydantic import BaseModel, ConfigDict, Field

from mira_spark import aggregation, calibration
from mira_spark.students import artefact
from mira_spark.students.artefact import Manifest
from mira_spark.students.protocol import Student

INPUT = ("doc_id", "source", "source_group", "bucket", "content_hash", "n_tokens", "text")
OUTPUT = pa.schema(
    [
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("source_group", pa.string()),
        ("bucket", pa.int16()),
        ("content_hash", pa.binary()),
        ("n_tokens", pa.int64()),
        ("dimension_scores", pa.list_(pa.int16())),
        ("quality", pa.int16()),
        ("status", pa.string()),
        ("reason", pa.string()),
    ]
)
OUTPUT_DDL = (
    "doc_id string, source string, source_group string, bucket smallint, content_hash binary, "
    "n_tokens bigint, dimension_scores array<smallint>, quality smallint, status string, "
    "reason string"
)
REASON_LENGTH = 300
NO_SLOT = "its source has no reliable dimension"


class ScoringSettings(BaseModel):
    """`unit_tokens`: what one commit scores. Over `max_quarantined` (a share of the documents) the
    step ends degraded, its data whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit_tokens: int = Field(2_000_000_000, ge=1)
    max_quarantined: float = Field(0.001, ge=0, le=1)


@dataclass(frozen=True)
class Scorer:
    """A student as executors need it: where its artefact lies, and its manifest's digest."""

    student_id: str
    artefact_uri: str
    artefact_sha256: str


@functools.lru_cache(maxsize=16)
def loaded(scorer: Scorer) -> tuple[Student, Manifest]:
    """The student and its manifest, once per worker; ArtefactError when a digest differs."""
    return artefact.load(Path(scorer.artefact_uri), scorer.artefact_sha256)


def score(scorer: Scorer) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The function for `mapInArrow`: batches with INPUT columns to batches of OUTPUT, row for row.

    A document whose scoring raises becomes a quarantined row with its reason; the others of its
    batch are not touched by it.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        student, manifest = loaded(scorer)
        for batch in batches:
            if batch.num_rows:
                yield _scored(batch, student, manifest)

    return run


def _scored(batch: pa.RecordBatch, student: Student, manifest: Manifest) -> pa.RecordBatch:
    rated = rate(batch.column("text"), batch.column("source"), student, manifest)
    scored = pa.array(rated["quality"]).is_valid()
    columns = {name: batch.column(name) for name in INPUT[:-1]} | rated
    columns["status"] = pa.compute.if_else(scored, "scored", "quarantined")
    arrays = [columns[field.name].cast(field.type) for field in OUTPUT]
    return pa.RecordBatch.from_arrays(arrays, schema=OUTPUT)


def rate(
    texts: pa.Array, sources: pa.Array, student: Student, manifest: Manifest
) -> dict[str, pa.Array]:
    """`dimension_scores` list<int16> and `quality` int16, thousandths, and `reason`, row for row.

    A row that could not be scored is null but for its reason; one whose source has no reliable
    slot has dimension scores and no quality.
    """
    raw, reasons = raw_scores(texts, student)
    good = np.array([reason is None for reason in reasons])
    dimension_scores = calibration.apply(manifest.calibration, raw)
    masks, of_group = manifest.reliability, manifest.group_reliability
    mask = np.array([masks.get(source, of_group) for source in sources.to_pylist()])
    quality = aggregation.quality(dimension_scores, mask)
    counted = np.asarray(mask.any(axis=1))
    listed = pa.FixedSizeListArray.from_arrays(dimension_scores.ravel(), dimension_scores.shape[1])
    why = [r or (None if c else NO_SLOT) for r, c in zip(reasons, counted, strict=True)]
    return {
        "dimension_scores": _where(listed.cast(pa.list_(pa.int16())), good),
        "quality": _where(pa.array(quality), good & counted),
        "reason": pa.array(why, pa.string()),
    }


def _where(values: pa.Array, valid: npt.NDArray[np.bool_]) -> pa.Array:
    return pa.compute.if_else(pa.array(valid), values, pa.scalar(None, values.type))


def raw_scores(
    texts: pa.Array, student: Student
) -> tuple[npt.NDArray[np.float32], list[str | None]]:
    """Uncalibrated scores float32 [rows, slots] and, per row, why it could not be scored.

    When a batch raises, its rows are tried one by one; a row that raises is zeros and a reason.
    """
    scores = np.zeros((len(texts), student.slots), dtype=np.float32)
    reasons: list[str | None] = [None] * len(texts)
    try:
        for batch in student.encode(texts):
            scores[batch.rows] = student.forward(batch)
    except Exception:  # which row it was shows below
        for i in range(len(texts)):
            try:
                (one,) = student.encode(texts.slice(i, 1))
                scores[i] = student.forward(one)[0]
            except Exception as error:
                scores[i] = 0
                reasons[i] = f"{type(error).__name__}: {error}"[:REASON_LENGTH]
    unusable = ~np.isfinite(scores).all(axis=1)
    scores[unusable] = 0
    for i in np.flatnonzero(unusable).tolist():
        reasons[i] = reasons[i] or "the student's score is not a finite number"
    return scores, reasons


def rate_by_group(
    texts: pd.Series, sources: pd.Series, groups: pd.Series, scorers: Mapping[str, Scorer]
) -> pd.DataFrame:
    """`dimension_scores` and `quality` for texts of several groups, in the order and index given;
    None for a null text or a group without a scorer. For the SQL functions."""
    columns = ["dimension_scores", "quality"]
    nothing = pd.Series([None] * len(texts), texts.index, object)
    found = pd.DataFrame({name: nothing for name in columns})
    for group, scorer in scorers.items():
        rows = (groups == group) & texts.notna()
        if rows.any():
            text, source = (pa.array(series[rows], pa.string()) for series in (texts, sources))
            rated = rate(text, source, *loaded(scorer))
            for name in columns:
                found.loc[rows, name] = pd.Series(
                    rated[name].to_pylist(), found.index[rows], object
                )
    return found
