"""Users' files as rows, whatever they hold: Parquet by Spark, records by Python on executors."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession, functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StringType, StructField, StructType

from mira_spark.errors import InputError, joined
from mira_spark.lake import parquet_files, record_rows, record_summary
from mira_spark.lake.input_files import NULL_PARTITION, Listing
from mira_spark.lake.record_files import FIELDS, RecordFile, RecordFormat
from mira_spark.lake.record_summary import Summary

FILE = "mira_file"
"""Column of rows of Parquet: the path of their file."""
_STRICT = {"ignoreCorruptFiles": False, "ignoreMissingFiles": False, "__globPaths__": False}
"""A path is no pattern, and what a platform is configured to leave out without a word is read."""
_GROUP_BYTES, _FEW_BYTES = 1 << 25, 1 << 18
_LARGEST_REMOTE = 2**31 - 1
_MOST_SHOWN = 10
_ROWS_SCHEMA = (
    ", ".join(f"{name} binary" for name in FIELDS) + ", metadata map<string, binary>, "
    "nested boolean, unreadable binary, file string, line bigint, record binary"
)
_SUMMARY_SCHEMA = "path string, rows bigint, problem string, summary string"
Producer = Callable[[Iterable[RecordFile]], Iterator[pa.RecordBatch]]


class FileSummary(NamedTuple):
    """The number of rows of files, how many files hold rows, and what their records have."""

    rows: int
    with_rows: int
    records: Summary


def read_parquet(spark: SparkSession, listing: Listing, key: str) -> list[DataFrame]:
    """The rows of the files, with FILE and the columns that folders name, in as few frames as
    there are schemas that cannot be one. InputError, which begins with `key`, names every file
    that is no Parquet."""
    paths = [file.path for file in listing.files]
    try:
        return [_with_file(_parquet(spark, paths, listing.is_local), listing)]
    except Exception:  # of Spark's; what it is depends on whether Py4J or Connect brings it
        schemas, refused = _parquet_schemas(spark, listing)
    frames = [_with_file(_parquet(spark, p, listing.is_local), listing) for p in schemas.values()]
    return frames + _refused_parquet(spark, listing, refused, key)


def count_parquet_with_rows(spark: SparkSession, listing: Listing) -> int:
    """How many of the files hold rows by what is written at their ends."""
    rows = _rows_by_file(spark, listing, parquet_files.row_counts, "path string, rows bigint")
    return sum(row["rows"] > 0 for row in rows)


def _parquet(spark: SparkSession, paths: Sequence[str], is_local: bool) -> DataFrame:
    whole = [f"file:{path}" for path in paths] if is_local else list(paths)
    reader = spark.read.options(mergeSchema=True, recursiveFileLookup=True, **_STRICT)
    return reader.parquet(*whole)


def _parquet_schemas(
    spark: SparkSession, listing: Listing
) -> tuple[dict[str, list[str]], list[str]]:
    """Files by their schema, and those that Spark cannot read."""
    by_schema: dict[str, list[str]] = {}
    refused = []
    for file in listing.files:
        try:
            schema = _parquet(spark, [file.path], listing.is_local).schema.json()
            by_schema.setdefault(schema, []).append(file.path)
        except Exception:
            refused.append(file.path)
    return by_schema, refused


def _refused_parquet(
    spark: SparkSession, listing: Listing, paths: Sequence[str], key: str
) -> list[DataFrame]:
    """The rows of files that Spark does not read, by Arrow."""
    if not paths:
        return []
    chosen = _only(listing, paths)
    schema = "path string, schema binary, problem string"
    rows = _rows_by_file(spark, chosen, parquet_files.file_schemas, schema)
    problems = [f"{key}: {r['path']} is no Parquet: {r['problem']}" for r in rows if r["problem"]]
    if problems:
        raise InputError(_first(problems))
    by_schema: dict[bytes, list[str]] = {}
    for row in rows:
        by_schema.setdefault(bytes(row["schema"]), []).append(row["path"])
    return [_arrow_rows(spark, _only(chosen, p), schema) for schema, p in by_schema.items()]


def _arrow_rows(spark: SparkSession, listing: Listing, serialized: bytes) -> DataFrame:
    schema = from_arrow_schema(pa.ipc.read_schema(pa.py_buffer(serialized)))
    schema = schema.add(StructField(FILE, StringType()))
    produce = parquet_files.typed_rows(serialized, tuple(schema.names))
    rows = _by_file(spark, listing, produce, schema)
    return _with_partitions(rows, listing)


def _only(listing: Listing, paths: Sequence[str]) -> Listing:
    wanted = set(paths)
    return Listing(tuple(f for f in listing.files if f.path in wanted), {}, listing.is_local)


def _with_file(rows: DataFrame, listing: Listing) -> DataFrame:
    path = _decoded(rows.metadataColumn("_metadata").getField("file_path"))
    path = F.regexp_replace(path, "^file:/+", "/") if listing.is_local else path
    return _with_partitions(rows.withColumn(FILE, path), listing)


def _with_partitions(rows: DataFrame, listing: Listing) -> DataFrame:
    """With a column for each name that folders give, text as it stands there."""
    values = {}
    for name in listing.partitions:
        value = F.regexp_extract(FILE, rf".*/\Q{name}\E=([^/]*)/", 1)
        values[name] = F.when(~value.isin("", NULL_PARTITION), _decoded(value))
    return rows.withColumns(values)


def _decoded(text: Column) -> Column:
    """Without the escapes of a URI; as it is where they are none."""
    return F.coalesce(F.try_url_decode(F.replace(text, F.lit("+"), F.lit("%2B"))), text)


def summarise_records(
    spark: SparkSession, listing: Listing, form: RecordFormat, key: str
) -> FileSummary:
    """What the files hold, after reading all of them once. InputError, which begins with `key`,
    names every file that is damaged or of another kind."""
    produce = partial(record_summary.summarise, form=form)
    rows = _rows_by_file(spark, listing, produce, _SUMMARY_SCHEMA)
    problems = [f"{key}: {r['path']} {r['problem']}" for r in rows if r["problem"]]
    if problems:
        raise InputError(_first(sorted(problems)))
    summary = Summary()
    for row in rows:
        if row["summary"] is not None:
            summary.add(Summary.from_json(row["summary"]))
    counts = [row["rows"] for row in rows if row["path"] is not None]
    return FileSummary(sum(counts), sum(count > 0 for count in counts), summary)


def read_records(spark: SparkSession, listing: Listing, form: RecordFormat) -> DataFrame:
    """The records of JSON, CSV or text: the columns FIELDS of a mapping as text, the others as
    `metadata`, `nested` (a list or object stands where text belongs), `unreadable` (the text of
    what is no record), `file`, `line` and `record` (JSON, for a filter).

    Texts have the bytes of the file, be they valid UTF-8 or not.
    """
    produce = partial(record_rows.row_batches, form=form)
    rows = _by_file(spark, listing, produce, _ROWS_SCHEMA)
    as_text = {name: F.col(name).cast("string") for name in (*FIELDS, "unreadable", "record")}
    return rows.withColumns(as_text | {"metadata": F.col("metadata").cast("map<string,string>")})


def _rows_by_file(
    spark: SparkSession, listing: Listing, produce: Producer, schema: str
) -> list[dict[str, Any]]:
    """The rows that `produce` gives for the files; of a few bytes by this process, at once."""
    if listing.is_local and sum(file.length for file in listing.files) <= _FEW_BYTES:
        batches = produce(RecordFile(file.path, file.partition) for file in listing.files)
        return [row for batch in batches for row in batch.to_pylist()]
    return [row.asDict() for row in _by_file(spark, listing, produce, schema).collect()]


def _by_file(
    spark: SparkSession, listing: Listing, produce: Producer, schema: str | StructType
) -> DataFrame:
    """What `produce` gives for the files, on executors; the largest share a task with the least."""
    partitions = {file.path: file.partition for file in listing.files}
    if listing.is_local:
        groups = _groups(listing)

        def from_groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            """What the files of the groups with these numbers give."""
            for batch in batches:
                for place in batch.column(0).to_pylist():
                    yield from produce(RecordFile(p, partitions[p]) for p in groups[place])

        numbers = spark.range(0, len(groups), 1, len(groups))
        return numbers.mapInArrow(from_groups, schema)
    _check_remote(listing)

    def from_contents(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """What files give whose contents Spark fetched."""
        for batch in batches:
            paths = batch.column(0).to_pylist()
            contents = (pa.BufferReader(each.as_buffer()) for each in batch.column(1))
            pairs = zip(paths, contents, strict=True)
            yield from produce(RecordFile(p, partitions[p], content) for p, content in pairs)

    files = spark.read.format("binaryFile").options(**_STRICT).load([*partitions])
    return files.select("path", "content").mapInArrow(from_contents, schema)


def _groups(listing: Listing) -> list[list[str]]:
    """The files in groups of about the same bytes, one for each task."""
    number = 2 + sum(file.length for file in listing.files) // _GROUP_BYTES
    groups: list[list[str]] = [[] for _ in range(min(number, len(listing.files)))]
    sizes = [(0, place) for place in range(len(groups))]
    for file in sorted(listing.files, key=lambda each: (-each.length, each.path)):
        size, place = heapq.heappop(sizes)
        groups[place].append(file.path)
        heapq.heappush(sizes, (size + file.length, place))
    return groups


def _check_remote(listing: Listing) -> None:
    large = [file.path for file in listing.files if file.length > _LARGEST_REMOTE]
    if large:
        raise InputError(
            _first(
                f"{path}: is over 2 GiB, and is read as a whole there: split it" for path in large
            )
        )


def _first(problems: Iterable[str]) -> str:
    lines = list(problems)
    more = [f"and {len(lines) - _MOST_SHOWN:,} more"] if len(lines) > _MOST_SHOWN else []
    return joined(lines[:_MOST_SHOWN] + more)
