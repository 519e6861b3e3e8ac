"""Rows that Spark keeps while they are in use."""

import contextlib
from collections.abc import Iterator

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame


@contextlib.contextmanager
def persisted(rows: DataFrame) -> Iterator[DataFrame]:
    """`rows`, kept while in use and no longer: Spark takes two plans over one path for the same,
    whatever files came since, and would answer the next run from this one's cache.

    Serverless compute keeps nothing: there `rows` are computed whenever they are asked for."""
    try:
        kept = rows.persist()
    except PySparkException as error:
        if "NOT_SUPPORTED_WITH_SERVERLESS" not in str(error):
            raise
        yield rows
        return
    try:
        yield kept
    finally:
        kept.unpersist()
