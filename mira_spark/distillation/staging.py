"""The labels of a group with their texts, as files that the driver streams."""

from pathlib import Path

import pandas as pd
from pyspark.sql import Column, DataFrame, functions as F
from pyspark.sql.pandas.functions import pandas_udf

from mira_spark.distillation.folds import balanced_folds, nearly_equal_key
from mira_spark.distillation.shards import COLUMNS, FOLDS
from mira_spark.lake import own_folders
from mira_spark.lake.tables import Lakehouse


def stage(lake: Lakehouse, labels: DataFrame, folder: Path) -> dict[str, str]:
    """Write these rows of `labels` with their texts, in an order unlike any other, each with its
    fold; source to the domain of it that folds cut through.

    Folds are cut by domain. A document without a domain stands in the fold of texts that nearly
    equal it, and so do those of a domain that has over half of a source's rows: in one fold it
    would leave a student that has hardly read the source. Equal texts, and documents that one
    stands for in `near_duplicates`, are in the fold of the first of them by doc_id, spoilt copies
    in that of their originals: no student is measured on what it has read.
    """
    documents = lake.read("documents").select(
        "doc_id", F.col("content_hash").alias("hash_now"), "text", "n_tokens", "domain"
    )
    is_spoilt = F.col("spoilt").isNotNull()
    rows = labels.join(documents, on="doc_id", how="inner")
    rows = rows.filter(is_spoilt | (F.col("content_hash") == F.col("hash_now")))
    halves = _domains_with_half(rows.filter(~is_spoilt))
    cut = lake.spark.createDataFrame(list(halves.items()), "source string, cut_domain string")
    rows = rows.join(F.broadcast(cut), on="source", how="left")
    is_whole = ~F.equal_null("domain", "cut_domain")
    by_domain = F.when(is_whole, F.concat(F.lit("domain "), "domain"))
    other_text = F.when(by_domain.isNull(), F.col("text"))
    rows = rows.withColumn("domain", F.coalesce(by_domain, _nearly_equal(other_text)))
    near = lake.read("near_duplicates").select(
        "doc_id", F.col("content_hash").alias("hash_now"), "representative"
    )
    staged = rows.drop("domain").join(_domains(rows, near), on="hash_now", how="inner")
    staged = staged.withColumns({"text": F.coalesce("spoilt_text", "text"), "spoilt": is_spoilt})
    sizes = {row["domain"]: row["count"] for row in staged.groupBy("domain").count().collect()}
    folds = list(balanced_folds(sizes, FOLDS).items())
    numbered = lake.spark.createDataFrame(folds, "domain string, fold int")
    ordered = staged.join(F.broadcast(numbered), on="domain").orderBy(
        F.xxhash64("doc_id"), "doc_id", "content_hash"
    )
    own_folders.write_shards(ordered.select(*COLUMNS), folder)
    return halves


def _domains_with_half(rows: DataFrame) -> dict[str, str]:
    """Source to the domain that has over half of its rows, where one has."""
    sizes: dict[str, dict[str | None, int]] = {}
    for row in rows.groupBy("source", "domain").count().collect():
        sizes.setdefault(row["source"], {})[row["domain"]] = row["count"]
    return {
        source: domain
        for source, by_domain in sorted(sizes.items())
        for domain, n in by_domain.items()
        if domain is not None and 2 * n > sum(by_domain.values())
    }


def _domains(rows: DataFrame, near: DataFrame) -> DataFrame:
    """By `hash_now`, the `domain` of the first document of the text's cluster."""
    clustered = rows.join(near, on=["doc_id", "hash_now"], how="left")
    texts = clustered.groupBy("hash_now").agg(
        F.min(F.coalesce("representative", "doc_id")).alias("cluster"),
        F.min_by("domain", "doc_id").alias("domain"),
        F.min("doc_id").alias("doc_id"),
    )
    first = texts.groupBy("cluster").agg(F.min_by("domain", "doc_id").alias("domain"))
    return texts.select("hash_now", "cluster").join(first, on="cluster").drop("cluster")


def _nearly_equal(text: Column) -> Column:
    """`nearly_equal_key` of the text, null where it is null."""

    def keys(texts: pd.Series) -> pd.Series:
        return texts.map(nearly_equal_key, na_action="ignore")

    udf = pandas_udf(keys, "string")  # type: ignore[call-overload]  # stubs want functionType
    key: Column = udf(text)
    return key
