"""Scores that belong to no document or were given twice, dropped."""

from pyspark.sql import Window, functions as F

from mira_spark.lake.tables import Lakehouse
from mira_spark.scoring import checks
from mira_spark.scoring.checks import SCORE_KEY

WRITES = ("scores", "score_checks", "score_histogram")


def repair(lake: Lakehouse, run_id: str) -> list[str]:
    """Leave in `scores` one score for each document that is there and each student, the latest; a
    line for each thing done.

    Selections keep what they have: they read the versions that they were made from.
    """
    documents, version = lake.snapshot("documents"), lake.version("scores")
    there = lake.read("documents", documents.version).select(*SCORE_KEY)
    scores = lake.read("scores", version)
    belonging = scores.join(there, on=SCORE_KEY, how="left_semi")
    ordered = Window.partitionBy(*SCORE_KEY, "student_id").orderBy(
        F.col("quality").isNull(), F.desc("scored_at"), F.desc("documents_version"), "unit_id"
    )
    single = belonging.withColumn("place", F.row_number().over(ordered)).filter("place = 1")
    counts = [rows.count() for rows in (scores, belonging, single)]
    if counts[0] != counts[2]:
        lake.replace_all(single, "scores", run_id)
    lake.delete("score_histogram", F.lit(True))
    checks.record_check(lake, documents, (), True, run_id)
    name = lake.name("scores")
    return [
        f"{name}: {counts[0] - counts[1]:,} scores of no document dropped",
        f"{name}: {counts[1] - counts[2]:,} second scores of a document and student dropped",
        f"{name}: {counts[2]:,} scores are left; mira run scores what has none and selects again",
    ]
