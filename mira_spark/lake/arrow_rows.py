"""Rows that the driver holds, as Arrow: Spark takes it as it is, a session of Connect too."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyspark.sql.types import ArrayType, DataType, DecimalType, MapType, StructType

from mira_spark.lake.columns import (
    BINARY,
    BOOLEAN,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    SHORT,
    STRING,
    TIMESTAMP,
)

_TYPES: dict[DataType, pa.DataType] = {
    STRING: pa.string(),
    BINARY: pa.binary(),
    BOOLEAN: pa.bool_(),
    SHORT: pa.int16(),
    INT: pa.int32(),
    LONG: pa.int64(),
    FLOAT: pa.float32(),
    DOUBLE: pa.float64(),
    TIMESTAMP: pa.timestamp("us", "UTC"),
}


def arrow_table(rows: Sequence[Mapping[str, Any]], columns: StructType) -> pa.Table:
    """The rows with these columns; what a row lacks is null, and a time without a zone is of this
    machine's. ArrowInvalid or ArrowTypeError for a value out of its
    column's range, or of another kind."""
    schema = pa.schema([(field.name, _arrow_type(field.dataType)) for field in columns])
    values = {field.name: [_value(row.get(field.name)) for row in rows] for field in columns}
    return pa.Table.from_pydict(values, schema)


def _arrow_type(kind: DataType) -> pa.DataType:
    if isinstance(kind, ArrayType):
        return pa.list_(_arrow_type(kind.elementType))
    if isinstance(kind, MapType):
        return pa.map_(_arrow_type(kind.keyType), _arrow_type(kind.valueType))
    if isinstance(kind, DecimalType):
        return pa.decimal128(kind.precision, kind.scale)
    return _TYPES[kind]


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return list(value.items()) if isinstance(value, Mapping) else value
