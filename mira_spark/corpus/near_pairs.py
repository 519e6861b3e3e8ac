"""Texts that may be nearly equal, in pairs, and how alike they are.

A text is named by its `content_hash`, and the order of texts is that of their hashes: it has
nothing to do with what they say. Every pair is (`earlier`, `later`) in it.
"""

from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus import near_batches
from mira_spark.corpus.shingles import MinHash

PAIR = ["earlier", "later"]


def text_bands(texts: DataFrame, by: MinHash) -> DataFrame:
    """The bands of each text: rows (content_hash, text) to (content_hash, bands)."""
    rows = texts.select("content_hash", "text")
    return rows.mapInArrow(near_batches.bands_of_texts(by), near_batches.BANDS_DDL)


def candidate_pairs(bands: DataFrame) -> DataFrame:
    """Pairs of texts that share a band, each once, with `part`.

    A text is paired with the first texts of each of its bands alone, so that pairs grow as texts
    do, whatever the size of a band. No task holds more than a batch of a band.
    """
    rows = bands.select(F.explode("bands").alias("band"), "content_hash")
    ordered = rows.repartition("band").sortWithinPartitions("band", "content_hash")
    pairs = ordered.mapInArrow(near_batches.pairs_of_bands, near_batches.PAIRS_DDL)
    return pairs.groupBy(*PAIR).agg(F.min("part").alias("part"))


def pair_similarities(
    pairs: DataFrame, texts: DataFrame, documents: DataFrame, words: int
) -> DataFrame:
    """The Jaccard similarity of each of `candidate_pairs`; `texts` are (content_hash, doc_id), one
    for each text, `documents` (doc_id, text).

    An `earlier` text is read once for each part of its pairs, a `later` one once for each pair.
    """
    own = pairs.select("earlier", "part", F.lit(None).cast("binary").alias("later")).distinct()
    rows = own.unionByName(pairs.select("earlier", "part", "later"))
    rows = rows.withColumn("content_hash", F.coalesce("later", "earlier"))
    rows = rows.join(texts.select("content_hash", "doc_id"), on="content_hash", how="inner")
    rows = rows.join(documents.select("doc_id", "text"), on="doc_id", how="inner")
    rows = rows.select("earlier", "part", "later", "text")
    ordered = rows.repartition("earlier", "part").sortWithinPartitions(
        "earlier", "part", F.asc_nulls_first("later")
    )
    compared = near_batches.similarities(words)
    return ordered.mapInArrow(compared, near_batches.SIMILARITIES_DDL)
