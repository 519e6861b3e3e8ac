"""Samples of documents, the same at any partitioning; texts cut before they travel."""

from pyspark.sql import Column, DataFrame, Window, functions as F

HASH_RANGE = 2**32
_HALVINGS = 32


def pieces_column(text: Column, piece: int | None) -> Column:
    """What a student looks at of a text, cut before it travels: three pieces of so many characters,
    as `configs.pieces` has them; None is all of it."""
    if piece is None:
        return text
    length = F.length(text)
    middle = F.floor((length - piece) / 2).cast("int") + 1
    parts = (
        F.substring(text, 1, piece),
        text.substr(middle, F.lit(piece)),
        F.right(text, F.lit(piece)),
    )
    return F.when(length > 3 * piece, F.concat(*parts)).otherwise(text)


def sample(
    documents: DataFrame,
    each: int,
    seed: int,
    key: str = "source",
    per_domain: int | None = None,
    at_least: int = 0,
) -> DataFrame:
    """`each` documents of every value of `key` (all where it has fewer), the same at any
    partitioning: those with the smallest hash of (doc_id, seed).

    `per_domain` keeps at most so many of one (key, domain); documents without a domain are not
    capped. Where that leaves fewer than `at_least` (at most `each`) of a key that has more, so many
    are taken, those of the least exceeded domains. A first cut by hash leaves some ten times too
    many, so that only those are sorted.
    """
    draw = F.pmod(F.xxhash64("doc_id", F.lit(seed).cast("bigint")), F.lit(HASH_RANGE))
    parts = [key] if per_domain is None else [key, "domain"]
    sizes = documents.groupBy(*parts).agg(F.count("*").alias("size"))
    rough = documents.withColumn("draw", draw)
    order = [F.col("draw"), F.col("doc_id")]
    if per_domain is None:
        rough = _below(rough, first_cut(sizes, key, each), [key])
    else:
        of_key = first_cut(sizes, key, each, per_domain)
        rough = _below(rough, of_key, [key])
        most = max(per_domain, at_least)
        rough = _below(rough, domain_cut(sizes, of_key, key, most), parts)
        within = Window.partitionBy(*parts).orderBy(*order)
        beyond = F.greatest(F.row_number().over(within) - per_domain, F.lit(0))
        beyond = F.when(F.col("domain").isNull(), 0).otherwise(beyond)
        rough = rough.withColumn("beyond", beyond).filter(F.col("beyond") <= most - per_domain)
        order = [F.col("beyond"), *order]
    place = F.row_number().over(Window.partitionBy(key).orderBy(*order))
    is_taken = F.col("place") <= each
    if per_domain is not None:
        is_taken &= (F.col("beyond") == 0) | (F.col("place") <= at_least)
    return rough.withColumn("place", place).filter(is_taken).drop("draw", "beyond", "place")


def _below(rows: DataFrame, cut: DataFrame, by: list[str]) -> DataFrame:
    """The rows whose `draw` is below what `cut` has for them; all where it has nothing."""
    rows = rows.join(F.broadcast(cut), on=by, how="left")
    return rows.filter(F.col("below").isNull() | (F.col("draw") < F.col("below"))).drop("below")


def first_cut(sizes: DataFrame, key: str, each: int, per_domain: int | None = None) -> DataFrame:
    """`below` for every `key`: of documents with a smaller draw, `enough` to take `each` from are
    expected to be left after the cap per domain. Null: all are needed.

    `sizes` counts the documents of every key, with `per_domain` of every (key, domain). The draws
    are tried that are the whole range halved so and so often, the smallest first.
    """
    expected = []
    for halvings in range(_HALVINGS, 0, -1):
        part: Column = F.col("size") / F.lit(float(2**halvings))
        if per_domain is not None:
            capped = F.least(part, F.lit(float(per_domain)))
            part = F.when(F.col("domain").isNull(), part).otherwise(capped)
        is_enough = F.sum(part) >= _enough(each)
        expected.append(F.when(is_enough, F.lit(HASH_RANGE >> halvings).cast("bigint")))
    return sizes.groupBy(key).agg(F.coalesce(*expected).alias("below"))


def domain_cut(sizes: DataFrame, of_key: DataFrame, key: str, per_domain: int) -> DataFrame:
    """`below` for every (key, domain) of which the cut of its key leaves many times the cap: at
    most `enough` for the key's sample divided by the cap, so few enough to be broadcast."""
    below = F.coalesce("below", F.lit(HASH_RANGE).cast("bigint"))
    lower = F.ceil(_enough(per_domain) * HASH_RANGE / F.col("size"))
    large = sizes.filter(F.col("domain").isNotNull()).join(F.broadcast(of_key), on=key)
    return large.filter(lower < below).select(key, "domain", lower.alias("below"))


def _enough(wanted: int) -> float:
    """So many documents are expected below a cut that fewer than `wanted` never are."""
    return 8.0 * wanted + 100
