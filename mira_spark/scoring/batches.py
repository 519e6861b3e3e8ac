"""What runs on executors: Arrow batches of documents in, Arrow batches of scores out.

Plain Python, no Spark: `workers` hands these functions to `mapInArrow`. A student is loaded once
per Python worker, after its artefact's digests were verified.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from mira_spark.scoring import engine, isolation, memo
from mira_spark.scoring.engine import IN_PART, Engine, Outage, Reasons
from mira_spark.scoring.isolation import IsolationLimits
from mira_spark.scoring.scorer import Scorer, load_student
from mira_spark.settings.scoring import ScoringSettings
from mira_spark.students import calibration
from mira_spark.students.artefact import Manifest
from mira_spark.students.paper_rule import NO_QUALITY
from mira_spark.students.protocol import USUAL, Batching, Scores, Student
from mira_spark.students.quality import quality

KEPT = ("doc_id", "source", "source_group", "bucket", "content_hash", "n_tokens")
INPUT = (*KEPT, "text")
STORED = (*KEPT, "raw_scores", "reason")
_OUTPUT = pa.schema(
    [
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("source_group", pa.string()),
        ("bucket", pa.int16()),
        ("content_hash", pa.binary()),
        ("n_tokens", pa.int64()),
        ("raw_scores", pa.list_(pa.int16())),
        ("dimension_scores", pa.list_(pa.int16())),
        ("quality", pa.int16()),
        ("status", pa.string()),
        ("reason", pa.string()),
    ]
)
OUTPUT_DDL = (
    "doc_id string, source string, source_group string, bucket smallint, content_hash binary, "
    "n_tokens bigint, raw_scores array<smallint>, dimension_scores array<smallint>, "
    "quality smallint, status string, reason string"
)
UNSCORED_STATUS = "unscored"
"""The status of a row that an outage left without scores: it is counted, and never stored."""
NO_SLOT = "no dimension counts for its source"

Batches = Iterator[pa.RecordBatch]


def batching(settings: ScoringSettings) -> Batching:
    """How students make their batches under these settings."""
    return Batching(settings.batch_tokens, settings.compile)


def score(
    scorer: Scorer,
    hung_after_s: float,
    batching: Batching = USUAL,
    isolated: bool = False,
) -> Callable[[Batches], Batches]:
    """Batches with INPUT columns to batches of OUTPUT, row for row.

    A document whose scoring raises becomes a quarantined row with its reason; the others of its
    batch are not touched by it. One that an outage left without scores has the status UNSCORED.
    `isolated`: the student works in a process of its own, so that a document that kills it is
    found, and quarantined too.
    """

    def run(batches: Batches) -> Batches:
        if isolated:
            manifest = scorer.manifest()
            limits = IsolationLimits(
                piece_s=hung_after_s, document_s=min(hung_after_s, IsolationLimits().document_s)
            )
            results = isolation.score_isolated(batches, scorer, limits)
        else:
            student, manifest = load_student(scorer, batching)
            whole = engine.resized(batches, student.rows_together)
            results = Engine(student, hung_after_s).overlapped(whole)
        for batch, scores, reasons in results:
            rated = rate_scores(scores, reasons, batch.column("source"), manifest)
            yield _output(batch, rated, [isinstance(reason, Outage) for reason in reasons])

    return run


def reaggregate(scorer: Scorer) -> Callable[[Batches], Batches]:
    """Batches with STORED columns, scored by a student of the same weights, to batches of OUTPUT:
    this student's calibration and quality table over the raw scores that are there. No model is
    loaded."""

    def run(batches: Batches) -> Batches:
        manifest = scorer.manifest()
        slots = len(manifest.anchors)
        for batch in batches:
            raw = batch.column("raw_scores")
            known = raw.is_valid().to_numpy(zero_copy_only=False)
            scores = np.full((len(raw), slots), np.nan, np.float32)
            scores[known] = raw.drop_null().flatten().to_numpy().reshape(-1, slots)
            scores /= np.float32(1000)
            reasons = [
                reason if not is_known or reason == IN_PART else None
                for is_known, reason in zip(known, batch.column("reason").to_pylist(), strict=True)
            ]
            if len(raw):
                rated = rate_scores(scores, reasons, batch.column("source"), manifest)
                yield _output(batch, rated, [False] * len(raw))

    return run


def _output(
    batch: pa.RecordBatch, rated: Mapping[str, pa.Array], unscored: list[bool]
) -> pa.RecordBatch:
    columns = {name: batch.column(name) for name in KEPT} | dict(rated)
    without = pa.compute.if_else(pa.array(unscored, pa.bool_()), UNSCORED_STATUS, "quarantined")
    columns["status"] = pa.compute.if_else(columns["quality"].is_valid(), "scored", without)
    arrays = [columns[field.name].cast(field.type) for field in _OUTPUT]
    return pa.RecordBatch.from_arrays(arrays, schema=_OUTPUT)


def rate(
    texts: pa.Array, sources: pa.Array, student: Student, manifest: Manifest
) -> dict[str, pa.Array]:
    """`rate_scores` of what the student says of these texts; OutageError where it cannot."""
    scores, reasons = Engine(student).scores(texts)
    engine.require_scores(reasons)
    return rate_scores(scores, reasons, sources, manifest)


def rate_scores(
    scores: Scores, reasons: Reasons, sources: pa.Array, manifest: Manifest
) -> dict[str, pa.Array]:
    """`raw_scores` and `dimension_scores` list<int16>, `quality` int16, thousandths, and `reason`.

    A row without scores (NaN) is null but for its reason; one for whose source no slot counts has
    scores and no quality.
    """
    good = np.asarray(np.isfinite(scores).all(axis=1))
    raw = calibration.quantised(np.where(good[:, None], scores, 0))
    # Of the quantised scores, so that they can be calibrated anew from what the table holds.
    read = raw.astype(np.float32) / np.float32(1000)
    dimension_scores = calibration.apply(manifest.calibration, read)
    qualities = quality(dimension_scores, sources.to_pylist(), manifest.quality)
    counted = qualities != NO_QUALITY
    unrated = good & ~counted
    why = [
        (reason or NO_SLOT) if none else reason
        for reason, none in zip(reasons, unrated.tolist(), strict=True)
    ]
    return {
        "raw_scores": _where(_list_column(raw), good),
        "dimension_scores": _where(_list_column(dimension_scores), good),
        "quality": _where(pa.array(qualities), good & counted),
        "reason": pa.array(why, pa.string()),
    }


def _list_column(values: npt.NDArray[np.int16]) -> pa.Array:
    lists = pa.FixedSizeListArray.from_arrays(values.ravel(), values.shape[1])
    return lists.cast(pa.list_(pa.int16()))


def _where(values: pa.Array, valid: npt.NDArray[np.bool_]) -> pa.Array:
    return pa.compute.if_else(pa.array(valid), values, pa.scalar(None, values.type))


def rate_by_group(
    texts: pd.Series,
    sources: pd.Series,
    groups: pd.Series,
    scorers: Mapping[str, Scorer],
    folder: Path | None = None,
) -> pd.DataFrame:
    """`dimension_scores` and `quality` for texts of several groups, in the order and index given;
    None for a null text or a group without a scorer. For the SQL functions; OutageError when a
    student cannot be asked.

    With a folder, what was scored by another process that named it is not scored again.
    """
    columns = ["dimension_scores", "quality"]
    nothing = pd.Series([None] * len(texts), texts.index, object)
    table = pd.DataFrame({name: nothing for name in columns})
    for group, scorer in scorers.items():
        rows = (groups == group) & texts.notna()
        if rows.any():
            text, source = (pa.array(series[rows], pa.string()) for series in (texts, sources))
            scores, manifest = _scores_with_memo(text, scorer, folder), load_student(scorer)[1]
            rated = rate_scores(scores, [None] * len(scores), source, manifest)
            for name in columns:
                table.loc[rows, name] = pd.Series(
                    rated[name].to_pylist(), table.index[rows], object
                )
    return table


def _scores_with_memo(texts: pa.Array, scorer: Scorer, folder: Path | None) -> Scores:
    """Scores float32 [rows, slots], NaN in a row without; equal texts are scored once."""
    student, _ = load_student(scorer)

    def scored(some: pa.Array) -> Scores:
        scores, reasons = Engine(student).scores(some)
        engine.require_scores(reasons)
        return scores

    if folder is None:
        return scored(texts)
    keys = memo.keys(scorer.artefact_sha256, texts)
    known = memo.lookup(folder, keys)
    new = {key: row for row, key in enumerate(keys) if key not in known}
    scores = scored(texts.take(pa.array(new.values(), pa.int64())))
    new_values = {key: row.tobytes() for key, row in zip(new, scores, strict=True)}
    lost = {key for key, row in zip(new, scores, strict=True) if not np.isfinite(row).all()}
    memo.store(folder, {key: new_values[key] for key in new if key not in lost})
    known |= new_values
    return np.array([np.frombuffer(known[key], np.float32) for key in keys])
