"""The files of an export: a table of documents as bytes, and how many are in such bytes."""

import json
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from mira_spark.errors import ConfigError

Format = Literal["parquet", "jsonl"]
Compression = Literal["none", "gzip", "zstd", "snappy"]
COMPRESSIONS: dict[Format, tuple[Compression, ...]] = {
    "parquet": ("zstd", "snappy", "gzip", "none"),
    "jsonl": ("none", "gzip", "zstd"),
}
"""Those of each format, the default first; of Parquet within the file."""
_ENDS = {"none": "", "gzip": ".gz", "zstd": ".zst"}


def check_compression(format_: Format, asked: Compression | None) -> Compression:
    """The one that is asked for, or the format's default. ConfigError where the format has it not,
    or pyarrow lacks its library."""
    known = COMPRESSIONS[format_]
    compression = asked or known[0]
    if compression not in known:
        raise ConfigError(
            f"--compression {compression} is not for {format_}, should be one of {', '.join(known)}"
        )
    if compression != "none" and not pa.Codec.is_available(compression):
        raise ConfigError(f"--compression {compression}: this pyarrow was built without it")
    return compression


def file_name(number: int, format_: Format, compression: Compression) -> str:
    """Of the file with this number from 0 on; lines that are compressed end as their programs
    expect it."""
    return f"{number:06d}.{format_}{_ENDS[compression] if format_ == 'jsonl' else ''}"


def encoded(table: pa.Table, format_: Format, compression: Compression) -> bytes:
    """The table's documents, in its order: the same table gives the same bytes."""
    sink = pa.BufferOutputStream()
    if format_ == "parquet":
        pq.write_table(table, sink, compression=compression)
        return bytes(sink.getvalue())
    lines = "".join(map(_line, table.to_pylist())).encode("utf-8", "backslashreplace")
    if compression == "none":
        return lines
    with pa.CompressedOutputStream(sink, compression) as stream:
        stream.write(lines)
    return bytes(sink.getvalue())


def _line(row: dict[str, Any]) -> str:
    """The row as a line of JSON, halves of pairs unescaped."""
    messages = row.pop("messages")
    if "metadata" in row:
        row["metadata"] = dict(row["metadata"] or ())
    if messages is not None:
        row["messages"] = json.loads(messages)
    return json.dumps(row, ensure_ascii=False) + "\n"


def documents_in(content: bytes, format_: Format, compression: Compression) -> int | None:
    """Documents in a file; None when it cannot be read to its end."""
    source = pa.BufferReader(content)
    try:
        if format_ == "parquet":
            return int(pq.read_metadata(source).num_rows)
        if compression != "none":
            content = pa.CompressedInputStream(source, compression).read()
    except (OSError, pa.ArrowInvalid):
        return None
    return content.count(b"\n")
