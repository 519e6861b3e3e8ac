"""From whatever rows the user has to `documents` and `rejected_documents`, and samples of them."""

import re
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from mira_spark.columns import BUCKETS
from mira_spark.errors import ConfigError, InputError, joined
from mira_spark.prompts import CHARACTERS_PER_TOKEN, WINDOW_MARK

HASH_RANGE = 2**32
TABLE_NAME = re.compile(r"^[A-Za-z_]\w{0,127}(\.[A-Za-z_]\w{0,127}){0,2}$", re.ASCII)


Input = Literal["python_environment", "parquet", "json", "csv", "delta", "table"]
NO_INPUT = f"corpus.input: is missing; it should be one of {', '.join(get_args(Input))}"


class ColumnMapping(BaseModel):
    """The input's column for each of ours; None where it has none. Others go into metadata."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    doc_id: str | None = None
    source: str | None = "source"
    text: str = "text"
    domain: str | None = None
    license: str | None = None
    sendable: str | None = None


OWN_COLUMNS = ColumnMapping(
    doc_id="doc_id", domain="domain", license="license", sendable="sendable"
)
"""The mapping of an input that has our columns already, as python_environment does."""


class CorpusSettings(BaseModel):
    """What `ingest_corpus` reads; with `input` None there is nothing it could. `max_*_per_source`
    bound the python_environment input alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Input | None = None
    path: str | None = None
    source: str | None = None
    columns: ColumnMapping = ColumnMapping()
    max_document_bytes: int = Field(33_554_432, ge=1, le=1_073_741_824)
    tokenizer: str = "bytes4"
    max_documents_per_source: int = Field(12_000, ge=1)
    max_bytes_per_source: int = Field(18_000_000, ge=1)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.input == "python_environment" and self.path is not None:
            raise ValueError("path is not for python_environment: name the kind of its files")
        if self.input in get_args(Input)[1:] and not self.path:
            raise ValueError(f"path is needed with input: {self.input} (files, or a table's name)")
        if self.input == "table" and not TABLE_NAME.match(self.path or ""):
            raise ValueError("path should be a table's name: table, schema.table or with a catalog")
        if self.source is None and self.columns.source is None:
            raise ValueError("source (a constant) or columns.source (a column) is needed")
        return self


def named_input(settings: CorpusSettings) -> Input:
    """What is to be read; ConfigError when the settings do not name it."""
    if settings.input is None:
        raise ConfigError(NO_INPUT)
    return settings.input


def missing_columns(settings: CorpusSettings, found: list[str]) -> None:
    """Raise InputError naming every mapped column the input does not have."""
    mapped = settings.columns.model_dump()
    if settings.source is not None:
        mapped.pop("source")
    problems = [
        f"corpus.columns.{ours}: the input has no column {theirs}; it has: {', '.join(found)}"
        for ours, theirs in mapped.items()
        if theirs is not None and theirs not in found
    ]
    if problems:
        raise InputError(joined(problems))


def mapped(raw: DataFrame, settings: CorpusSettings) -> DataFrame:
    """The input in our columns, one row per input row: text valid UTF-8, ids and hashes computed.

    `reason` says why a row may not come in (empty, too_large, no_source), `beginning` how its text
    begins; both are null for the others.
    """
    m = settings.columns
    taken = {c for c in (m.doc_id, m.text, m.domain, m.license, m.sendable) if c}
    taken |= {m.source} if settings.source is None and m.source else set()
    rest = [c for c in raw.columns if c not in taken]
    source = F.lit(settings.source) if settings.source is not None else F.col(m.source or "source")
    text = F.col(m.text).cast("string")
    named = raw.select(
        F.nullif(_optional(m.doc_id), F.lit("")).alias("doc_id"),
        F.nullif(F.trim(source.cast("string")), F.lit("")).alias("source"),
        F.make_valid_utf8(text).alias("text"),
        (~F.is_valid_utf8(text)).alias("repaired"),
        _optional(m.domain).alias("domain"),
        _optional(m.license).alias("license"),
        (F.col(m.sendable).cast("boolean") if m.sendable else F.lit(True)).alias("sendable"),
        _metadata(raw, rest).alias("metadata"),
    )
    computed = F.sha2(F.concat_ws("\x00", "source", "text"), 256).substr(1, 32)
    return (
        named.withColumns(
            {
                "doc_id": F.coalesce("doc_id", computed),
                "n_bytes": F.octet_length("text").cast("bigint"),
                "content_hash": F.unhex(F.sha2("text", 256).substr(1, 32)),
                # A text that nobody marked may not leave the house where a column says which may.
                "sendable": F.coalesce("sendable", F.lit(False)),
                "reason": _reason(settings.max_document_bytes),
            }
        )
        .withColumn("bucket", F.expr(f"pmod(xxhash64(doc_id), {BUCKETS})").cast("smallint"))
        .withColumn("beginning", F.when(F.col("reason").isNotNull(), _beginning()))
    )


def _reason(max_bytes: int) -> Column:
    return (
        F.when(F.col("source").isNull(), "no_source")
        .when(F.col("text").isNull() | ~F.col("text").rlike(r"\S"), "empty")
        .when(F.octet_length("text") > max_bytes, "too_large")
    )


def _beginning() -> Column:
    return F.regexp_replace(F.substring("text", 1, 200), r"[\p{Cc}\p{Cf}]", "\ufffd")


def _optional(column: str | None) -> Column:
    return F.col(column).cast("string") if column else F.lit(None).cast("string")


def _metadata(raw: DataFrame, rest: list[str]) -> Column:
    """The other columns as strings; a map column called metadata is taken over as it is."""
    kinds = dict(raw.dtypes)
    if rest == ["metadata"] and kinds["metadata"] == "map<string,string>":
        return F.coalesce("metadata", F.create_map().cast("map<string,string>"))
    pairs = [part for c in rest for part in (F.lit(c), _as_text(c, kinds[c]))]
    return F.create_map(*pairs).cast("map<string,string>")


def _as_text(column: str, kind: str) -> Column:
    simple = not kind.startswith(("array", "map", "struct"))
    return F.col(column).cast("string") if simple else F.to_json(F.col(column))


def repeated_ids(mapped: DataFrame) -> DataFrame:
    """The doc_ids that more than one row without a reason has."""
    good = mapped.filter(F.col("reason").isNull())
    return good.groupBy("doc_id").count().filter("count > 1").select("doc_id")


def without_repeats(mapped: DataFrame, repeated: DataFrame) -> DataFrame:
    """`mapped` with the reason duplicate_id on all but one row of every repeated doc_id.

    The one with the smallest (content_hash, source) comes in. Only rows of repeated ids are
    sorted: the texts of the others are not shuffled.
    """
    good, bad = mapped.filter(F.col("reason").isNull()), mapped.filter(F.col("reason").isNotNull())
    order = Window.partitionBy("doc_id").orderBy("content_hash", "source")
    ranked = (
        good.join(repeated, on="doc_id", how="left_semi")
        .withColumn("place", F.row_number().over(order))
        .withColumn("reason", F.when(F.col("place") > 1, F.lit("duplicate_id")))
        .drop("place")
    )
    single = good.join(repeated, on="doc_id", how="left_anti")
    return single.unionByName(ranked).unionByName(bad)


def new_or_changed(incoming: DataFrame, documents: DataFrame) -> DataFrame:
    """doc_ids of the incoming documents that `documents` lacks, or holds with another text or
    source; `changed` is true where the doc_id is there already."""
    have = documents.select(
        "doc_id", F.col("content_hash").alias("old_hash"), F.col("source").alias("old_source")
    )
    same = (F.col("content_hash") == F.col("old_hash")) & (F.col("source") == F.col("old_source"))
    return (
        incoming.join(have, on="doc_id", how="left")
        .filter(F.col("old_hash").isNull() | ~same)
        .select("doc_id", F.col("old_hash").isNotNull().alias("changed"))
    )


def looked_at(text: Column, piece: int | None) -> Column:
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


def windows_column(text: Column, window_tokens: int) -> Column:
    """What a judge sees of a text: the same cut as `prompts.windows`, made before it travels."""
    size = window_tokens * CHARACTERS_PER_TOKEN
    length = F.length(text)
    middle = F.floor((length - size) / 2).cast("int") + 1
    mark = F.lit(WINDOW_MARK)
    cut = F.concat(
        F.substring(text, 1, size),
        mark,
        text.substr(middle, F.lit(size)),
        mark,
        F.right(text, F.lit(size)),
    )
    return F.when(length <= 3 * size, text).otherwise(cut)


def sample(
    documents: DataFrame, each: int, seed: int, key: str = "source", per_domain: int | None = None
) -> DataFrame:
    """`each` documents of every value of `key` (all where it has fewer), the same at any
    partitioning: those with the smallest hash of (doc_id, seed).

    `per_domain` keeps at most so many of one (key, domain); documents without a domain are not
    capped. A first cut by hash leaves about eight times too many, so that only those are sorted.
    """
    draw = F.pmod(F.xxhash64("doc_id", F.lit(seed).cast("bigint")), F.lit(HASH_RANGE))
    sizes = documents.groupBy(key).agg(F.count("*").alias("size"))
    rough = (
        documents.withColumn("draw", draw)
        .join(F.broadcast(sizes), on=key, how="inner")
        .filter(F.col("draw") * F.col("size") < F.lit(8 * each + 100) * F.lit(HASH_RANGE))
        .drop("size")
    )
    order = [F.col("draw"), F.col("doc_id")]
    if per_domain is not None:
        within = Window.partitionBy(key, "domain").orderBy(*order)
        capped = F.col("domain").isNull() | (F.col("in_domain") <= per_domain)
        rough = rough.withColumn("in_domain", F.row_number().over(within)).filter(capped)
        rough = rough.drop("in_domain")
    place = F.row_number().over(Window.partitionBy(key).orderBy(*order))
    return rough.withColumn("place", place).filter(F.col("place") <= each).drop("draw", "place")
