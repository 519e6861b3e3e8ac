"""Speed of scoring anew from stored raw scores, as scoring does it when only a student's rule,
weights or quality table changed: `python -m tests.benchmarks.reaggregation`.

A million rows of 15 raw scores, of 12 sources whose cells differ, from Delta to Delta in a session
of two cores. The workers say how often they loaded a model, which must be never.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession, functions as F

from mira_spark.lake.session import open_local
from mira_spark.scoring import batches as scoring
from mira_spark.scoring.batches import Batches
from mira_spark.scoring.scorer import Scorer, load_student
from mira_spark.settings.students import Rule
from mira_spark.students import artefact, calibration
from mira_spark.students.artefact import Manifest
from mira_spark.students.quality import QualityTable, SourceCells
from tests.benchmarks.linear_kernel import random_student

ROWS, SLOTS, SOURCES, ROUNDS = 1_000_000, 15, 12, 3
CORES, BAR = 2, 1_000_000
CURVE_ROWS = 1_000
say = sys.stdout.write


def a_table(rule: Rule) -> QualityTable:
    """A table in which no two sources are alike."""
    random = np.random.default_rng(0)

    def cells() -> SourceCells:
        return SourceCells(
            counts=(random.random(SLOTS) < 0.8).tolist(),
            judged_mean=random.integers(2_000, 8_000, SLOTS).tolist(),
            mean_prediction=random.integers(2_000, 8_000, SLOTS).tolist(),
            slope=random.integers(0, 1_500, SLOTS).tolist(),
        )

    sources = {f"source {i}": cells() for i in range(SOURCES)}
    return QualityTable(rule=rule, weights=(1_000,) * SLOTS, sources=sources, group=cells())


def written(folder: Path, rule: Rule) -> Scorer:
    """A student with the table, and isotonic curves, as an artefact."""
    random = np.random.default_rng(1)
    judged = random.integers(0, 11, (CURVE_ROWS, SLOTS)).astype(np.float64)
    predicted = (judged + random.normal(0, 2, judged.shape)).astype(np.float32)
    manifest = Manifest(
        rubric_id="r",
        source_group="g",
        anchors=tuple(f"dimension {i}" for i in range(SLOTS)),
        calibration=calibration.fit(predicted, judged),
        quality=a_table(rule),
        labels_version=0,
        package_version="0",
    )
    return Scorer(rule, str(folder), artefact.write(folder, random_student(18), manifest))


def stored(spark: SparkSession, path: str) -> DataFrame:
    """A Delta table of scores as another student of the same weights left them."""
    raw = F.array(*(F.pmod(F.xxhash64("id", F.lit(i)), F.lit(10_000)) for i in range(SLOTS)))
    spark.range(ROWS, numPartitions=2 * CORES).select(
        F.col("id").cast("string").alias("doc_id"),
        F.concat(F.lit("source "), F.col("id") % SOURCES).alias("source"),
        F.lit("g").alias("source_group"),
        (F.col("id") % 64).cast("smallint").alias("bucket"),
        F.unhex(F.md5(F.col("id").cast("string"))).alias("content_hash"),
        F.lit(500).cast("bigint").alias("n_tokens"),
        raw.cast("array<smallint>").alias("raw_scores"),
        F.lit(None).cast("string").alias("reason"),
    ).write.format("delta").save(path)
    return spark.read.format("delta").load(path)


def counted(scorer: Scorer) -> Callable[[Batches], Batches]:
    """`reaggregate`, which leaves in the artefact's `.loads` how often a worker loaded a model."""

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        before = load_student.cache_info().misses
        yield from scoring.reaggregate(scorer)(batches)
        with Path(f"{scorer.artefact_uri}.loads").open("a") as file:
            file.write(f"{load_student.cache_info().misses - before}\n")

    return run


def seconds(rows: DataFrame, scorer: Scorer, path: str) -> float:
    """From Delta to Delta, appended as the step does."""
    started = time.perf_counter()
    scored = rows.select(*scoring.STORED).mapInArrow(counted(scorer), scoring.OUTPUT_DDL)
    scored.write.format("delta").mode("append").save(path)
    return time.perf_counter() - started


def main() -> None:
    """A line for each rule."""
    folder = Path(tempfile.mkdtemp())
    try:
        spark = open_local(folder / "session", cores=CORES)
        rows = stored(spark, f"{folder}/stored")
        rules: tuple[Rule, ...] = ("shrunk", "paper")
        for rule in rules:
            scorer = written(folder / rule, rule)
            took = [seconds(rows, scorer, f"{folder}/out_{rule}") for _ in range(ROUNDS + 1)][1:]
            loads = sum(map(int, Path(f"{folder / rule}.loads").read_text().split()))
            rates = [60 * ROWS / s for s in took]
            say(
                f"reaggregation, {rule}: {min(rates):,.0f} to {max(rates):,.0f} rows a minute on "
                f"{CORES} cores (bar {BAR:,}), {loads} loads of a model\n"
            )
        spark.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
