"""Planted noise on a student of the lake: which documents are spoilt, and what it makes of them."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, Window, functions as F

from mira_spark.corpus import sampling
from mira_spark.distillation.planted_noise import (
    PER_SOURCE,
    NoiseCheck,
    QualityScorer,
    noise_checks,
)
from mira_spark.lake.tables import Lakehouse
from mira_spark.scoring import batches
from mira_spark.students.artefact import Manifest
from mira_spark.students.paper_rule import NO_QUALITY
from mira_spark.students.protocol import Student

WRITES = ("noise_checks",)
MAX_BYTES = 100_000
"""Longer documents are passed over: each is scored up to six times."""
TEXTS_AT_ONCE = 256
FOREIGN_TEXTS = 200
SEED = 0
"""Of the documents and of how they are spoilt: the same for every student, so that students can be
compared."""


def student_checks(
    lake: Lakehouse,
    student: Student,
    manifest: Manifest,
    sources: Collection[str],
    per_source: int = PER_SOURCE,
    may_be_learnt: bool = False,
) -> list[NoiseCheck]:
    """The checks of a student on documents of its group's sources that it has not learnt from (see
    `unlabelled_documents`): a source without any that can be spoilt has no check. Where no source
    has any, as in a small corpus that is labelled whole, there is none; or those it has learnt
    from are taken, if they `may_be_learnt`.

    Stretches of foreign text come from the other groups, where there are some.
    """
    rows = unlabelled_documents(lake, sources, per_source, SEED).collect()
    if not rows and may_be_learnt:
        documents = _short_documents(lake).filter(F.col("source").isin(sorted(sources)))
        rows = _with_texts(lake, sampling.sample(documents, per_source, SEED)).collect()
    texts, drawn = [row["text"] for row in rows], [row["source"] for row in rows]
    score = quality_scorer(student, manifest)
    return noise_checks(score, texts, drawn, SEED, per_source, _foreign_texts(lake, sources))


def unlabelled_documents(
    lake: Lakehouse, sources: Collection[str], per_source: int, seed: int
) -> DataFrame:
    """`source` and `text` of up to `per_source` documents of each of these sources, none of them
    equal to a document that has a label of any rubric: no student has learnt from them.

    The same at any partitioning. A source all of whose documents have labels has no row.
    """
    documents = _short_documents(lake).filter(F.col("source").isin(sorted(sources)))
    labels = lake.read("labels").select("content_hash").distinct()
    unlabelled = documents.join(labels, on="content_hash", how="left_anti")
    return _with_texts(lake, sampling.sample(unlabelled, per_source, seed))


def _foreign_texts(lake: Lakehouse, sources: Collection[str]) -> list[str]:
    """FOREIGN_TEXTS at most, as evenly over the other sources as that number allows."""
    documents = _short_documents(lake).filter(~F.col("source").isin(sorted(sources)))
    drawn = sampling.sample(documents, FOREIGN_TEXTS, SEED)
    place = F.row_number().over(Window.partitionBy("source").orderBy("doc_id"))
    drawn = drawn.withColumn("place", place).orderBy("place", "source").limit(FOREIGN_TEXTS)
    return [row["text"] for row in _with_texts(lake, drawn).collect()]


def _short_documents(lake: Lakehouse) -> DataFrame:
    """What a sample is drawn from, without the texts."""
    documents = lake.read("documents").filter(F.col("n_bytes") <= MAX_BYTES)
    return documents.select("doc_id", "source", "content_hash")


def _with_texts(lake: Lakehouse, drawn: DataFrame) -> DataFrame:
    texts = lake.read("documents").select("doc_id", "source", "text")
    return texts.join(F.broadcast(drawn.select("doc_id")), on="doc_id").select("source", "text")


def quality_scorer(student: Student, manifest: Manifest) -> QualityScorer:
    """The qualities that scoring would store for these texts; OutageError where the student cannot
    be asked."""

    def score(texts: Sequence[str], sources: Sequence[str]) -> npt.NDArray[np.int16]:
        parts = [np.empty(0, np.int16)]
        for at in range(0, len(texts), TEXTS_AT_ONCE):
            text = pa.array(texts[at : at + TEXTS_AT_ONCE], pa.string())
            source = pa.array(sources[at : at + TEXTS_AT_ONCE], pa.string())
            quality = batches.rate(text, source, student, manifest)["quality"]
            parts.append(quality.fill_null(NO_QUALITY).to_numpy(zero_copy_only=False))
        return np.concatenate(parts)

    return score


def record_checks(
    lake: Lakehouse, student_id: str, checks: Sequence[NoiseCheck], run_id: str
) -> None:
    """Make these the student's only rows of `noise_checks`."""
    now = datetime.now(UTC)
    rows = [check.row(student_id, run_id, now) for check in checks]
    lake.replace_rows(rows, "noise_checks", "student_id", student_id, run_id)
