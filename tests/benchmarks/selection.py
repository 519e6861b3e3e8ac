"""Selection from synthetic scores: `python -m tests.benchmarks.selection [--quick | --long]`.

50 sources in 5 groups, heavy ties, on two cores with a Java heap of 2 GB: 10^6 and 10^7 rows, with
`--long` 10^8. In the same run the same selection by a running sum over a full sort, and what-if.
"""

import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from mira_spark import allocation, histograms, selection
from mira_spark.allocation import Policy
from mira_spark.session import open_local
from mira_spark.steps.select_documents import kept_of, refined
from mira_spark.tables import Lakehouse
from mira_spark.what_if import what_if

SOURCES, GROUPS = 50, 5
BUDGET = 40
say = sys.stdout.write


def scores(spark: SparkSession, rows: int, path: str) -> DataFrame:
    """Qualities of 200 levels, so that 10^8 rows tie by half a million."""
    source = F.pmod(F.xxhash64("id"), F.lit(SOURCES))
    spark.range(rows).select(
        F.concat(F.lit("document "), F.col("id")).alias("doc_id"),
        F.concat(F.lit("source "), source).alias("source"),
        F.concat(F.lit("group "), source % GROUPS).alias("source_group"),
        (F.pmod(F.hash("id"), F.lit(200)) * 50).cast("smallint").alias("quality"),
        F.pmod(F.hash("id", F.lit(7)), F.lit(5_000)).cast("bigint").alias("n_tokens"),
    ).write.format("delta").save(path)
    return spark.read.format("delta").load(path)


def by_histogram(lake: Lakehouse, rows: DataFrame) -> tuple[int, int, histograms.Steps]:
    """Documents and tokens kept under policy `group`, as the step keeps them, and the levels."""
    competing = rows.withColumn("tie_hash", selection.tie_hash(0))
    sums = (F.count("*").alias("documents"), F.sum("n_tokens").alias("tokens"))
    bins = rows.groupBy("source_group", "source", "quality").agg(*sums).toPandas()
    groups = dict(zip(bins["source"], bins["source_group"], strict=True))
    columns = ("source", "quality", "documents", "tokens")
    levels = histograms.levels(*(bins[name].tolist() for name in columns))
    budget = int(bins["tokens"].sum()) * BUDGET // 100
    walks = allocation.walks(Policy(), budget, groups, levels)
    cuts = refined(lake, competing, walks, allocation.boundaries(walks, levels))
    kept = kept_of(lake, competing, cuts, 0)
    documents, tokens = kept.agg(F.count("*"), F.sum("n_tokens")).collect()[0]
    started = time.perf_counter()
    what_if(Policy(), budget, groups, levels)
    say(f"  what-if from the histogram: {time.perf_counter() - started:.2f} s (bar 3)\n")
    return documents, tokens, levels


def by_sort(rows: DataFrame) -> tuple[int, int]:
    """The same by a running sum over each group's documents in order."""
    totals = rows.groupBy("source_group").agg(F.sum("n_tokens").alias("total"))
    order = Window.partitionBy("source_group").orderBy(
        F.col("quality").desc(), selection.tie_hash(0), "doc_id"
    )
    running = rows.withColumn("running", F.sum("n_tokens").over(order.rowsBetween(
        Window.unboundedPreceding, Window.currentRow)))  # fmt: skip
    kept = running.join(F.broadcast(totals), on="source_group", how="inner")
    kept = kept.filter(F.col("running") * 100 <= F.col("total") * BUDGET)
    documents, tokens = kept.agg(F.count("*"), F.sum("n_tokens")).collect()[0]
    return documents, tokens


def main(arguments: list[str]) -> None:
    """A line for each size."""
    folder = Path(tempfile.mkdtemp())
    largest = 10**6 if "--quick" in arguments else 10**8 if "--long" in arguments else 10**7
    try:
        spark = open_local(folder / "session", cores=2, memory="2g")
        lake = Lakehouse(spark, "default")
        by_histogram(lake, scores(spark, 10_000, f"{folder}/warm"))
        count = 10**6
        while count <= largest:
            rows = scores(spark, count, f"{folder}/{count}")
            started = time.perf_counter()
            documents, tokens, _ = by_histogram(lake, rows)
            seconds = time.perf_counter() - started
            say(f"{count:,} rows: {documents:,} documents, {tokens:,} tokens in {seconds:.1f} s\n")
            if count <= 10**7:
                started = time.perf_counter()
                same = by_sort(rows)
                slow = time.perf_counter() - started
                as_many = "as many" if same == (documents, tokens) else f"OTHERS: {same}"
                times = slow / seconds
                say(f"  by a running sum {slow:.1f} s, {times:.1f} times as long; {as_many}\n")
            count *= 10
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        say(f"driver: Python {peak:.2f} GB at most, Java within its 2 GB (bar 2)\n")
        spark.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
