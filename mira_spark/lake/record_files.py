"""Records of files of JSON, CSV and text and their values, streamed, on executors, without Spark.

Spark's own readers take compression from a file's name, infer types that ids do not survive, read
CSV by position and give null where a value is of another type. Here a value stays as it is written.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from mira_spark.lake.compression import decompressed
from mira_spark.lake.csv_records import Dialect, csv_records
from mira_spark.lake.json_records import FileRecord, json_records

FIELDS = ("doc_id", "source", "text", "messages", "domain", "license", "sendable")
"""What a mapping names, in the order of the columns of a row."""
NOT_TEXT = ("messages", "sendable")
"""Of these the fields that may hold lists and objects."""
TEXT_COLUMN = "text"
"""The only column of files of text."""
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32",
         b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # fmt: skip
_BINARY = {b"PAR1": "Parquet", b"PK\x03\x04": "a zip archive", b"Obj\x01": "Avro",
           b"\x04\x22\x4d\x18": "LZ4", b"\xff\x06\x00\x00sNaPpY": "Snappy"}  # fmt: skip
MISSING = object()
"""What `value_at` gives where there is nothing."""


@dataclass(frozen=True)
class RecordFormat:
    """How files are read. `columns` has the user's name for each of FIELDS, None where there is
    none; `with_record` adds the whole record as JSON to each row, and its kinds to the summary."""

    kind: str
    columns: Mapping[str, str | None]
    encoding: str = "utf-8"
    dialect: Dialect = field(default_factory=Dialect)
    whole_files: bool = False
    with_record: bool = False


@dataclass(frozen=True)
class RecordFile:
    """A file, the values that its folders name, and its content where Python cannot open it."""

    path: str
    partition: Mapping[str, str | None]
    content: BinaryIO | None = None

    def open(self) -> BinaryIO:
        """Its bytes, as they are stored."""
        return open(self.path, "rb") if self.content is None else self.content


class UnusableFileError(Exception):
    """A file that no row can be taken from, and why."""


def value_at(record: Mapping[str, Any], name: str) -> tuple[str | None, Any]:
    """The value of a column or, by a dotted path, of a field in it, and the column that it alone
    is; case counts only where two names differ by nothing else."""
    key = _matching_key(record, name)
    if key is not None:
        return key, record[key]
    for place, character in enumerate(name):
        if character == "." and (head := _matching_key(record, name[:place])) is not None:
            inner = record[head]
            if isinstance(inner, dict):
                _, value = value_at(inner, name[place + 1 :])
                if value is not MISSING:
                    return None, value
    return None, MISSING


def _matching_key(record: Mapping[str, Any], name: str) -> str | None:
    if name in record:
        return name
    lower = name.lower()
    same = [key for key in record if key.lower() == lower]
    return same[0] if len(same) == 1 else None


def file_records(file: RecordFile, form: RecordFormat) -> Iterator[FileRecord]:
    """The records of a file; UnusableFileError where its content is of another kind."""
    with file.open() as stored:
        content = decompressed(stored)
        readers: Mapping[str, Callable[[io.BufferedReader, RecordFormat], Iterator[FileRecord]]] = {
            "json": _json, "csv": _csv, "text": _text,
        }  # fmt: skip
        yield from readers[form.kind](content, form)


def _lines(content: io.BufferedReader, form: RecordFormat, newline: str | None) -> io.TextIOWrapper:
    """The text of a file, in the encoding that its byte-order mark names, or as set."""
    head = content.peek(4096)[:4096]
    encoding = next((_BOMS[mark] for mark in _BOMS if head.startswith(mark)), form.encoding)
    for mark, name in _BINARY.items():
        if head.startswith(mark):
            raise UnusableFileError(f"holds {name}, not {form.kind}")
    if b"\x00" in head and not encoding.lower().startswith(
        ("utf-16", "utf-32", "utf_16", "utf_32")
    ):
        raise UnusableFileError(f"holds bytes that are no {form.kind}, or text in another encoding")
    errors = "surrogateescape" if encoding.lower().startswith(("utf-8", "utf8")) else "replace"
    return io.TextIOWrapper(cast(BinaryIO, content), encoding, errors, newline)


def _json(content: io.BufferedReader, form: RecordFormat) -> Iterator[FileRecord]:
    return json_records(_lines(content, form, None))


def _text(content: io.BufferedReader, form: RecordFormat) -> Iterator[FileRecord]:
    lines = _lines(content, form, "" if form.whole_files else None)
    if form.whole_files:
        text = lines.read()
        yield 1, {TEXT_COLUMN: text}, text
        return
    for number, line in enumerate(lines, 1):
        if text := line.rstrip("\n"):
            yield number, {TEXT_COLUMN: text}, text


def _csv(content: io.BufferedReader, form: RecordFormat) -> Iterator[FileRecord]:
    records = csv_records(_lines(content, form, ""), form.dialect)
    header = next(records, None)
    if header is None:
        return
    names = [name or f"column {place}" for place, name in enumerate(header[1] or [], 1)]
    if header[1] is None:
        raise UnusableFileError("has a first line that names no columns")
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise UnusableFileError(f"names the column {twice[0]} twice in its first line")
    for line, fields, text in records:
        if fields is None or len(fields) != len(names):
            yield line, None, text.rstrip("\r\n")
        else:
            yield line, {n: v or None for n, v in zip(names, fields, strict=True)}, text
