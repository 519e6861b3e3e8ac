"""Selection from synthetic scores: `python -m tests.benchmarks.selection [--quick]`.

50 sources in 5 groups, half of the documents tied at 200 levels and half spread over all 10,001, on
two cores, Java with a heap of 600 MB: 10^6, 10^7 and 10^8 rows, with `--quick` only 10^6. What the
step does but its small writes, what-if from the recorded histogram, memory; then the same
selections by a running sum over a full sort, in a process of its own with a heap of 4 GB. A file
has rows of one source, as `score_documents` writes them.
"""

import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeVar

from pyspark import SparkContext
from pyspark.sql import DataFrame, SparkSession, Window, functions as F

from mira_spark.lake.creation import create_tables
from mira_spark.lake.session import open_local
from mira_spark.lake.tables import Lakehouse
from mira_spark.selection import choice, frontier, histogram, order as selection
from mira_spark.selection.pinned import Pinned
from mira_spark.settings.selection import SelectionSettings

SOURCES, GROUPS = 50, 5
CHOSEN = SelectionSettings(budget="40%")
POLICIES = ("group", "global")
ARENAS = {"MALLOC_ARENA_MAX": "2"}
"""Java, which the first session of a process starts, holds less beside its heap so."""
MEMORY, MEMORY_OF_SORT = "600m", "4g"
T = TypeVar("T")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def scores(spark: SparkSession, rows: int, path: str) -> DataFrame:
    """As `candidates.competing_documents` gives them; 10^8 rows tie by half a million at a
    level."""
    number = F.pmod(F.xxhash64("id"), F.lit(SOURCES))
    tied = F.pmod(F.hash("id", F.lit(1)), F.lit(200)) * 50
    spread = F.pmod(F.hash("id", F.lit(2)), F.lit(10_001))
    group = F.concat(F.lit("group "), number % GROUPS)
    spark.range(rows).select(
        F.concat(F.lit("document "), F.col("id")).alias("doc_id"),
        F.concat(F.lit("source "), number).alias("source"),
        group.alias("source_group"),
        F.concat(group, F.lit("/1")).alias("student_id"),
        F.when(F.col("id") % 2 == 0, tied).otherwise(spread).cast("smallint").alias("quality"),
        F.pmod(F.hash("id", F.lit(7)), F.lit(5_000)).cast("bigint").alias("n_tokens"),
    ).repartitionByRange(SOURCES, "source").write.format("delta").save(path)
    return stored(spark, path)


def stored(spark: SparkSession, path: str) -> DataFrame:
    found = spark.read.format("delta").load(path)
    found = found.withColumn("set_aside", F.lit(None).cast("string"))
    return found.withColumn("tie_hash", selection.tie_hash(CHOSEN.seed))


class Found(NamedTuple):
    """Documents and tokens kept, the seconds for the histogram and for the choice after it."""

    kept: tuple[int, int]
    counting: float
    choosing: float


def by_histogram(lake: Lakehouse, rows: DataFrame, version: int, policy: str) -> Found:
    """As the step selects."""
    state, chosen = pinned(version), CHOSEN.model_copy(update={"policy": policy})
    competing = rows.filter("set_aside IS NULL AND quality IS NOT NULL")
    found, counting = timed(
        partial(histogram.counted_bins, lake, chosen, state, lambda: rows, "bench")
    )
    made, choosing = timed(
        partial(choice.choose, lake, chosen, state, found, competing, found.tokens)
    )
    return Found((made.documents, made.tokens), counting, choosing)


def pinned(version: int) -> Pinned:
    """A state of its own for every version, so that its histogram is counted anew."""
    groups = [f"group {i}" for i in range(GROUPS)]
    return Pinned((version, 1), {group: f"{group}/1" for group in groups}, {})


def what_if(lake: Lakehouse, version: int) -> int:
    """The command's work without its printing: three budgets under two policies."""
    found = histogram.recorded_bins(lake, CHOSEN, pinned(version))
    assert found is not None
    asked = frontier.alternatives(CHOSEN, "10%,20%,50%", "group,global")
    return len(frontier.answers(found, asked, found.tokens))


def by_sort(rows: DataFrame, policy: str) -> tuple[int, int]:
    """Documents and tokens kept by a running sum over the documents in order, of each group under
    policy `group`, else of all."""
    pool = F.col("source_group") if policy == "group" else F.lit("all")
    rows = rows.withColumn("pool", pool)
    totals = dict(rows.groupBy("pool").agg(F.sum("n_tokens")).collect())
    budget = sum(totals.values()) * 40 // 100
    limits = [(name, budget * t // sum(totals.values())) for name, t in totals.items()]
    limit = rows.sparkSession.createDataFrame(limits, "pool string, most bigint")
    order = Window.partitionBy("pool").orderBy(F.desc("quality"), "tie_hash", "doc_id")
    until = order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    running = rows.withColumn("running", F.sum("n_tokens").over(until))
    kept = running.join(F.broadcast(limit), on="pool", how="inner").filter("running <= most")
    documents, tokens = kept.agg(F.count("*"), F.sum("n_tokens")).collect()[0]
    return documents, tokens


def sorts(folder: Path, sizes: Sequence[int]) -> dict[tuple[int, str], tuple[Any, float]]:
    """`by_sort` of each size and policy with its seconds, after one to warm up; for a process of
    its own."""
    spark = open_local(folder / "sorts", cores=2, memory=MEMORY_OF_SORT)
    by_sort(stored(spark, f"{folder}/warm"), "group")
    found = {
        (n, policy): timed(partial(by_sort, stored(spark, f"{folder}/{n}"), policy))
        for n in sizes
        for policy in POLICIES
    }
    spark.stop()
    return found


def timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    found = work()
    return found, time.perf_counter() - started


def memory() -> tuple[float, float]:
    """The most that Python and Java have held so far, in GB."""
    java = SparkContext._gateway.proc.pid
    lines = Path(f"/proc/{java}/status").read_text().splitlines()
    held = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, int(held) / 2**20


def main(arguments: list[str]) -> None:
    """A line for each size and bar."""
    folder = Path(tempfile.mkdtemp())
    os.environ |= ARENAS
    sizes = (10**6,) if "--quick" in arguments else (10**6, 10**7, 10**8)
    try:
        spark = open_local(folder / "session", cores=2, memory=MEMORY)
        lake = Lakehouse(spark, "default")
        create_tables(lake, ["score_histogram"])
        by_histogram(lake, scores(spark, 10_000, f"{folder}/warm"), 0, "group")
        found = {}
        for n in sizes:
            found |= measured(lake, scores(spark, n, f"{folder}/{n}"), n)
        python, java = memory()
        say(
            f"driver, with its two executor cores: Python {python:.2f} GB and Java {java:.2f} GB "
            f"at most, together {python + java:.2f} (bar 2)"
        )
        spark.stop()
        few = [n for n in sizes if n <= 10**7]
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            for (n, policy), (same, slow) in pool.apply(sorts, (folder, few)).items():
                kept, counting, choosing = found[n, policy]
                agree = "the same counts" if same == kept else f"OTHER COUNTS: {same}"
                say(
                    f"{n:,} rows, {policy}, by a running sum: {slow:.1f} s, "
                    f"{slow / (counting + choosing):.1f} times as long, "
                    f"{slow / choosing:.1f} times once the histogram stands (bar 5 at 10^7); "
                    f"{agree}"
                )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measured(lake: Lakehouse, rows: DataFrame, n: int) -> dict[tuple[int, str], Found]:
    """What is kept of so many rows by each policy: of up to 10^7 the median of three turns."""
    found = {}
    for place, policy in enumerate(POLICIES if n <= 10**7 else POLICIES[:1]):
        versions = [n + 10 * place + i for i in range(3 if n <= 10**7 else 1)]
        turns = [by_histogram(lake, rows, version, policy) for version in versions]
        counting, choosing = median(t.counting for t in turns), median(t.choosing for t in turns)
        found[n, policy] = Found(turns[0].kept, counting, choosing)
        (documents, tokens), seconds = turns[0].kept, counting + choosing
        say(
            f"{n:,} rows, {policy}: {documents:,} documents, {tokens:,} tokens in {seconds:.1f} s, "
            f"{seconds / n * 1e6:.2f} s per million; of these the histogram {counting:.1f} s"
        )
    asked, answered = timed(partial(what_if, lake, n))
    say(f"  what-if, {asked} answers from the recorded histogram: {answered:.2f} s (bar 3)")
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
