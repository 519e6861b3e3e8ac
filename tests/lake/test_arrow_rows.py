"""Rows that the driver holds: what Spark gets of them."""

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession, functions as F
from pyspark.sql.types import ArrayType, DecimalType, MapType

from mira_spark.lake.arrow_rows import arrow_table
from mira_spark.lake.columns import DOUBLE, NULL, SHORT, STRING, TIMESTAMP, columns
from mira_spark.lake.schemas import TABLES

COLUMNS = columns(
    ("name", STRING, ""),
    ("at", TIMESTAMP, "", NULL),
    ("usd", DecimalType(18, 9), "", NULL),
    ("scores", ArrayType(SHORT), "", NULL),
    ("shares", MapType(STRING, DOUBLE), "", NULL),
)
AT = datetime(2026, 11, 29, 12, 30, 0, 5, UTC)
FULL = {"name": "a", "at": AT, "usd": Decimal("1E-9"), "scores": [1, None], "shares": {"x": 0.5}}


def test_spark_has_the_values_and_null_where_a_row_lacks_one(spark: SparkSession) -> None:
    rows = [FULL, {"name": "b"}, FULL | {"at": AT.astimezone().replace(tzinfo=None)}]
    frame = spark.createDataFrame(arrow_table(rows, COLUMNS))
    kinds = {f.name: f.dataType.simpleString() for f in frame.schema}
    assert kinds == {f.name: f.dataType.simpleString() for f in COLUMNS}
    full, bare, local = (
        row.asDict() for row in frame.withColumn("at", F.unix_micros("at")).collect()
    )
    micros = (AT - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6
    assert full == FULL | {"at": micros}
    assert local == full, "a time without a zone is this machine's"
    assert bare == dict.fromkeys(FULL) | {"name": "b"}


@pytest.mark.parametrize("wrong", [{"scores": [40_000]}, {"at": "noon"}])
def test_a_value_out_of_its_columns_range_or_of_another_kind_is_refused(
    wrong: dict[str, object],
) -> None:
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        arrow_table([FULL | wrong], COLUMNS)


def test_every_column_of_every_table_has_a_type() -> None:
    for table in TABLES.values():
        assert arrow_table([], table.columns).column_names == table.columns.fieldNames()
