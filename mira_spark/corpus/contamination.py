"""Which documents hold items of an evaluation: exact, in one pass over the texts.

The n-grams of documents that may be of an item, by a filter made of all items' n-grams that travels
to the executors, are joined with the items' by their words: broadcast where those are few, else by
sorting and merging. Which pairs of a document and an item are looked at is bounded by prefix
filtering (Chaudhuri, Ganti and Kaushik 2006): a document that holds enough of an item's n-grams
holds at least one of its rarest, so that n-grams of many short items bring no pairs by themselves.
"""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame, Window, functions as F

from mira_spark.corpus.ngram_batches import (
    DOCUMENT,
    DOCUMENT_NGRAMS,
    ITEM,
    ITEM_NGRAMS,
    document_ngrams,
    item_ngrams,
)
from mira_spark.settings.evaluation import EvaluationSettings

MOST_ITEMS = 100
"""Of one set and document at most so many items have a row."""
MOST_BROADCAST = 32 << 20
"""Bytes of items' n-grams that are broadcast; of more they are sorted and merged."""
_ROW_BYTES = 100
_FEWEST_PLACES, _MOST_PLACES = 1 << 10, 1 << 23
_NGRAMS_A_PLACE = 2
FOUND = (*DOCUMENT, *ITEM, "position", "matches", "share", "items")


def ngrams_of_items(items: DataFrame, settings: EvaluationSettings) -> DataFrame:
    """The distinct n-grams of items, rows of ITEM and `text`: a row for each item and n-gram.

    `ngrams` is how many the item has, `needed` how many of them a document must hold, `place` the
    n-gram's from 1 among them, those first that the fewest items have.
    """
    produce = partial(
        item_ngrams,
        words=settings.words,
        short_words=settings.short_words,
        share=settings.least_share,
    )
    rows = items.select(*ITEM, "text").mapInArrow(produce, ITEM_NGRAMS)
    rows = rows.withColumn("having", F.count("*").over(Window.partitionBy("ngram")))
    rarest_first = Window.partitionBy(*ITEM).orderBy("having", "ngram")
    return rows.withColumn("place", F.row_number().over(rarest_first)).drop("having")


class Sizes(NamedTuple):
    """What `ngrams_of_items` has of a set: items, n-grams of them, and about how many bytes."""

    items: int
    ngrams: int
    n_bytes: int

    @property
    def are_few(self) -> bool:
        """Whether they are broadcast."""
        return self.n_bytes <= MOST_BROADCAST


def sizes_by_set(ngrams: DataFrame) -> dict[str, Sizes]:
    """Of each set with an item that is looked for."""
    sums = ngrams.groupBy("item_set").agg(
        F.count_distinct("item_column", "item_id").alias("items"),
        F.count("*").alias("ngrams"),
        F.sum(F.octet_length("ngram") + _ROW_BYTES).alias("n_bytes"),
    )
    return {name: Sizes(*numbers) for name, *numbers in sums.collect()}


def summed(sizes: Iterable[Sizes]) -> Sizes:
    """Of several sets together."""
    return Sizes(*map(sum, zip(*sizes, strict=True)))


def ngram_filter(ngrams: DataFrame, count: int) -> npt.NDArray[np.int64]:
    """The filter that the n-grams of items, so many, pass, and hardly others: as
    `ngrams.filter_bits` says."""
    wanted = count // _NGRAMS_A_PLACE
    size = min(max(_FEWEST_PLACES, 1 << wanted.bit_length()), _MOST_PLACES)
    place = F.col("hash").bitwiseAND(F.lit(size - 1).cast("bigint")).alias("place")
    filled = ngrams.groupBy(place).agg(F.bit_or("bits").alias("bits")).toArrow()
    passing = np.zeros(size, np.int64)
    passing[filled["place"].to_numpy()] = filled["bits"].to_numpy()
    return passing


def ngrams_of_documents(
    documents: DataFrame, settings: EvaluationSettings, passing: npt.NDArray[np.int64]
) -> DataFrame:
    """The distinct n-grams of documents that pass the filter, with the character of the text at
    which the first of each begins: DOCUMENT, `ngram` and `position`."""
    sizes = sorted({settings.words, settings.short_words})
    produce = partial(document_ngrams, sizes=sizes, passing=passing)
    return documents.select(*DOCUMENT, "text").mapInArrow(produce, DOCUMENT_NGRAMS)


def contaminated_documents(of_documents: DataFrame, of_items: DataFrame, few: bool) -> DataFrame:
    """FOUND, a row for each document and item it is contaminated by: where the first of the item's
    n-grams begins, how many it holds, the share of the item's, and how many items of the set it
    holds; of those the MOST_ITEMS of the largest share have a row.

    `of_documents` are `ngrams_of_documents`, `of_items` are `ngrams_of_items`; `few` of them are
    broadcast.
    """
    of_items = F.broadcast(of_items) if few else of_items.hint("merge")
    rarest = of_items.filter("place <= ngrams - needed + 1").select(*ITEM, "ngram")
    pairs = of_documents.join(rarest, on="ngram").select(*DOCUMENT, *ITEM).distinct()
    matches = pairs.join(of_items, on=[*ITEM]).join(of_documents, on=[*DOCUMENT, "ngram"])
    counted = matches.groupBy(*DOCUMENT, *ITEM).agg(
        F.min("position").alias("position"),
        F.count_distinct("ngram").cast("int").alias("matches"),
        F.first("ngrams").alias("ngrams"),
        F.first("needed").alias("needed"),
    )
    share = F.col("matches") / F.col("ngrams")
    found = counted.filter("matches >= needed").withColumn("share", share)
    of_set = Window.partitionBy(*DOCUMENT, "item_set")
    largest_first = of_set.orderBy(F.desc("share"), "item_column", "item_id")
    found = found.withColumn("items", F.count("*").over(of_set).cast("int"))
    ranked = found.withColumn("rank", F.row_number().over(largest_first))
    return ranked.filter(F.col("rank") <= MOST_ITEMS).select(*FOUND)
