"""From whatever rows the user has to `documents` and `rejected_documents`."""

from collections.abc import Mapping
from functools import reduce
from operator import and_

from pyspark.sql import Column, DataFrame, Window, functions as F

from mira_spark.errors import ConfigError, InputError, joined
from mira_spark.lake.columns import BUCKETS
from mira_spark.lake.inputs import FILE, OF_LINES, UNREADABLE_COLUMN
from mira_spark.settings.corpus import NO_INPUT, ColumnMapping, CorpusSettings, Input

_NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")


def named_input(settings: CorpusSettings) -> Input:
    """What is to be read; ConfigError when the settings do not name it."""
    if settings.input is None:
        raise ConfigError(NO_INPUT)
    return settings.input


def check_columns(settings: CorpusSettings, columns: list[str]) -> None:
    """Raise InputError naming every mapped column the input does not have."""
    mapped = settings.columns.model_dump()
    if settings.source is not None:
        mapped.pop("source")
    has = ", ".join(c for c in columns if c not in OF_LINES)
    problems = [
        f"corpus.columns.{ours}: the input has no column {theirs}; it has: {has or 'none'}"
        for ours, theirs in mapped.items()
        if theirs is not None and theirs not in columns
    ]
    if problems:
        raise InputError(joined(problems))


def in_our_columns(raw: DataFrame, settings: CorpusSettings) -> DataFrame:
    """The input in our columns, one row per input row: text valid UTF-8, ids and hashes computed.

    `reason` says why a row may not come in (unreadable, empty, too_large, no_source), `beginning`
    how its text begins, `file` where an unreadable one stands; they are null for the others.
    `described` is a digest of domain and metadata, `unclear` whether `sendable` is no boolean.
    """
    computed = F.sha2(F.concat_ws("\x00", "source", "text"), 256).substr(1, 32)
    return (
        _our_columns(raw, settings)
        .withColumns(
            {
                "doc_id": F.coalesce("doc_id", computed),
                "n_bytes": F.octet_length("text").cast("bigint"),
                "content_hash": F.unhex(F.sha2("text", 256).substr(1, 32)),
                "described": _metadata_digest(settings.columns.domain is not None),
                "reason": _reason(settings.max_document_bytes),
            }
        )
        .withColumn("bucket", F.expr(f"pmod(xxhash64(doc_id), {BUCKETS})").cast("smallint"))
        .withColumn("beginning", F.when(F.col("reason").isNotNull(), _text_beginning()))
        .withColumn("file", F.when(F.col("unreadable"), F.col("file")))
        .drop("unreadable")
    )


def _our_columns(raw: DataFrame, settings: CorpusSettings) -> DataFrame:
    """The user's columns under our names; those not mapped are `metadata`."""
    m = settings.columns
    kinds = dict(raw.dtypes)
    taken = {c for c in (m.doc_id, m.text, m.domain, m.license, m.sendable, *OF_LINES) if c}
    taken |= {m.source} if settings.source is None and m.source else set()
    rest = [c for c in raw.columns if c not in taken]
    source = F.lit(settings.source) if settings.source is not None else _as_string(m.source)
    unreadable = (
        column(UNREADABLE_COLUMN) if UNREADABLE_COLUMN in kinds else F.lit(None).cast("string")
    )
    text = F.coalesce(_as_string(m.text), unreadable)
    sendable = _boolean(m.sendable, kinds[m.sendable]) if m.sendable else F.lit(True)
    return raw.select(
        F.nullif(_as_string(m.doc_id), F.lit("")).alias("doc_id"),
        F.nullif(F.trim(source), F.lit("")).alias("source"),
        F.make_valid_utf8(text).alias("text"),
        (~F.is_valid_utf8(text)).alias("repaired"),
        _as_string(m.domain).alias("domain"),
        _as_string(m.license).alias("license"),
        # A text that nobody marked may not leave the house where a column says which may.
        F.coalesce(sendable, F.lit(False)).alias("sendable"),
        (_as_string(m.sendable).isNotNull() & sendable.isNull()).alias("unclear"),
        _metadata(rest, kinds).alias("metadata"),
        unreadable.isNotNull().alias("unreadable"),
        _as_string(FILE if FILE in kinds else None).alias("file"),
    )


def column(name: str) -> Column:
    """A user's column, whatever its name holds."""
    return F.col(quoted(name))


def quoted(name: str) -> str:
    """The name as one part of an identifier of Spark's."""
    return "`" + name.replace("`", "``") + "`"


def _metadata_digest(has_domain: bool) -> Column:
    entries = F.sort_array(F.map_entries("metadata")).alias("metadata")
    return F.sha2(F.to_json(F.struct(entries, *["domain"] * has_domain)), 256)


def _reason(max_bytes: int) -> Column:
    return (
        F.when(F.col("unreadable"), "unreadable")
        .when(F.col("source").isNull(), "no_source")
        .when(F.col("text").isNull() | ~F.col("text").rlike(r"\S"), "empty")
        .when(F.octet_length("text") > max_bytes, "too_large")
    )


def _text_beginning() -> Column:
    return F.regexp_replace(F.substring("text", 1, 200), r"[\p{Cc}\p{Cf}]", "\ufffd")


def _as_string(name: str | None) -> Column:
    return column(name).try_cast("string") if name else F.lit(None).cast("string")


def _boolean(name: str, kind: str) -> Column:
    """Null where the value is no boolean: of numbers 0 and 1 are, of texts what Spark takes."""
    value = column(name)
    if kind == "boolean":
        return value
    if kind.startswith(_NUMBERS):
        return F.when(value == 1, True).when(value == 0, False)
    return value.try_cast("string").try_cast("boolean")


def _metadata(rest: list[str], kinds: Mapping[str, str]) -> Column:
    """The other columns as strings; a map column called metadata is taken over as it is."""
    if rest == ["metadata"] and kinds["metadata"] == "map<string,string>":
        return F.coalesce("metadata", F.create_map().cast("map<string,string>"))
    pairs = [part for c in rest for part in (F.lit(c), _as_text(c, kinds[c]))]
    return F.create_map(*pairs).cast("map<string,string>")


def _as_text(name: str, kind: str) -> Column:
    simple = not kind.startswith(("array", "map", "struct"))
    return _as_string(name) if simple else F.to_json(column(name))


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
    order = of_id.orderBy(F.col("reason").isNotNull(), "content_hash", "source", "described")
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


def new_or_changed(incoming: DataFrame, documents: DataFrame, columns: ColumnMapping) -> DataFrame:
    """doc_ids of the incoming documents that `documents` lacks, or holds with another text, source
    or other value of a column that the mapping names, or other metadata.

    `changed` is true where the doc_id is there already; `known_tokens` are those of the same text.
    """
    have = documents.withColumn("described", _metadata_digest(columns.domain is not None))
    names = ("content_hash", "source", "license", "sendable", "described")
    compared = [c for c in names if c not in columns.not_given]
    old = (F.col(c).alias(f"old_{c}") for c in compared)
    have = have.select("doc_id", *old, F.col("n_tokens").alias("old_tokens"))
    same = reduce(and_, (F.col(c).eqNullSafe(F.col(f"old_{c}")) for c in compared))
    same_text = F.col("content_hash") == F.col("old_content_hash")
    return (
        incoming.join(have, on="doc_id", how="left")
        .filter(F.col("old_content_hash").isNull() | ~same)
        .withColumn("changed", F.col("old_content_hash").isNotNull())
        .withColumn("known_tokens", F.when(same_text, F.col("old_tokens")))
    )


def revoked(rejected: DataFrame, documents: DataFrame) -> DataFrame:
    """The documents that may be sent, and of which a rejected row of the input says they may not;
    now without that leave. A row without a usable text still says whether it may be sent."""
    says_no = rejected.filter(~F.col("sendable")).select("doc_id").distinct()
    found = documents.filter("sendable").join(says_no, on="doc_id", how="left_semi")
    return found.withColumn("sendable", F.lit(False))
