"""Which documents compete in a selection, by what, and why others do not."""

import hashlib
import json
import operator
import re
from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_
from typing import Any

from pyspark.sql import Column, DataFrame, functions as F

from mira_spark.errors import InputError, joined
from mira_spark.scoring.checks import SCORE_KEY
from mira_spark.selection.given_scores import levels
from mira_spark.selection.gumbel import noisy_level_sql
from mira_spark.selection.order import level_sql, tie_hash
from mira_spark.settings.selection import Filter, Scalar, SelectionSettings

_TEXTS = ("source", "source_group", "domain", "license")
FLAGS = ("sendable", "repaired")
_NUMBERS = ("n_bytes", "n_tokens", "quality")
OF_DOCUMENTS = ("domain", "license", "sendable", "repaired", "n_bytes", "metadata")
FILTERED, EXCLUDED, OVERSIZED = "filtered", "excluded", "oversized"
DUPLICATE, NEAR_DUPLICATE, CONTAMINATED = "duplicate", "near-duplicate", "contaminated"
UNSCORED, NOT_FINITE = "without a score", "without a finite score"
COMPARED: dict[str, Callable[[Any, Any], Column]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def candidates_digest(settings: SelectionSettings) -> str:
    """Digest of what decides who competes by what; `all` for all documents by quality."""
    decisive = {"score", "temperature", "where", "exclude", "duplicates"}
    chosen = settings.model_dump(mode="json", include=decisive)
    if chosen == SelectionSettings().model_dump(mode="json", include=set(chosen)):
        return "all"
    if settings.duplicates != "keep" or settings.noise_scale:
        chosen["seed"] = settings.seed  # which of several is first, and the noise
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:16]


def check(settings: SelectionSettings) -> None:
    """InputError with every filter that names no column, or a value that its column cannot have."""
    problems = [f"selection.where: {problem}" for f in settings.where if (problem := _problem(f))]
    if problems:
        raise InputError(joined(problems))


def _problem(one: Filter) -> str | None:
    column, operator = one.column, one.operator
    if column not in _TEXTS + FLAGS + _NUMBERS and not column.startswith("metadata."):
        known = ", ".join(_TEXTS + FLAGS + _NUMBERS)
        return f"there is no column {column}; there are {known} and metadata.<key>"
    if isinstance(one.value, tuple) != ("in" in operator):
        kind = "a list" if "in" in operator else "one value, no list"
        return f"{column} {operator}: the value should be {kind}"
    for value in one.value if isinstance(one.value, tuple) else (one.value,):
        if column in FLAGS and not isinstance(value, bool):
            return f"{column} {operator}: {value!r} should be true or false"
        if column in _NUMBERS and not _is_number(value):
            return f"{column} {operator}: {value!r} should be a number"
        if column in _TEXTS and not isinstance(value, str):
            return f"{column} {operator}: {value!r} should be a text, in quotes"
        if column.startswith("metadata.") and not (isinstance(value, str) or _is_number(value)):
            return f"{column} {operator}: {value!r} should be a number, or a text in quotes"
    return None


def _is_number(value: Scalar) -> bool:
    """Whether a column of integers can be compared with it."""
    if isinstance(value, bool | str):
        return False
    return abs(value) < 2**63  # not of "not a number"


def competing_documents(
    scores: DataFrame,
    documents: DataFrame,
    excluded: Sequence[tuple[str, DataFrame]],
    given: DataFrame | None,
    near: DataFrame | None,
    settings: SelectionSettings,
) -> DataFrame:
    """The current scores with `quality` replaced by what documents compete by (0-10,000; null:
    quarantined), `tie_hash`, and `set_aside`: why one does not compete, null for a candidate.

    `excluded` are (reason, keys) of documents never to select, each key once, by all columns that
    `keys` has; `given` are `given_scores.given_scores`, `near` is `near_duplicates` where the
    settings ask for it: rows have their `cluster` then. A document that fails twice has the first
    reason.
    """
    rows = scores.withColumn("set_aside", F.lit(None).cast("string"))
    wanted = sorted({f.column.split(".")[0] for f in settings.where} & set(OF_DOCUMENTS))
    if wanted:
        rows = rows.join(documents.select(*SCORE_KEY, *wanted), on=SCORE_KEY, how="inner")
    if settings.where:
        passes = reduce(and_, (filter_condition(f) for f in settings.where))
        rows = _aside(rows, ~F.coalesce(passes, F.lit(False)), FILTERED)
    for reason, keys in excluded:
        rows = rows.join(keys.withColumn("listed", F.lit(True)), on=keys.columns, how="left")
        rows = _aside(rows, F.col("listed").isNotNull(), reason).drop("listed")
    rows = _competing(rows.withColumn("tie_hash", tie_hash(settings.seed)), given, settings)
    if settings.duplicates == "first":
        rows = _firsts(rows, "content_hash", DUPLICATE)
    if near is not None:
        rows = _firsts(with_clusters(rows, near), "cluster", NEAR_DUPLICATE)
    return rows.drop(*wanted)


def with_clusters(rows: DataFrame, near: DataFrame) -> DataFrame:
    """With `cluster`: the doc_id of the document that stands for it in `near_duplicates`, or its
    own."""
    stands = near.select("doc_id", "content_hash", "representative")
    rows = rows.join(stands, on=["doc_id", "content_hash"], how="left")
    return rows.withColumn("cluster", F.coalesce("representative", "doc_id")).drop("representative")


def set_aside_oversized(rows: DataFrame, limits: DataFrame) -> DataFrame:
    """`competing_documents` without those that are larger than `limits` lets them be: by source,
    `most_tokens`, null for any."""
    found = rows.join(F.broadcast(limits.select("source", "most_tokens")), on="source", how="left")
    is_oversized = F.col("quality").isNotNull() & (F.col("n_tokens") > F.col("most_tokens"))
    return _aside(found, is_oversized, OVERSIZED).drop("most_tokens")


def _aside(rows: DataFrame, condition: Column, reason: str) -> DataFrame:
    first = F.coalesce("set_aside", F.when(condition, F.lit(reason)))
    return rows.withColumn("set_aside", first)


def filter_condition(one: Filter) -> Column:
    """Whether the filter holds of a row; null where its column is, or is no number where a number
    is asked for.

    Metadata are texts. With a number they are compared as numbers; with a text as texts, but by
    <, <=, > and >= as numbers where both are numbers.
    """
    name, _, key = one.column.partition(".")
    column = F.col(name)[key] if key else F.col(name)
    number = F.nanvl(column.try_cast("double"), F.lit(None).cast("double")) if key else column
    if isinstance(one.value, tuple):
        texts = [value for value in one.value if isinstance(value, str)]
        found = column.isin(texts) | number.isin([v for v in one.value if not isinstance(v, str)])
        return found if one.operator == "in" else ~found
    compare = COMPARED[one.operator]
    if not isinstance(one.value, str):
        return compare(number, one.value)
    as_text = compare(column, one.value)
    if not key or one.operator in ("=", "!=") or not _NUMBER.fullmatch(one.value):
        return as_text
    return F.coalesce(compare(number, float(one.value)), as_text)


def _competing(rows: DataFrame, given: DataFrame | None, settings: SelectionSettings) -> DataFrame:
    seed, scale = settings.seed, settings.noise_scale
    if given is None:
        level = level_sql(str(settings.score), seed=seed, noise_scale=scale)
        return rows.withColumn("quality", F.expr(level))
    found = levels(given, settings).withColumn("is_in", F.lit(True))
    rows = rows.join(found, on="doc_id", how="left")
    rows = _aside(rows, F.col("is_in").isNull(), UNSCORED)
    rows = _aside(rows, F.col("level").isNull(), NOT_FINITE)
    level = noisy_level_sql("level", "tie_hash", scale)
    quality = F.expr(f"cast(if(quality IS NULL, NULL, {level}) AS smallint)")
    return rows.withColumn("quality", quality).drop("level", "is_in")


def _firsts(rows: DataFrame, key: str, reason: str) -> DataFrame:
    """Of candidates with an equal `key` all but the first in the order are set aside."""
    place = F.struct(-F.col("quality"), "tie_hash", "doc_id")
    competing = rows.filter("set_aside IS NULL AND quality IS NOT NULL")
    firsts = competing.groupBy(key).agg(
        F.min(place).getField("doc_id").alias("first"), F.count("*").alias("equal")
    )
    several = firsts.filter("equal > 1").drop("equal")
    rows = rows.join(several, on=key, how="left")
    repeated = F.col("first").isNotNull() & (F.col("first") != F.col("doc_id"))
    return _aside(rows, repeated & F.col("quality").isNotNull(), reason).drop("first")
