"""Rows that Spark keeps while they are in use, where it can."""

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from mira_spark.lake.caches import persisted

SERVERLESS = "[NOT_SUPPORTED_WITH_SERVERLESS] PERSIST TABLE is not supported on serverless compute."


def test_rows_are_kept_while_in_use_and_no_longer(spark: SparkSession) -> None:
    rows = spark.range(3)
    with persisted(rows) as kept:
        assert kept.storageLevel.useMemory
        assert kept.count() == 3
    assert not rows.storageLevel.useMemory


def test_where_nothing_can_be_kept_the_rows_are_there_all_the_same(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on serverless compute, whose words these are."""

    def refuse(rows: DataFrame) -> DataFrame:
        raise AnalysisException(SERVERLESS)

    rows = spark.range(3)
    monkeypatch.setattr(type(rows), "persist", refuse)
    with persisted(rows) as kept:
        assert kept.count() == 3


def test_another_error_is_raised(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(rows: DataFrame) -> DataFrame:
        raise AnalysisException("[INSUFFICIENT_PERMISSIONS] no")

    rows = spark.range(3)
    monkeypatch.setattr(type(rows), "persist", fail)
    with pytest.raises(AnalysisException, match="INSUFFICIENT"), persisted(rows):
        pass
