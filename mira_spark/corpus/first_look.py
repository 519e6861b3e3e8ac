"""A first look at a user's files, without Spark: what they are, their columns, and which of ours
each may be. Only the beginning of a few files is read."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from mira_spark.corpus.conversations import read_turns
from mira_spark.errors import InputError
from mira_spark.lake.compression import DAMAGED, decompressed
from mira_spark.lake.local_files import OWN_SUFFIXES, files_below, is_hidden, suffix_of_format
from mira_spark.lake.record_files import RecordFile, RecordFormat, UnusableFileError, file_records

FILES_READ, ROWS_READ = 5, 200
"""Files that are opened, and rows that are read of them together."""
FORMATS = dict.fromkeys(("txt", "md", "text"), "text") | {
    suffix: kind for kind, suffixes in OWN_SUFFIXES.items() for suffix in suffixes
}
"""Suffix to format."""
NAMES = {
    "messages": ("messages", "conversations", "conversation", "chat", "dialog"),
    "text": ("text", "content", "body", "document", "raw_content", "page_content", "code"),
    "doc_id": (
        "doc_id",
        "id",
        "uid",
        "uuid",
        "docid",
        "document_id",
        "guid",
        "url",
        "path",
        "hash",
        "sha256",
    ),
    "source": ("source", "dataset", "subset", "corpus", "origin", "data_source", "collection"),
    "domain": ("domain", "host", "hostname", "repository", "repo", "repo_name", "package"),
    "license": ("license", "licence", "licenses"),
    "sendable": ("sendable",),
}
"""What columns that hold ours are often called, the likeliest first."""
SHORTEST_TEXT = 50
"""Characters in the mean that a column without such a name must have to be taken for a text."""


class SeenColumn(NamedTuple):
    """A column, or a field `column.field`, of the rows that were read."""

    name: str
    filled: int
    different: int
    mean_characters: float
    example: str
    is_text: bool
    is_conversation: bool


@dataclass(frozen=True)
class FirstLook:
    """What there is at a path: `rows` is how many were read, `columns` what these have, in order;
    `partitions` are the columns that folders `name=value` give."""

    format: str
    files: int
    bytes: int
    rows: int
    columns: tuple[SeenColumn, ...]
    partitions: tuple[str, ...] = ()

    def column(self, name: str) -> SeenColumn | None:
        """The column of that name."""
        return next((each for each in self.columns if each.name == name), None)


def look(path: str) -> FirstLook:
    """The files at a path of this machine: a file, a folder with all below it, or a pattern.
    InputError where there are none that can be read."""
    files = _files(path)
    if not files:
        raise InputError(f"{path}: there are no files; name a file, or a folder of files")
    kind = _kind(path, files)
    of_kind = [file for file in files if FORMATS.get(suffix_of_format(file)) in (kind, None)]
    if kind == "delta":
        of_kind = [file for file in files if file.endswith(".parquet")]
    try:
        rows = list(islice(_rows(of_kind[:FILES_READ], kind), ROWS_READ))
    except (UnusableFileError, OSError, ValueError, *DAMAGED) as error:
        raise InputError(f"{path}: cannot be read as {kind}: {error}") from error
    if not rows:
        raise InputError(
            f"{path}: the first files have no rows that can be read as {kind}; name others"
        )
    below = {part for file in of_kind for part in os.path.relpath(file, path).split(os.sep)[:-1]}
    partitions = sorted({part.partition("=")[0] for part in below if "=" in part})
    size = sum(os.path.getsize(file) for file in of_kind)
    return FirstLook(kind, len(of_kind), size, len(rows), _columns(rows), tuple(partitions))


def guesses(seen: FirstLook) -> dict[str, str]:
    """Ours by name to the column that may hold it; those that none may hold are absent. A
    conversation stands in the place of a text."""
    found: dict[str, str] = {}
    for ours, names in NAMES.items():
        candidates = [each for each in seen.columns if _may_be(ours, each, seen)]
        by_name = {each.name.lower().rpartition(".")[2]: each.name for each in candidates[::-1]}
        named = next((by_name[name] for name in names if name in by_name), None)
        if named is None and ours == "messages" and candidates:
            named = candidates[0].name
        if named is None and ours == "text":
            longest = max(candidates, key=lambda each: each.mean_characters, default=None)
            if longest is not None and longest.mean_characters >= SHORTEST_TEXT:
                named = longest.name
        if named is not None and named not in found.values():
            found[ours] = named
    if "messages" in found:
        found.pop("text", None)
    if "source" not in found and (folders := set(NAMES["source"]) & set(seen.partitions)):
        found["source"] = min(folders)
    return found


def _may_be(ours: str, column: SeenColumn, seen: FirstLook) -> bool:
    if ours == "messages":
        return column.is_conversation
    if ours == "text":
        return column.is_text and not column.is_conversation
    if ours == "doc_id":
        return column.filled == column.different == seen.rows
    return column.filled > 0


def _files(path: str) -> list[str]:
    """The files at the path that are neither hidden nor empty, in order."""
    found = sorted(files_below(path))
    return [file for file, size, _ in found if size and not is_hidden(os.path.basename(file))]


def _kind(path: str, files: Sequence[str]) -> str:
    """The format of most files, by name; where names say nothing by what the first one holds."""
    if os.path.isdir(os.path.join(path, "_delta_log")):
        return "delta"
    kinds = Counter(kind for file in files if (kind := FORMATS.get(suffix_of_format(file))))
    return kinds.most_common(1)[0][0] if kinds else _content_kind(files[0])


def _content_kind(file: str) -> str:
    with open(file, "rb") as stored:
        head = decompressed(stored).peek(4096)[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"PAR1"):
        return "parquet"
    return "json" if head.startswith((b"{", b"[")) else "text"


def _rows(files: Iterable[str], kind: str) -> Iterator[Mapping[str, Any]]:
    for file in files:
        if kind in ("parquet", "delta"):
            for batch in pq.ParquetFile(file).iter_batches(ROWS_READ):
                yield from batch.to_pylist()
        else:
            form = RecordFormat(kind, {})
            for _, record, _ in file_records(RecordFile(file, {}), form):
                if record is not None:
                    yield record


def _columns(rows: Sequence[Mapping[str, Any]]) -> tuple[SeenColumn, ...]:
    values: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            values.setdefault(name, []).append(value)
            if isinstance(value, dict):
                for field, inner in value.items():
                    values.setdefault(f"{name}.{field}", []).append(inner)
    return tuple(_column(name, some) for name, some in values.items())


def _column(name: str, values: Sequence[Any]) -> SeenColumn:
    filled = [value for value in values if value not in (None, "", [], {})]
    texts = [v if isinstance(v, str) else json.dumps(v, default=str) for v in filled]
    lists = [t for t, v in zip(texts, filled, strict=True) if isinstance(v, list) or t[0] in "[{"]
    talks = sum(bool(read_turns(text)) for text in lists)
    return SeenColumn(
        name,
        len(filled),
        len(set(texts)),
        sum(map(len, texts)) / len(texts) if texts else 0.0,
        texts[0] if texts else "",
        bool(filled) and all(isinstance(value, str) for value in filled),
        bool(filled) and not isinstance(filled[0], dict) and talks > 0.9 * len(filled),
    )
