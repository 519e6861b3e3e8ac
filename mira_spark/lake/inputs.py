"""The only place that reads what is the user's: files and tables of theirs, and their versions."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from mira_spark.errors import InputError

UNREADABLE_COLUMN = "mira_unreadable"
"""Column of `read_input`: a line as it stands in its file, where it is no JSON; null for others."""
FILE = "mira_file"
"""Column of `read_input`: the file of a row of JSON."""
OF_LINES = (UNREADABLE_COLUMN, FILE)
JSON_OPTIONS = {
    "columnNameOfCorruptRecord": UNREADABLE_COLUMN,
    "maxStringLen": str(2**31 - 1),  # Spark's own limit of 20 MB makes a long text no JSON
}
CSV_OPTIONS = {"header": "true", "multiLine": "true", "escape": '"'}


def user_table(spark: SparkSession, name: str, columns: Sequence[str]) -> DataFrame:
    """A table of the user's; InputError when it is not there or lacks one of the columns."""
    if not spark.catalog.tableExists(name):
        raise InputError(f"there is no table {name}")
    rows = spark.table(name)
    missing = [column for column in columns if column not in rows.columns]
    if missing:
        raise InputError(
            f"{name} has no column {', '.join(missing)}; it has {', '.join(rows.columns)}"
        )
    return rows


def read_input(spark: SparkSession, kind: str, path: str) -> DataFrame:
    """The user's rows: `kind` is parquet, json, csv or delta (files at `path`) or table (a name).

    Rows of JSON have the columns OF_LINES too, UNREADABLE only where a line is no JSON. Raises
    InputError when there is nothing, or nothing readable, at `path`.
    """
    options = {"json": JSON_OPTIONS, "csv": CSV_OPTIONS}.get(kind, {})
    try:
        if kind == "table":
            return spark.table(path)
        rows = spark.read.options(**options).format(kind).load(path)
        if kind != "json":
            return rows
        return rows.withColumn(FILE, rows.metadataColumn("_metadata").getField("file_path"))
    except AnalysisException as error:
        raise InputError(
            f"corpus.path: {path} cannot be read as {kind}: {_short(error)}"
        ) from error


def listing(spark: SparkSession, path: str) -> list[str]:
    """A line per file under `path`: name, length and time of change, sorted; reads no file.

    Raises InputError when there is no such path.
    """
    try:
        files = spark.read.format("binaryFile").option("recursiveFileLookup", True).load(path)
        rows = files.select("path", "length", "modificationTime").collect()
    except AnalysisException as error:
        raise InputError(f"corpus.path: {path} cannot be read: {_short(error)}") from error
    return sorted(f"{r['path']} {r['length']} {r['modificationTime']}" for r in rows)


def input_version(spark: SparkSession, table: str) -> str:
    """The version of a Delta table; `unknown` and a time for others, which so count as changed."""
    try:
        return str(spark.sql(f"DESCRIBE HISTORY {table} LIMIT 1").collect()[0]["version"])
    except AnalysisException as error:
        if not spark.catalog.tableExists(table):
            raise InputError(f"there is no table {table}") from error
        return f"unknown at {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


def _short(error: AnalysisException) -> str:
    return (error.getMessage() or str(error)).splitlines()[0]
