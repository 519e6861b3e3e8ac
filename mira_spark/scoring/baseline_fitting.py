"""What baselines score by, made on the driver: fitted to a target set, or taken from a model."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pyspark.sql import DataFrame, SparkSession, functions as F

from mira_spark.corpus import documents as corpus
from mira_spark.corpus.input_rows import NamedInput, changes_told, input_state, read_input
from mira_spark.corpus.model_files import model_digest, model_folder
from mira_spark.errors import ArtefactError, InputError
from mira_spark.judges.heuristic.judge import HeuristicJudge
from mira_spark.scoring.baselines import dsir, ngram_model
from mira_spark.scoring.baselines.saved import SavedBaseline
from mira_spark.settings.baselines import (
    DsirSettings,
    EducationalSettings,
    PerplexitySettings,
    Section,
    TargetSettings,
)
from mira_spark.settings.corpus import CorpusSettings

MOST_BYTES = CorpusSettings().max_document_bytes
_KINDS = {
    "perplexity": "a causal language model",
    "educational": "a sequence-classification model with one output",
}


class Target(NamedTuple):
    """What of a target set could be read: its texts, one column `text`, how many, and how many rows
    were left out, by reason."""

    texts: DataFrame
    size: int
    left_out: Mapping[str, int]

    @property
    def line(self) -> str:
        """For example `300 texts, without 2 empty`."""
        reasons = ", ".join(f"{count:,} {why}" for why, count in sorted(self.left_out.items()))
        return f"{self.size:,} texts" + (f", without {reasons}" if reasons else "")


class FittedBaseline(NamedTuple):
    """What a baseline scores by, and the target set that it was fitted to, if any."""

    saved: SavedBaseline
    target: Target | None = None


def made_from(spark: SparkSession, name: str, section: Section, documents: str) -> dict[str, str]:
    """What the baseline's numbers follow from beside its settings; `documents` is their version.

    InputError where a target set cannot be read, or a model is not there.
    """
    match section:
        case DsirSettings(target=target):
            return _target_state(spark, name, target) | {"documents": documents}
        case PerplexitySettings(target=TargetSettings() as target):
            return _target_state(spark, name, target)
        case PerplexitySettings(model=str() as model) | EducationalSettings(model=model):
            return {"model": model_digest(_model_folder(name, model))}
        case _:
            return {"judge": HeuristicJudge.name}


def _target_state(spark: SparkSession, name: str, target: TargetSettings) -> dict[str, str]:
    state = input_state(spark, _target_input(name, target))
    return {"target": state, "words": str(dsir.FEATURES_VERSION)}


def fit_baseline(
    spark: SparkSession, name: str, section: Section, documents: DataFrame
) -> FittedBaseline:
    """The baseline of this name; texts of a target set are taken as `ingest_corpus` takes them, up
    to MOST_BYTES each.

    InputError where the target set holds no text, where there is no such model, or where a
    classifier has other than one output.
    """
    said = {"baseline": name}
    match section:
        case DsirSettings(target=settings):
            with _reading(spark, name, settings) as target:
                counts = [_bucket_counts(rows) for rows in (target.texts, documents)]
            arrays = {"log_ratios": dsir.log_ratios(*counts)}
            return FittedBaseline(SavedBaseline(said, arrays), target)
        case PerplexitySettings(target=TargetSettings() as settings, order=order):
            with _reading(spark, name, settings) as target:
                texts = (row["text"] for row in target.texts.toLocalIterator())
                arrays = ngram_model.train(texts, order).arrays()
            return FittedBaseline(SavedBaseline(said, arrays), target)
        case PerplexitySettings(model=str() as model, max_tokens=tokens):
            return FittedBaseline(_model_baseline(name, model, tokens))
        case EducationalSettings(model=model, max_tokens=tokens):
            return FittedBaseline(_model_baseline(name, model, tokens))
        case _:
            return FittedBaseline(SavedBaseline(said | {"judge": HeuristicJudge.name}, {}))


@contextlib.contextmanager
def _reading(spark: SparkSession, name: str, settings: TargetSettings) -> Iterator[Target]:
    each = _target_input(name, settings)
    with changes_told(spark, [each]):
        yield read_target(spark, each)


def read_target(spark: SparkSession, target: NamedInput) -> Target:
    """The target set; InputError when it holds no text."""
    rows = corpus.in_our_columns(read_input(spark, target).rows, MOST_BYTES)
    cap = target.settings.cap
    over = corpus.over_cap(rows, target.settings.name, cap) if cap is not None else None
    rows = corpus.without_over_cap(rows, [over] if over is not None else [])
    counts = {row["reason"]: row["count"] for row in rows.groupBy("reason").count().collect()}
    size = counts.pop(None, 0)
    found = Target(rows.filter("reason IS NULL").select("text"), size, counts)
    if not size:
        raise InputError(
            f"{target.key}: {target.settings.path} has {found.line}: name one of texts"
        )
    return found


def _target_input(name: str, target: TargetSettings) -> NamedInput:
    return NamedInput(target, f"baselines.{name}.target")


def _bucket_counts(rows: DataFrame) -> dsir.NgramCounts:
    counted = rows.select("text").mapInArrow(dsir.bucket_rows, dsir.BUCKET_ROWS_DDL)
    counts = np.zeros(dsir.NGRAM_BUCKETS, np.int64)
    for row in counted.groupBy("bucket").agg(F.sum("ngrams").alias("ngrams")).collect():
        counts[row["bucket"]] = row["ngrams"]
    return counts


def _model_baseline(name: str, model: str, max_tokens: int) -> SavedBaseline:
    from mira_spark.scoring.baseline_models import saved_baseline  # torch takes seconds

    folder, key = _model_folder(name, model), f"baselines.{name}.model"
    try:
        return saved_baseline(name, folder, max_tokens)
    except ArtefactError as error:
        raise InputError(f"{key}: {error}; it should be {_KINDS[name]}") from error


def _model_folder(name: str, model: str) -> Path:
    return model_folder(model, f"baselines.{name}.model", _KINDS[name])
