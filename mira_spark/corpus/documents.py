"""From whatever rows the user has to `documents` and `rejected_documents`."""

from collections.abc import Collection, Mapping
from functools import reduce
from operator import and_

from pyspark.sql import Column, DataFrame, Window, functions as F

from mira_spark.corpus.conversation_column import with_messages
from mira_spark.lake.columns import BUCKETS
from mira_spark.settings.corpus import KeepMessages

NO_DOCUMENT = ("filtered", "over_cap")
"""Reasons of rows that nobody asked for; all other reasons are rejections."""
_OPTIONAL = ("domain", "license", "sendable")
"""Columns that an input need not have: a known document keeps its own."""


def in_our_columns(
    rows: DataFrame, max_bytes: int, keep_messages: KeepMessages = "metadata"
) -> DataFrame:
    """Rows of `read_input` in our columns, one for each: text valid UTF-8, ids and hashes computed.

    `reason` says why a row is no document (filtered, unreadable, not_text, not_messages, empty,
    too_large, no_source), `beginning` how its text begins, `file` and `line` where one that is no
    record stands; they are null for the others. `read_from` is the file of every row, null for
    tables. `described` is a digest of metadata and messages, `described_domain` of these and the
    domain, `unclear` whether `sendable` is no boolean.
    """
    computed = F.sha2(F.concat_ws("\x00", "source", "text"), 256).substr(1, 32)
    is_no_record = F.col("reason").isin("unreadable", "not_text", "not_messages")
    if keep_messages == "metadata":
        kept = {"metadata": with_messages(F.col("metadata"), F.col("messages"))}
        kept["messages"] = F.lit(None).cast("string")
    else:
        kept = {}
    return (
        _valid_columns(rows)
        .withColumns(kept)
        .withColumns(
            {
                "doc_id": F.coalesce("doc_id", computed),
                "n_bytes": F.octet_length("text").cast("bigint"),
                "content_hash": F.unhex(F.sha2("text", 256).substr(1, 32)),
                "described": _metadata_digest(False),
                "described_domain": _metadata_digest(True),
                "reason": _reason(max_bytes),
            }
        )
        .withColumn("bucket", F.expr(f"pmod(xxhash64(doc_id), {BUCKETS})").cast("smallint"))
        .withColumn("beginning", F.when(F.col("reason").isNotNull(), _text_beginning()))
        .withColumn("read_from", F.col("file"))
        .withColumns({name: F.when(is_no_record, F.col(name)) for name in ("file", "line")})
        .drop("unreadable", "not_text", "not_messages", "kept")
    )


def _valid_columns(rows: DataFrame) -> DataFrame:
    """Every text valid UTF-8. A text is mended, and marked; an id or a source is told apart by its
    bytes, so that a row where one is not valid is not_text."""
    text = F.coalesce("text", "messages", "unreadable")
    sendable = F.coalesce(
        F.col("sendable").try_cast("boolean"), _zero_or_one(F.col("sendable").try_cast("double"))
    )
    messages = F.coalesce("messages", F.lit(""))
    broken = [~F.is_valid_utf8(F.coalesce(name, F.lit(""))) for name in ("doc_id", "source")]
    return rows.select(
        "input",
        F.nullif(F.make_valid_utf8("doc_id"), F.lit("")).alias("doc_id"),
        F.nullif(F.trim(F.make_valid_utf8("source")), F.lit("")).alias("source"),
        F.make_valid_utf8(text).alias("text"),
        F.make_valid_utf8("messages").alias("messages"),
        (~F.is_valid_utf8(text) | ~F.is_valid_utf8(messages)).alias("repaired"),
        F.make_valid_utf8("domain").alias("domain"),
        F.make_valid_utf8("license").alias("license"),
        # A text that nobody marked may not leave the house where a column says which may.
        F.coalesce(sendable, F.lit(False)).alias("sendable"),
        (F.col("sendable").isNotNull() & sendable.isNull()).alias("unclear"),
        F.transform_values("metadata", lambda _, value: F.make_valid_utf8(value)).alias("metadata"),
        "unreadable",
        (F.col("nested") | broken[0] | broken[1]).alias("not_text"),
        (F.col("messages").isNotNull() & F.col("text").isNull()).alias("not_messages"),
        "kept",
        "file",
        "line",
    )


def _zero_or_one(number: Column) -> Column:
    return F.when(number == 1, True).when(number == 0, False)


def _metadata_digest(has_domain: bool) -> Column:
    entries = F.sort_array(F.map_entries("metadata")).alias("metadata")
    return F.sha2(F.to_json(F.struct(entries, "messages", *["domain"] * has_domain)), 256)


def _reason(max_bytes: int) -> Column:
    return (
        F.when(F.col("unreadable").isNotNull(), "unreadable")
        .when(~F.col("kept"), "filtered")
        .when(F.col("not_text"), "not_text")
        .when(F.col("not_messages"), "not_messages")
        .when(F.col("source").isNull(), "no_source")
        .when(F.col("text").isNull() | ~F.col("text").rlike(r"\S"), "empty")
        .when(F.octet_length("text") > max_bytes, "too_large")
    )


def _text_beginning() -> Column:
    return F.regexp_replace(F.substring("text", 1, 200), r"[\p{Cc}\p{Cf}]", "\ufffd")


def over_cap(keys: DataFrame, name: str, cap: int) -> Column | None:
    """A condition that holds for all documents of an input but the `cap` with the smallest hash of
    their ids; None where it has no more."""
    is_good = (F.col("input") == name) & F.col("reason").isNull()
    places = keys.filter(is_good).select(_cap_place().alias("place"), "doc_id").distinct()
    over = places.orderBy("place", "doc_id").offset(cap).limit(1).collect()
    if not over:
        return None
    first_over = F.struct(F.lit(over[0]["place"]), F.lit(over[0]["doc_id"]))
    return is_good & (F.struct(_cap_place(), F.col("doc_id")) >= first_over)


def _cap_place() -> Column:
    return F.xxhash64("doc_id", F.lit("cap"))


def without_over_cap(mapped: DataFrame, conditions: Collection[Column]) -> DataFrame:
    """With the reason over_cap where one of the conditions holds."""
    for condition in conditions:
        reason = F.when(condition, F.lit("over_cap")).otherwise(F.col("reason"))
        mapped = mapped.withColumn("reason", reason)
    return mapped


def repeated_ids(mapped: DataFrame) -> DataFrame:
    """The doc_ids of rows without a reason that more than one row has."""
    counts = mapped.groupBy("doc_id").agg(
        F.count("*").alias("rows"), F.count_if(F.col("reason").isNull()).alias("good")
    )
    return counts.filter("rows > 1 AND good > 0").select("doc_id")


def without_repeats(mapped: DataFrame, repeated: DataFrame) -> DataFrame:
    """`in_our_columns` with the reason duplicate_id on all but one row of every repeated doc_id.

    The one with the smallest (content_hash, source, described) comes in; it may be sent where all
    may, and has a licence where all have the same. Only rows of repeated ids are sorted: the texts
    of the others are not shuffled.
    """
    of_id = Window.partitionBy("doc_id")
    order = of_id.orderBy(F.col("reason").isNotNull(), "content_hash", "source", "described_domain")
    is_first = F.row_number().over(order) == 1
    alike = F.min("license").over(of_id).eqNullSafe(F.max("license").over(of_id))
    alike &= F.count("license").over(of_id) == F.count("*").over(of_id)
    ranked = mapped.join(repeated, on="doc_id", how="left_semi").withColumns(
        {
            "reason": F.coalesce("reason", F.when(~is_first, F.lit("duplicate_id"))),
            "sendable": F.min("sendable").over(of_id),
            "license": F.when(alike, F.col("license")),
        }
    )
    return mapped.join(repeated, on="doc_id", how="left_anti").unionByName(ranked)


def new_or_changed(
    incoming: DataFrame, documents: DataFrame, not_given: Mapping[str, Collection[str]]
) -> DataFrame:
    """The keys of the incoming documents that `documents` lacks, or holds with another text, source
    or other value of a column that their input gives, or other metadata. `not_given` has the inputs
    that do not give a column.

    `changed` is true where the doc_id is there already; `known_tokens` are those of the same text,
    `known_<column>` what it has of domain, license and sendable.
    """
    have = documents.withColumns(
        {"described": _metadata_digest(False), "described_domain": _metadata_digest(True)}
    )
    compared = ("content_hash", "source", "license", "sendable", "described", "described_domain")
    old = [F.col(c).alias(f"old_{c}") for c in compared]
    known = [F.col(c).alias(f"known_{c}") for c in _OPTIONAL]
    have = have.select("doc_id", *old, *known, F.col("n_tokens").alias("old_tokens"))
    given = {c: is_given(c, not_given) for c in _OPTIONAL}
    matters = {"license": given["license"], "sendable": given["sendable"],
               "described_domain": given["domain"]}  # fmt: skip
    same = reduce(
        and_,
        (F.col(c).eqNullSafe(F.col(f"old_{c}")) | ~matters.get(c, F.lit(True)) for c in compared),
    )
    same_text = F.col("content_hash") == F.col("old_content_hash")
    return (
        incoming.join(have, on="doc_id", how="left")
        .filter(F.col("old_content_hash").isNull() | ~same)
        .withColumn("changed", F.col("old_content_hash").isNotNull())
        .withColumn("known_tokens", F.when(same_text, F.col("old_tokens")))
    )


def is_given(column: str, not_given: Mapping[str, Collection[str]]) -> Column:
    """Whether the input of a row gives a column."""
    return ~F.col("input").isin(sorted(not_given.get(column, ())))


def with_known_columns(accepted: DataFrame, not_given: Mapping[str, Collection[str]]) -> DataFrame:
    """With what `new_or_changed` says that a known document has, where its input does not say."""
    columns = {}
    for name in _OPTIONAL:
        keeps = F.col("changed") & ~is_given(name, not_given)
        columns[name] = F.when(keeps, F.col(f"known_{name}")).otherwise(F.col(name))
    return accepted.withColumns(columns)


def revoked(rejected: DataFrame, documents: DataFrame) -> DataFrame:
    """The documents that may be sent, and of which a rejected row of the input says they may not;
    now without that leave. A row without a usable text still says whether it may be sent."""
    says_no = rejected.filter(~F.col("sendable")).select("doc_id").distinct()
    found = documents.filter("sendable").join(says_no, on="doc_id", how="left_semi")
    return found.withColumn("sendable", F.lit(False))
