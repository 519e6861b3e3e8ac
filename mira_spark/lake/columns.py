"""What the tables are made of: columns with meaning, unit and range."""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

STRING, LONG, INT, SHORT = StringType(), LongType(), IntegerType(), ShortType()
DOUBLE, FLOAT, BOOLEAN, BINARY = DoubleType(), FloatType(), BooleanType(), BinaryType()
TIMESTAMP, STRING_MAP = TimestampType(), MapType(StringType(), StringType())

BUCKETS = 1024


@dataclass(frozen=True)
class Table:
    """A table's grain and columns; `clustered_by` only names columns that carry statistics, `key`
    are the columns that name a row, empty where no append is ever made again."""

    comment: str
    columns: StructType
    key: tuple[str, ...] = ()
    clustered_by: tuple[str, ...] = ()
    statistics: tuple[str, ...] = ()


def columns(*rows: tuple[str, DataType, str] | tuple[str, DataType, str, bool]) -> StructType:
    """A table's schema of (name, type, comment) each, with `NULL` behind where it may be null."""
    fields = []
    for name, kind, comment, *nullable in rows:
        fields.append(StructField(name, kind, bool(nullable), {"comment": comment}))
    return StructType(fields)


def cast(rows: DataFrame, table: Table) -> DataFrame:
    """The rows with the table's columns, in its order and of its types."""
    columns = ((field.name, field.dataType.simpleString()) for field in table.columns)
    return rows.selectExpr(*(f"CAST(`{name}` AS {kind}) AS `{name}`" for name, kind in columns))


NULL = True
"""Marks a column that may be null; all others are NOT NULL."""

DOC_ID = ("doc_id", STRING, "the caller's id, unique; else hex of SHA-256(source, NUL, text)[:16]")
SOURCE = ("source", STRING, "where the document comes from, as the caller names it")
GROUP = ("source_group", STRING, "the group of its source: group_a, group_b, ...")
CONTENT_HASH = ("content_hash", BINARY, "first 16 bytes of SHA-256 of the text")
BUCKET = ("bucket", SHORT, "pmod(xxhash64(doc_id), 1024): the unit of work and resumption")
N_TOKENS = ("n_tokens", LONG, "tokens of the text by the tokenizer named in the table properties")
RUN_ID = ("run_id", STRING, "the run that wrote the row, see runs")
RUBRIC_ID = ("rubric_id", STRING, "digest of the group's anchors and their weights, see rubrics")
LABELLING_ID = ("labelling_id", STRING, "digest of the rubric and of how its judge was asked")
STUDENT_ID = ("student_id", STRING, "<registered model>/<version>-<digest of its artefact>")
CALL_KEY = ("call_key", STRING, "SHA-256 of everything that can change the answer")
SLOT = ("slot", SHORT, "place of the dimension in the rubric, from 0")
SELECTION_ID = ("selection_id", STRING, "digest of the selection's inputs and settings")
