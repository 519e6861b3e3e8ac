"""Parquet files that Spark refuses, read by Arrow on executors: nanoseconds, names that differ by
case alone. Without Spark."""

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from mira_spark.lake.record_files import RecordFile

SCHEMAS = pa.schema({"path": pa.string(), "schema": pa.binary(), "problem": pa.string()})
_ROWS = 1_000


def file_schemas(files: Iterable[RecordFile]) -> Iterator[pa.RecordBatch]:
    """A row of SCHEMAS for each file: its schema in types that Spark has, or why there is none."""
    rows: list[tuple[str, bytes | None, str | None]] = []
    for file in files:
        try:
            with file.open() as stored:
                schema = readable_schema(pq.ParquetFile(stored).schema_arrow)
            rows.append((file.path, schema.serialize().to_pybytes(), None))
        except (pa.ArrowException, OSError) as error:
            rows.append((file.path, None, str(error).splitlines()[0]))
    if rows:
        columns = zip(*rows, strict=True)
        yield pa.record_batch(
            [pa.array(c, t) for c, t in zip(columns, SCHEMAS.types, strict=True)], schema=SCHEMAS
        )


def row_counts(files: Iterable[RecordFile]) -> Iterator[pa.RecordBatch]:
    """The path of each file and how many rows it holds; ArrowInvalid for what is no Parquet."""
    for file in files:
        with file.open() as stored:
            rows = pq.ParquetFile(stored).metadata.num_rows
        yield pa.record_batch({"path": [file.path], "rows": [rows]})


def typed_rows(
    serialized: bytes, names: tuple[str, ...]
) -> Callable[[Iterable[RecordFile]], Iterator[pa.RecordBatch]]:
    """A function that gives the rows of files of one schema, and last the path of each's file;
    `names` are those of all columns."""

    def rows(files: Iterable[RecordFile]) -> Iterator[pa.RecordBatch]:
        """The rows of the files, a thousand a batch at most."""
        schema = pa.ipc.read_schema(pa.py_buffer(serialized))
        for file in files:
            with file.open() as stored:
                for batch in pq.ParquetFile(stored).iter_batches(_ROWS):
                    columns = [
                        _cast(column, kind)
                        for column, kind in zip(batch.columns, schema.types, strict=True)
                    ]
                    columns.append(pa.array([file.path] * batch.num_rows, pa.string()))
                    yield pa.record_batch(columns, names=list(names))

    return rows


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(kind, safe=False)  # nanoseconds are cut to microseconds


def readable_schema(schema: pa.Schema) -> pa.Schema:
    """The schema in types that Spark has."""
    return pa.schema([pa.field(f.name, _readable(f.type), True) for f in schema])


def _readable(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if types.is_dictionary(kind):
        return _readable(kind.value_type)
    if types.is_time(kind) or types.is_null(kind) or types.is_duration(kind):
        return pa.string()
    if types.is_unsigned_integer(kind):
        return pa.int64() if kind.bit_width < 64 else pa.decimal128(20, 0)
    if types.is_float16(kind):
        return pa.float32()
    if types.is_fixed_size_binary(kind) or types.is_binary_view(kind):
        return pa.binary()
    if types.is_string_view(kind):
        return pa.string()
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(_readable(kind.value_type))
    if types.is_map(kind):
        return pa.map_(_readable(kind.key_type), _readable(kind.item_type))
    if types.is_struct(kind):
        return pa.struct([pa.field(f.name, _readable(f.type), True) for f in kind])
    return kind
