"""Records of files as rows of text, in batches of Arrow's, on executors. Without Spark."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from mira_spark.lake.json_records import Number
from mira_spark.lake.record_files import (
    FIELDS,
    MISSING,
    NOT_TEXT,
    RecordFile,
    RecordFormat,
    file_records,
    value_at,
)
from mira_spark.lake.value_kinds import number_or_text

_METADATA = pa.map_(pa.string(), pa.binary())
ROWS = pa.schema([*((name, pa.binary()) for name in FIELDS), ("metadata", _METADATA),
                  ("nested", pa.bool_()), ("unreadable", pa.binary()), ("file", pa.string()),
                  ("line", pa.int64()), ("record", pa.binary())])  # fmt: skip
_MOST_ROWS, _MOST_BYTES = 2_000, 1 << 23


def row_batches(files: Iterable[RecordFile], form: RecordFormat) -> Iterator[pa.RecordBatch]:
    """The rows of the files, as ROWS: one for each record; `unreadable` is the text of none."""
    rows: list[tuple[object, ...]] = []
    size = 0
    for file in files:
        for line, record, text in file_records(file, form):
            rows.append(_row(file, line, record, text, form))
            size += len(text)
            if len(rows) >= _MOST_ROWS or size >= _MOST_BYTES:
                yield _batch(rows)
                rows, size = [], 0
    if rows:
        yield _batch(rows)


def _batch(rows: list[tuple[object, ...]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    return pa.record_batch(
        [pa.array(c, t) for c, t in zip(columns, ROWS.types, strict=True)], schema=ROWS
    )


def _row(
    file: RecordFile, line: int, record: dict[str, Any] | None, text: str, form: RecordFormat
) -> tuple[object, ...]:
    if record is None:
        return (*[None] * len(FIELDS), [], False, encoded(text), file.path, line, None)
    record |= file.partition
    taken, nested = set(), False
    values: list[bytes | None] = []
    for ours in FIELDS:
        name = form.columns.get(ours)
        key, value = value_at(record, name) if name is not None else (None, None)
        taken.add(key)
        if isinstance(value, dict | list) and ours not in NOT_TEXT:
            nested = True
        is_null = value is MISSING or (isinstance(value, Number) and value != value)
        spelt = None if is_null else as_text(value)
        if ours == "messages" and spelt is not None:
            # Half of a pair is no UTF-8: in JSON it stays the escape that it was.
            values.append(spelt.encode("utf-8", "backslashreplace"))
        else:
            values.append(encoded(spelt))
    metadata = [
        (name.encode("utf-8", "replace").decode(), encoded(as_text(value)))
        for name, value in record.items()
        if name not in taken
    ]
    whole = encoded(json.dumps(_typed(record, form))) if form.with_record else None
    return (*values, metadata, nested, None, file.path, line, whole)


def _typed(record: Mapping[str, Any], form: RecordFormat) -> Mapping[str, Any]:
    """The record as a filter sees it: fields of CSV have no types but that they look like."""
    if form.kind != "csv":
        return record
    return {name: number_or_text(value) for name, value in record.items()}


def as_text(value: Any) -> str | None:
    """A scalar as it is written, a list or object as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Number):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def encoded(text: str | None) -> bytes | None:
    """The bytes that the text had in its file, valid UTF-8 or not."""
    if text is None:
        return None
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a pair, written as an escape of JSON
        return text.encode("utf-8", "surrogatepass")
