"""Which SQL statements of a person may run: those that only read, unless writing was asked for."""

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import SparkSession

from mira_spark.errors import InputError

READING_WORDS = ("SELECT", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN")
"""A statement that begins with one of these cannot write, by Spark's grammar."""


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
