"""Users' tables in a selection: documents that are never selected, and scores to select by.

Their keys and values are brought to the types of ours; what cannot be is one InputError that names
the table, the column and its type.
"""

from pyspark.sql import Column, DataFrame, SparkSession, functions as F
from pyspark.sql.types import (
    BinaryType,
    DataType,
    DecimalType,
    IntegralType,
    NumericType,
    StringType,
)

from mira_spark.errors import InputError
from mira_spark.lake.inputs import user_table
from mira_spark.settings.selection import Exclusion, ScoreColumn

HASH = "a hash of 16 bytes, as binary or as 32 hex digits"
_HEX = "^[0-9a-fA-F]{32}$"


def exclusions(spark: SparkSession, chosen: Exclusion) -> DataFrame:
    """One column, `chosen.by`: each doc_id or content_hash that the table names, once, no null.

    InputError for a type that is neither, or values that are no hash.
    """
    rows = user_table(spark, chosen.table, [chosen.by])
    if chosen.by == "doc_id":
        keys = rows.select(_doc_id(rows, chosen.table).alias("doc_id"))
    else:
        keys = rows.select(_content_hash(rows, chosen.table).alias("content_hash"))
    return keys.filter(F.col(chosen.by).isNotNull()).distinct()


def scores(spark: SparkSession, chosen: ScoreColumn) -> DataFrame:
    """doc_id and `given`, a double: one row for each document that the table gives a value.

    InputError for a column of another type than numbers, or a doc_id in several rows.
    """
    rows = user_table(spark, chosen.table, ["doc_id", chosen.column])
    kind = rows.schema[chosen.column].dataType
    if not isinstance(kind, NumericType):
        raise _unlike(chosen.table, chosen.column, kind, "a number")
    value = F.col(chosen.column).cast("double").alias("given")
    found = rows.select(_doc_id(rows, chosen.table).alias("doc_id"), value)
    found = found.filter("doc_id IS NOT NULL")
    repeated = found.groupBy("doc_id").count().filter("count > 1")
    ids, example = repeated.agg(F.count("*"), F.min("doc_id")).collect()[0]
    if ids:
        raise InputError(
            f"{chosen.table}: {ids:,} of its doc_ids are in several rows, e.g. {example!r}; each "
            f"document should have one {chosen.column}"
        )
    return found.filter("given IS NOT NULL")


def _doc_id(rows: DataFrame, table: str) -> Column:
    kind = rows.schema["doc_id"].dataType
    if isinstance(kind, StringType | IntegralType):
        return F.col("doc_id").cast("string")
    if isinstance(kind, DecimalType) and kind.scale == 0:
        return F.col("doc_id").cast("string")
    raise _unlike(table, "doc_id", kind, "a string or a whole number")


def _content_hash(rows: DataFrame, table: str) -> Column:
    kind, given = rows.schema["content_hash"].dataType, F.col("content_hash")
    if isinstance(kind, StringType):
        is_hash, found = given.rlike(_HEX), F.unhex(F.when(given.rlike(_HEX), given))
    elif isinstance(kind, BinaryType):
        is_hash, found = F.octet_length(given) == 16, given
    else:
        raise _unlike(table, "content_hash", kind, HASH)
    bad = rows.filter(~is_hash).agg(F.count("*"), F.min(given)).collect()[0]
    if bad[0]:
        example = bad[1] if isinstance(bad[1], str) else bytes(bad[1]).hex()
        raise InputError(
            f"{table}: {bad[0]:,} values of content_hash are not {HASH}, e.g. {example[:80]!r}"
        )
    return found


def _unlike(table: str, column: str, kind: DataType, wanted: str) -> InputError:
    return InputError(f"{table}: column {column} is {kind.simpleString()}, should be {wanted}")
