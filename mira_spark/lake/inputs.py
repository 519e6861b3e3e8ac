"""Users' tables and what tells one state of an input from another."""

import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from mira_spark.errors import InputError
from mira_spark.lake import history
from mira_spark.lake.input_files import Listing, first_line
from mira_spark.lake.names import quoted_name, table_identifier

_LISTED = 'mira sql "show tables in SCHEMA" lists what there is'


def user_table(spark: SparkSession, name: str, columns: Sequence[str]) -> DataFrame:
    """A table of the user's; InputError when it is not there or lacks one of the columns."""
    if not spark.catalog.tableExists(name):
        raise InputError(f"there is no table {name}: {_LISTED}")
    rows = spark.table(name)
    missing = [column for column in columns if column not in rows.columns]
    if missing:
        raise InputError(
            f"{name} has no column {', '.join(missing)}; it has {', '.join(rows.columns)}"
        )
    return rows


def read_table(spark: SparkSession, name: str, key: str) -> DataFrame:
    """The rows of a table or view of the user's; InputError, which begins with `key`, where there
    is none."""
    try:
        return spark.table(table_identifier(name))
    except AnalysisException as error:
        raise InputError(f"{key}: {name} cannot be read: {first_line(error)}") from error


def read_delta(spark: SparkSession, path: str, key: str) -> DataFrame:
    """The rows of a Delta table in a folder; InputError as of `read_table`."""
    try:
        return spark.read.format("delta").load(_whole(path))
    except AnalysisException as error:
        raise InputError(f"{key}: {path} cannot be read as delta: {first_line(error)}") from error


def listing_digest(listing: Listing) -> str:
    """Hex SHA-256 of the files' paths, lengths and times of change."""
    lines = (f"{file.path} {file.length} {file.changed}" for file in listing.files)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def input_version(spark: SparkSession, table: str) -> str:
    """The version of a Delta table, its id and its commit, so that a table made anew is another;
    `unknown` and a time for others, which so count as changed. InputError where there is none."""
    try:
        return _version(spark, table_identifier(table))
    except AnalysisException as error:
        if not spark.catalog.tableExists(table_identifier(table)):
            raise InputError(f"there is no table {table}: {_LISTED}") from error
        return f"unknown at {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


def delta_version(spark: SparkSession, path: str, key: str) -> str:
    """As `input_version` for a Delta table in a folder; InputError, which begins with `key`, where
    there is none."""
    try:
        return _version(spark, f"delta.{quoted_name(_whole(path))}")
    except AnalysisException as error:
        raise InputError(f"{key}: {path} cannot be read as delta: {first_line(error)}") from error


def _whole(path: str) -> str:
    """The path of a folder of this machine from its root on, so that SQL takes it as Spark does."""
    local = os.path.abspath(os.path.expanduser(path))
    return local if os.path.isdir(local) else path


def _version(spark: SparkSession, name: str) -> str:
    state = history.snapshot(spark, name)
    return f"{state} by {state.commit}"
