"""Tables on S3 have one writer, or a log that several can share; else nothing is written."""

import pytest
from pyspark.sql import SparkSession

from mira_spark.errors import ConfigError
from mira_spark.lake.creation import schema_location
from mira_spark.lake.single_writer import (
    _DATABRICKS,
    _SHARED_LOG,
    admits_several_writers,
    check_place,
    check_single_writer,
)
from mira_spark.lake.tables import Lakehouse

OURS = "spark.delta.logStore"


@pytest.mark.parametrize(
    ("place", "options", "admits"),
    [
        ("s3://bucket/warehouse", {}, False),
        ("s3a://bucket/warehouse", {}, False),
        ("s3n://bucket/warehouse", {}, False),
        ("s3://bucket/warehouse", {f"{OURS}.s3a.impl": _SHARED_LOG}, False),
        ("s3a://bucket/warehouse", {f"{OURS}.s3a.impl": "io.delta.storage.S3LogStore"}, False),
        ("s3://bucket/warehouse", {f"{OURS}.s3.impl": _SHARED_LOG}, True),
        ("s3a://bucket/warehouse", {f"{OURS}.s3a.impl": _SHARED_LOG}, True),
        ("s3a://bucket/warehouse", {f"{OURS}.class": _SHARED_LOG}, True),
        ("s3://bucket/warehouse", {_DATABRICKS: "16.4.x-scala2.12"}, True),
        ("abfss://container@account.dfs.core.windows.net/lake", {}, True),
        ("gs://bucket/warehouse", {}, True),
        ("hdfs://host/warehouse", {}, True),
        ("file:/data/warehouse", {}, True),
        ("", {}, True),
    ],
)
def test_only_s3_without_a_shared_log_has_one_writer(
    place: str, options: dict[str, str], admits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION", raising=False)
    assert admits_several_writers(place, options.get) == admits


def test_databricks_keeps_writers_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    assert admits_several_writers("s3://bucket/warehouse", {}.get)


def test_tables_on_s3_are_refused_with_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION", raising=False)
    with pytest.raises(ConfigError) as refused:
        check_place("main.mira", "s3a://bucket/mira.db", {}.get)
    assert str(refused.value) == (
        "single_writer: main.mira lies on s3a://bucket/mira.db, where Delta keeps the commits of "
        "two drivers apart only with a log store in DynamoDB: set single_writer: true and let one "
        "driver at a time write these tables, or spark.delta.logStore.s3a.impl="
        "io.delta.storage.S3DynamoDBLogStore on every one that does"
    )


def test_a_schema_that_is_there_or_not_is_looked_at_where_it_lies(spark: SparkSession) -> None:
    lake = Lakehouse(spark, "single_writer")
    check_single_writer(lake, False)
    spark.sql("CREATE SCHEMA single_writer")
    try:
        assert schema_location(lake).endswith("/single_writer.db")
        check_single_writer(lake, False)
    finally:
        spark.sql("DROP SCHEMA single_writer")
