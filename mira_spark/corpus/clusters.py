"""Which text stands for which: clusters without chains, of pairs that are truly near.

Texts are decided in the order of their hashes. One is a representative when no earlier
representative is near it; every other belongs to the most similar representative that is near it,
earlier or later, of equally similar ones to the earliest. So no text belongs to one that it is not
near, and who belongs to whom follows from the pairs alone.
"""

from functools import reduce

import pyarrow as pa
from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus.near_pairs import PAIR

FEW_PAIRS = 500_000
"""So many pairs of undecided texts are decided on the driver, which takes 100 MB; of more Spark
decides the texts whose earlier neighbours are decided, until so few are left."""


def memberships(near: DataFrame, few: int = FEW_PAIRS) -> DataFrame:
    """Of each text that is no representative: `content_hash`, `representative` (a content_hash) and
    their `similarity`. `near` are pairs (earlier, later, similarity), each once."""
    members = _members(near.select(*PAIR), few)
    either = near.select(
        F.col("later").alias("content_hash"), F.col("earlier").alias("representative"), "similarity"
    ).unionByName(
        near.select(
            F.col("earlier").alias("content_hash"),
            F.col("later").alias("representative"),
            "similarity",
        )
    )
    own = either.join(members, on="content_hash", how="left_semi")
    own = own.join(members.toDF("representative"), on="representative", how="left_anti")
    place = F.struct((-F.col("similarity")).alias("minus"), "representative")
    nearest = own.groupBy("content_hash").agg(F.min(place).alias("nearest"))
    return nearest.select(
        "content_hash", "nearest.representative", (-F.col("nearest.minus")).alias("similarity")
    )


def _members(pairs: DataFrame, few: int) -> DataFrame:
    """The texts that are no representatives: `content_hash`."""
    decided: list[DataFrame] = []
    while pairs.count() > few:
        members, pairs = _one_round(pairs)
        decided.append(members)
    return reduce(DataFrame.unionByName, decided, _members_on_driver(pairs))


def _one_round(pairs: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Members by the representatives that are certain, and the pairs of texts that are none of
    these; both kept by Spark, so that the plan of the next round is short."""
    waiting = pairs.select(F.col("later").alias("earlier")).distinct()
    certain = pairs.join(waiting, on="earlier", how="left_anti")
    members = certain.select(F.col("later").alias("content_hash")).distinct().localCheckpoint()
    for name in PAIR:
        pairs = pairs.join(members.toDF(name), on=name, how="left_anti")
    return members, pairs.select(*PAIR).localCheckpoint()


def _members_on_driver(pairs: DataFrame) -> DataFrame:
    rows = pairs.toArrow()
    members: set[bytes] = set()
    for later, earlier in sorted(zip(*(rows[n].to_pylist() for n in reversed(PAIR)), strict=True)):
        if earlier not in members:  # all that decides it came before
            members.add(later)
    hashes = pa.Table.from_pydict({"content_hash": pa.array(sorted(members), pa.binary())})
    return pairs.sparkSession.createDataFrame(hashes, "content_hash binary")


def clustered_documents(documents: DataFrame, texts: DataFrame, members: DataFrame) -> DataFrame:
    """The rows of `near_duplicates` but for their run: of each document that another one stands
    for, `doc_id`, `content_hash`, `representative` (a doc_id) and their `similarity`.

    `texts` are (content_hash, doc_id, documents): each text with its first document and how many
    there are; `members` are `memberships`.
    """
    standing = texts.select(
        F.col("content_hash").alias("representative"), F.col("doc_id").alias("representative_id")
    )
    several = texts.join(members, on="content_hash", how="left")
    several = several.filter("documents > 1 OR representative IS NOT NULL").select(
        "content_hash",
        F.coalesce("representative", "content_hash").alias("representative"),
        F.coalesce("similarity", F.lit(1.0)).alias("similarity"),
    )
    by_text = several.join(standing, on="representative", how="inner").drop("representative")
    rows = documents.select("doc_id", "content_hash").join(by_text, on="content_hash", how="inner")
    return rows.filter("doc_id != representative_id").select(
        "doc_id", "content_hash", F.col("representative_id").alias("representative"), "similarity"
    )
