"""`mira sql`: statements of a person, which only read unless writing was asked for."""

import csv
import io
from typing import Any

from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.sql import DataFrame, SparkSession, functions as F

from mira_spark.cli.opening import open_lakehouse
from mira_spark.cli.options import ShownAs
from mira_spark.errors import InputError, MiraError
from mira_spark.process.progress import say, show_table, write_lines
from mira_spark.settings.root import Settings

ON_A_SCREEN = 100
"""Rows that are shown where nobody says how many."""
READING_WORDS = ("SELECT", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN")
"""A statement that begins with one of these cannot write, by Spark's grammar."""


def run_statement(
    settings: Settings, statement: str, shown_as: ShownAs, most: int | None, write: bool
) -> None:
    """Run it and print the first `most` rows: by default 100 on a screen, all of them for another
    program. InputError for what may change tables, unless `write`; MiraError with what Spark says
    of a statement that is wrong."""
    lake = open_lakehouse(settings)
    lake.use()
    if not write:
        check_reading(lake.spark, statement)
    try:
        rows = lake.spark.sql(statement)
        match shown_as:
            case "json":
                _write_json(rows if most is None else rows.limit(most))
            case "csv":
                _write_csv(rows if most is None else rows.limit(most))
            case _:
                _show_rows(rows, most or ON_A_SCREEN, shown_as == "vertical")
    except PySparkException as error:
        raise MiraError((error.getMessage() or str(error)).strip()) from error


def _show_rows(rows: DataFrame, most: int, is_vertical: bool) -> None:
    """Print the first `most` rows; says when there are more."""
    found = rows.limit(most + 1).collect()
    cells = [tuple(map(_value_text, row)) for row in found[:most]]
    if is_vertical:
        for number, row in enumerate(cells, 1):
            say((f"row {number}", "bold"))
            for name, value in zip(rows.columns, row, strict=True):
                say(f"{name}: {value}")
    else:
        show_table(rows.columns, cells, is_cut=True)
    if len(found) > most:
        say(f"… more than {most} rows; --rows shows more")


def _write_json(rows: DataFrame) -> None:
    """An object a line, nulls too; binary values in base64, times as Spark writes them."""
    whole = F.to_json(F.struct("*"), {"ignoreNullFields": "false"})
    write_lines(row[0] for row in rows.select(whole).toLocalIterator())


def _write_csv(rows: DataFrame) -> None:
    """As RFC 4180 but for the ends of lines, the names first; null is an empty field."""
    for row in (rows.columns, *rows.toLocalIterator()):
        line = io.StringIO()
        csv.writer(line).writerow(row)
        write_lines([line.getvalue().removesuffix("\r\n")])


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
