"""What documents compete by that no student gave: a baseline's scores, or a user's column."""

from collections.abc import Mapping

from pyspark.sql import DataFrame, Window, functions as F

from mira_spark.errors import InputError
from mira_spark.lake.scale import FULL_SCALE
from mira_spark.lake.tables import Lakehouse
from mira_spark.scoring.baseline_record import baseline_scores, latest_baseline
from mira_spark.selection import user_tables
from mira_spark.settings.selection import ScoreColumn, SelectionSettings

BASELINE_SCORES = "baseline_scores"
STEPS_OF_RANK = 1 << 14
"""Scores are ranked in steps of so many to a factor of e: ranks follow from counts by step, without
a sort of all documents."""


def baseline_versions(lake: Lakehouse, name: str) -> dict[str, str]:
    """What pins the scores of the baseline that counts now: the version of their table, and the
    baseline's id. InputError where there are none."""
    made = latest_baseline(lake, name)
    if made is None:
        raise InputError(
            f"selection.score: there are no scores of {name}: set baselines.{name} and run "
            "mira score-baselines first"
        )
    version = str(lake.version(BASELINE_SCORES))
    return {BASELINE_SCORES: version, f"baseline {name}": made.scorer.student_id}


def given_scores(
    lake: Lakehouse,
    settings: SelectionSettings,
    documents_version: int,
    versions: Mapping[str, str],
) -> DataFrame | None:
    """doc_id and `given`, a double, one row for each document that has one; None where documents
    compete by something else. A baseline's as `versions` pin them, a user's table as it is now.

    InputError as of `user_tables.scores`.
    """
    if isinstance(settings.score, ScoreColumn):
        return user_tables.scores(lake.spark, settings.score)
    if settings.baseline is None:
        return None
    baseline_id = versions[f"baseline {settings.baseline}"]
    pinned = (documents_version, int(versions[BASELINE_SCORES]))
    rows = baseline_scores(lake, baseline_id, *pinned).filter("score IS NOT NULL")
    return rows.select("doc_id", F.col("score").alias("given"))


def levels(given: DataFrame, settings: SelectionSettings) -> DataFrame:
    """doc_id and `level`, 0 to FULL_SCALE, of each document that is given a value; null where that
    is not finite. Baselines are ranked: some grow with a text's length, without a bound."""
    return _ranked(given) if settings.baseline else _spread_evenly(given)


def _spread_evenly(given: DataFrame) -> DataFrame:
    """From 0, the lowest, to FULL_SCALE; where all are equal each is 0."""
    is_finite = ~F.isnan("given") & (F.abs("given") != float("inf"))
    half = F.when(is_finite, F.col("given") / 2)  # the difference of halves is always finite
    halves = given.select("doc_id", half.alias("half"))
    ends = halves.agg(F.min("half").alias("low"), F.max("half").alias("high"))
    part = F.try_divide(F.col("half") - F.col("low"), F.col("high") - F.col("low"))
    scaled = F.floor(F.coalesce(part, F.lit(0.0)) * FULL_SCALE).cast("smallint")
    level = F.when(F.col("half").isNotNull(), scaled).alias("level")
    return halves.crossJoin(F.broadcast(ends)).select("doc_id", level)


def _ranked(given: DataFrame) -> DataFrame:
    """The share of documents that have less, of FULL_SCALE: 0 is the lowest."""
    size = F.floor(F.log1p(F.abs("given")) * STEPS_OF_RANK).cast("bigint")
    stepped = given.withColumn("step", F.when(F.col("given") < 0, -size).otherwise(size))
    counts = stepped.groupBy("step").agg(F.count("*").alias("documents"))
    whole = Window.partitionBy(F.lit(0))  # a row a step: some hundred thousand at most
    before = whole.orderBy("step").rowsBetween(Window.unboundedPreceding, -1)
    below = F.coalesce(F.sum("documents").over(before), F.lit(0))
    total = F.sum("documents").over(whole)
    ranks = counts.withColumns({"below": below, "total": total})
    level = F.expr(f"cast(below * {FULL_SCALE} div total AS smallint)").alias("level")
    return stepped.join(F.broadcast(ranks.select("step", level)), on="step").select(
        "doc_id", "level"
    )
