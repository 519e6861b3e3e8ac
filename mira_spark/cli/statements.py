"""`mira sql`: statements of a person, which only read unless writing was asked for."""

from typing import Any

from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.sql import DataFrame, SparkSession

from mira_spark.cli.opening import open_lakehouse
from mira_spark.errors import InputError, MiraError
from mira_spark.process.progress import say, show_table
from mira_spark.settings.root import Settings

READING_WORDS = ("SELECT", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN")
"""A statement that begins with one of these cannot write, by Spark's grammar."""


def run_statement(settings: Settings, statement: str, rows: int, write: bool) -> None:
    """Run it and print the first `rows` rows. InputError for what may change tables, unless
    `write`; MiraError with what Spark says of a statement that is wrong."""
    lake = open_lakehouse(settings)
    lake.use()
    if not write:
        check_reading(lake.spark, statement)
    try:
        _show_rows(lake.spark.sql(statement), rows)
    except PySparkException as error:
        raise MiraError((error.getMessage() or str(error)).strip()) from error


def _show_rows(rows: DataFrame, most: int) -> None:
    """Print the first `most` rows as a table; says when there are more."""
    found = rows.limit(most + 1).collect()
    show_table(rows.columns, [tuple(map(_value_text, row)) for row in found[:most]])
    if len(found) > most:
        say(f"… more than {most} rows; --rows shows more")


def _value_text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def check_reading(spark: SparkSession, statement: str) -> None:
    """Raises InputError when the statement may change something; nothing is run to find out."""
    if not _only_reads(spark, statement):
        raise InputError(
            f"not run, it may change tables: {' '.join(statement.split())[:100]!r}; without "
            "--write mira sql runs queries (SELECT, WITH, FROM, VALUES, TABLE), SHOW, DESCRIBE and "
            "EXPLAIN"
        )


def _only_reads(spark: SparkSession, statement: str) -> bool:
    words = statement.split(None, 1)
    if words and words[0].upper() in READING_WORDS:
        return True
    # WITH, FROM, a parenthesis or a comment may begin either kind. In a common table expression
    # Spark parses queries alone, and what was parsed is not run before rows are asked for.
    query = statement.rstrip("; \t\r\n")
    try:
        spark.sql(f"WITH asked AS (\n{query}\n) SELECT * FROM asked")
    except ParseException:
        return False
    except AnalysisException:  # a query, of a column that is not there or the like
        return True
    return True
