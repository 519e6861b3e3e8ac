"""Rows that Spark keeps while they are in use."""

import contextlib
from collections.abc import Iterator

from pyspark.sql import DataFrame


@contextlib.contextmanager
def persisted(rows: DataFrame) -> Iterator[DataFrame]:
    """`rows`, kept while in use and no longer: Spark takes two plans over one path for the same,
    whatever files came since, and would answer the next run from this one's cache."""
    kept = rows.persist()
    try:
        yield kept
    finally:
        kept.unpersist()
