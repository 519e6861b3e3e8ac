"""Samples that are the same at any partitioning; texts cut as the prompts cut them."""

from random import Random

import pytest
from pyspark.sql import DataFrame, SparkSession, Window, functions as F

from mira_spark.corpus import sampling
from mira_spark.corpus.conversation_text import conversation_text
from mira_spark.corpus.conversations import Turn, TurnPart
from mira_spark.corpus.excerpt_column import excerpt_column
from mira_spark.corpus.excerpts import excerpt


@pytest.mark.parametrize("length", [0, 1, 191, 192, 193, 194, 1000, 5001])
def test_windows_in_sql_are_those_of_the_prompt(spark: SparkSession, length: int) -> None:
    text = ("aé漢😀\n" * (length // 5 + 1))[:length]
    row = spark.createDataFrame([(text,)], "text string")
    cut = row.select(excerpt_column(F.col("text"), 16)).collect()[0][0]
    assert cut == excerpt(text, 16)


def test_windows_in_sql_fall_between_the_turns_of_a_conversation(spark: SparkSession) -> None:
    draw = Random(0)
    three = [Turn("u", (TurnPart("text", "x" * length),)) for length in (94, 14, 92)]
    texts = [
        conversation_text(three),
        "@@@ " * 80,
        "@@@ user\n" * 40,
        "@@@ -1 +1 @@@\n" + "x\n@@@\n" * 40,
        "@@@ " + "😀" * 200,
    ]
    for _ in range(300):
        said = [
            ("aé漢😀\n" * 60)[: draw.choice((1, 5, 20, 60, 240))] for _ in range(draw.randint(1, 9))
        ]
        texts.append(conversation_text(Turn("user", (TurnPart("text", each),)) for each in said))
    rows = spark.createDataFrame([(text,) for text in texts], "text string").coalesce(1)
    sizes = (2, 4, 5, 16)
    cuts = [excerpt_column(F.col("text"), size).alias(str(size)) for size in sizes]
    for row in rows.select("text", *cuts).collect():
        assert [row[str(size)] for size in sizes] == [excerpt(row["text"], size) for size in sizes]


def documents(spark: SparkSession) -> DataFrame:
    return spark.range(3000).select(
        F.concat(F.lit("d"), "id").alias("doc_id"),
        F.when(F.col("id") < 2990, "large").otherwise("small").alias("source"),
        F.when(F.col("id") % 2 == 0, "one").alias("domain"),
    )


def ids(frame: DataFrame) -> set[str]:
    return {r["doc_id"] for r in frame.select("doc_id").collect()}


def test_a_sample_is_the_same_at_any_partitioning_and_another_by_seed(spark: SparkSession) -> None:
    all_of = documents(spark)
    first = ids(sampling.sample(all_of.repartition(1), 50, 0))
    assert first == ids(sampling.sample(all_of.repartition(7, "doc_id"), 50, 0))
    assert len(first) == 60, "fifty of the large source and all ten of the small"
    assert first != ids(sampling.sample(all_of, 50, 1))


def test_a_larger_sample_holds_the_smaller(spark: SparkSession) -> None:
    all_of = documents(spark)
    assert ids(sampling.sample(all_of, 20, 0)) < ids(sampling.sample(all_of, 200, 0))


def test_one_domain_cannot_fill_a_sample(spark: SparkSession) -> None:
    found = sampling.sample(documents(spark), 50, 0, per_domain=3)
    by_domain = {
        (r["source"], r["domain"]): r["count"]
        for r in found.groupBy("source", "domain").count().collect()
    }
    assert by_domain == {
        ("large", "one"): 3,
        ("large", None): 47,
        ("small", "one"): 3,
        ("small", None): 5,
    }


def exact(frame: DataFrame, each: int, per_domain: int | None) -> set[str]:
    """The sample of seed 0 by sorting all there is."""
    draw = F.pmod(F.xxhash64("doc_id", F.lit(0).cast("bigint")), F.lit(sampling.HASH_RANGE))
    rows = frame.withColumn("draw", draw)
    place = F.row_number().over(Window.partitionBy("source", "domain").orderBy("draw", "doc_id"))
    if per_domain is not None:
        rows = rows.withColumn("place", place)
        rows = rows.filter(F.col("domain").isNull() | (F.col("place") <= per_domain))
    place = F.row_number().over(Window.partitionBy("source").orderBy("draw", "doc_id"))
    return ids(rows.withColumn("place", place).filter(F.col("place") <= each))


def test_a_domain_that_holds_nearly_all_takes_no_place_of_the_others(spark: SparkSession) -> None:
    """Ten of the large domain and the 2,000 others are allowed; 1,000 are asked for."""
    domain = F.when(F.col("id") < 2_000, F.concat(F.lit("small"), "id")).otherwise("large")
    found = spark.range(60_000).select(
        F.concat(F.lit("d"), "id").alias("doc_id"), F.lit("s").alias("source"),
        domain.alias("domain"),
    )  # fmt: skip
    sampled = ids(sampling.sample(found, 1_000, 0, per_domain=10))
    assert len(sampled) == 1_000
    assert sampled == exact(found, 1_000, 10)
    assert len(ids(sampling.sample(found, 5_000, 0, per_domain=10))) == 2_010


@pytest.mark.parametrize("per_domain", [None, 1, 40])
@pytest.mark.parametrize("each", [1, 300])
def test_a_sample_is_the_one_that_sorting_everything_gives(
    spark: SparkSession, each: int, per_domain: int | None
) -> None:
    """Of sources and domains from one document to ten thousand."""
    part = F.pmod(F.xxhash64("id", F.lit(1)), F.lit(1_000)) / 1_000
    found = spark.range(20_000).select(
        F.concat(F.lit("d"), "id").alias("doc_id"),
        F.floor(6 * part * part).cast("string").alias("source"),
        F.when(F.col("id") % 11 > 0, F.floor(F.sqrt("id") % 97 * part)).cast("string")
        .alias("domain"),
    )  # fmt: skip
    assert ids(sampling.sample(found, each, 0, per_domain=per_domain)) == exact(
        found, each, per_domain
    )


def test_the_first_cut_is_right_for_sources_of_any_size(spark: SparkSession) -> None:
    """Eight to sixteen times what is wanted are left of 2^40 documents, and all of a few."""
    sizes = spark.createDataFrame(
        [("huge", "a", 10**10), ("huge", None, 1_000), ("larger", None, 2**40), ("few", "b", 9)],
        "source string, domain string, size bigint",
    )
    uncapped = sizes.groupBy("source").agg(F.sum("size").alias("size"))
    cut = sampling.first_cut(uncapped, "source", 1_000)
    below = {r["source"]: r["below"] for r in cut.collect()}
    assert below["few"] is None
    for source, size in (("huge", 10**10), ("larger", 2**40)):
        assert 8_100 <= below[source] / sampling.HASH_RANGE * size < 2 * 8_100
    of_key = sampling.first_cut(sizes, "source", 100, 10)
    below = {r["source"]: r["below"] for r in of_key.collect()}
    assert below["huge"] is below["few"] is None, "the 1,010 that the cap leaves are all needed"
    assert 900 <= below["larger"] / sampling.HASH_RANGE * 2**40 < 2 * 900
    (large,) = sampling.domain_cut(sizes, of_key, "source", 10).collect()
    assert (large["source"], large["domain"]) == ("huge", "a")
    assert large["below"] == -(-180 * sampling.HASH_RANGE // 10**10)


def test_the_cap_per_domain_gives_way_where_it_would_leave_too_few(spark: SparkSession) -> None:
    """Of `large` all but half lie in one domain; `small` has ten documents, half in that domain."""
    capped = documents(spark).filter("domain IS NOT NULL OR source = 'small'")
    found = sampling.sample(capped, 50, 0, per_domain=3, at_least=20)
    assert {r["source"]: r["count"] for r in found.groupBy("source").count().collect()} == {
        "large": 20, "small": 10
    }  # fmt: skip
    assert ids(sampling.sample(capped, 50, 0, per_domain=3)) < ids(found)


def test_the_least_exceeded_domains_fill_a_sample_first(spark: SparkSession) -> None:
    rows = [(f"a{i}", "s", "a") for i in range(100)] + [(f"b{i}", "s", "b") for i in range(6)]
    two = spark.createDataFrame(rows, "doc_id string, source string, domain string")
    found = sampling.sample(two, 50, 0, per_domain=3, at_least=10)
    assert {r["domain"]: r["count"] for r in found.groupBy("domain").count().collect()} == {
        "a": 5, "b": 5
    }  # fmt: skip


def test_where_the_cap_leaves_enough_it_holds(spark: SparkSession) -> None:
    all_of = documents(spark)
    assert ids(sampling.sample(all_of, 50, 0, "source", 3, at_least=5)) == ids(
        sampling.sample(all_of, 50, 0, "source", 3)
    )
