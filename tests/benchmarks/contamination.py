"""Items of an evaluation in documents: `python -m tests.benchmarks.contamination [--quick]`.

10^4 items, every fourth of 8 words and the others of 40, in 10^5 and 10^6 documents of 200 words,
with `--quick` in 10^4 and 10^5; in every hundredth document an item stands. What the step does but
its writes, by either join, on two cores, Java with a heap of 2 GB. The seconds of a million
documents should be the same for both sizes, but for what a session and the items cost once.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession, functions as F

from mira_spark.corpus import contamination
from mira_spark.corpus.ngram_batches import DOCUMENT
from mira_spark.lake.caches import persisted
from mira_spark.lake.session import open_local
from mira_spark.settings.evaluation import EvaluationSettings
from tests.benchmarks.selection import memory, say

ITEMS, WORDS, EVERY = 10_000, 200, 100
RULE = EvaluationSettings()


def words(seed: int, number: Column | int) -> Column:
    """So many of 20,000 words, drawn by the row's id."""
    places = F.sequence(F.lit(1), F.lit(number) if isinstance(number, int) else number)
    word = F.transform(places, lambda i: F.pmod(F.hash("id", i, F.lit(seed)), F.lit(20_000)))
    return F.array_join(F.transform(word, lambda w: F.concat(F.lit("w"), w)), " ")


def items(spark: SparkSession) -> DataFrame:
    """ITEM and `text`."""
    length = F.when(F.col("id") % 4 == 0, 8).otherwise(40)
    return spark.range(ITEMS).select(
        F.lit("set").alias("item_set"),
        F.lit("text").alias("item_column"),
        F.col("id").cast("string").alias("item_id"),
        words(1, length).alias("text"),
    )


def documents(spark: SparkSession, number: int, path: str) -> DataFrame:
    """Stored, an item in the middle of every hundredth."""
    of_item = items(spark).select(
        F.col("item_id").cast("bigint").alias("item"), F.col("text").alias("held")
    )
    rows = spark.range(number).withColumns(
        {"before": words(2, WORDS // 2), "after": words(3, WORDS // 2)}
    )
    item = F.when(F.col("id") % EVERY == 0, F.col("id") / EVERY % ITEMS).cast("bigint")
    rows = rows.withColumn("item", item).join(F.broadcast(of_item), on="item", how="left")
    text = F.concat_ws("\n# ", "before", F.upper("held"), "after")
    rows.select(
        F.format_string("doc %09d", "id").alias("doc_id"),
        F.unhex(F.substring(F.sha2(text, 256), 1, 32)).alias("content_hash"),
        text.alias("text"),
    ).write.parquet(path)
    return spark.read.parquet(path)


def measure(texts: DataFrame, number: int, few: bool) -> None:
    """A line of what was found and how long it took."""
    started = time.perf_counter()
    with persisted(contamination.ngrams_of_items(items(texts.sparkSession), RULE)) as of_items:
        passing = contamination.ngram_filter(of_items, of_items.count())
        of_documents = contamination.ngrams_of_documents(texts, RULE, passing)
        begun = time.perf_counter()
        with persisted(of_documents) as kept:
            found = contamination.contaminated_documents(kept, of_items, few)
            held = found.select(*DOCUMENT).distinct().count()
    seconds, once, wanted = time.perf_counter() - begun, begun - started, -(-number // EVERY)
    right = "all that hold one" if held == wanted else f"WRONG: {wanted:,} hold one"
    say(
        f"{number:,} documents, {ITEMS:,} items, {'broadcast' if few else 'sort-merge'}: {held:,} "
        f"contaminated, {right}, in {seconds:.1f} s after {once:.1f} s for the items; "
        f"{seconds / number * 1e6:.1f} s per million"
    )


def main(arguments: list[str]) -> None:
    """A line for each size and join, and the memory."""
    folder = Path(tempfile.mkdtemp())
    sizes = (10**4, 10**5) if "--quick" in arguments else (10**5, 10**6)
    try:
        spark = open_local(folder / "session", cores=2, memory="2g")
        measure(documents(spark, 2_000, f"{folder}/warm"), 2_000, few=True)
        for number in sizes:
            texts = documents(spark, number, f"{folder}/{number}")
            for few in (True, False):
                measure(texts, number, few)
        python, java = memory()
        say(f"driver: Python {python:.2f} GB and Java {java:.2f} GB at most")
        spark.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
