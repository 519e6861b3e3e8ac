"""The files installed beside the running interpreter as a corpus of thirteen unlike sources.

A real corpus that every machine has, for demonstrations and tests: nothing is fetched. The same
environment gives the same rows in the same order, byte for byte.
"""

import hashlib
import logging
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mira_spark.corpus.docstrings import question_answers
from mira_spark.corpus.installed_files import (
    SOURCES,
    Environment,
    SourceFile,
    installed_files,
    this_environment,
)

__all__ = [
    "SCHEMA",
    "SOURCES",
    "CorpusLimits",
    "Environment",
    "SourceDocument",
    "SourceFile",
    "documents",
    "find_files",
    "fingerprint",
    "record_batches",
    "stage",
    "this_environment",
]

_LOG = logging.getLogger(__name__)

SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("text", pa.binary(), nullable=False),
        pa.field("domain", pa.string()),
        pa.field("license", pa.string()),
        pa.field("sendable", pa.bool_(), nullable=False),
        pa.field("metadata", pa.map_(pa.string(), pa.string()), nullable=False),
    ]
)
ROWS_VERSION = 1  # raised when the same files are to give other rows
PAIRS = "docstring_qa"
PAIRS_PER_FILE = 8
LARGE_FILE_BYTES = 200_000
_ASKED_ABOUT = {"stdlib_code", "package_code"}
_CODE_BYTES_PER_PAIR_BYTE = 3  # pairs are at most a part of the code that is read for them
_END_OF_HEADER = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True)
class CorpusLimits:
    """What one source may hold at most."""

    max_documents_per_source: int = 12_000
    max_bytes_per_source: int = 18_000_000


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """One row: `text` is as it was found, so it need not be valid UTF-8."""

    doc_id: str
    source: str
    text: bytes
    domain: str | None
    license: str | None
    metadata: dict[str, str]


def find_files(environment: Environment, limits: CorpusLimits) -> list[SourceFile]:
    """The files the corpus is made of, by source and identity.

    Where a source has more than `limits` allow, distributions take turns and each gives its files
    in the order of a hash, so that no giant package fills it; files over `LARGE_FILE_BYTES` and
    those that no longer fit are passed over. Code to be asked about comes once more as
    `docstring_qa`, in the order in which it was drawn.
    """
    by_source: dict[str, list[SourceFile]] = defaultdict(list)
    for file in installed_files(environment):
        by_source[file.source].append(file)
        if file.source in _ASKED_ABOUT:
            by_source[PAIRS].append(replace(file, source=PAIRS))
    code_bytes = _CODE_BYTES_PER_PAIR_BYTE * limits.max_bytes_per_source
    asked = _draw(by_source.pop(PAIRS, []), replace(limits, max_bytes_per_source=code_bytes))
    drawn = [file for files in by_source.values() for file in _draw(files, limits)]
    drawn.sort(key=lambda file: (file.source, file.id))
    return drawn + asked


def fingerprint(files: Iterable[SourceFile], limits: CorpusLimits) -> str:
    """A digest that is equal while the corpus would come out the same; it reads no file."""
    digest = hashlib.sha256(repr((ROWS_VERSION, sys.version, limits)).encode())
    for file in files:
        described = (file.source, file.id, file.distribution, file.license)
        digest.update(repr((*described, file.n_bytes, file.mtime_ns)).encode())
    return digest.hexdigest()


def documents(files: Iterable[SourceFile], limits: CorpusLimits) -> Iterator[SourceDocument]:
    """The documents in `files`, one file in memory at a time.

    A file that has gone or cannot be read is left out with a warning in the log; one without text,
    such as a package without a description, has no document. `limits` bound the pairs made of code.
    """
    pairs_left, room = limits.max_documents_per_source, limits.max_bytes_per_source
    for file in files:
        if file.source != PAIRS:
            yield from _documents_in(file)
        elif pairs_left:
            for pair in _documents_in(file):
                if pairs_left and len(pair.text) <= room:
                    yield pair
                    pairs_left -= 1
                    room -= len(pair.text)


def record_batches(
    files: Iterable[SourceFile], limits: CorpusLimits, batch_bytes: int = 16_000_000
) -> Iterator[pa.RecordBatch]:
    """The documents as Arrow batches of `SCHEMA`, each closed on reaching `batch_bytes` of text."""
    rows: list[dict[str, object]] = []
    n_bytes = 0
    for document in documents(files, limits):
        rows.append(_row(document))
        n_bytes += len(document.text)
        if n_bytes >= batch_bytes:
            yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
            rows, n_bytes = [], 0
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


def stage(
    files: Iterable[SourceFile], limits: CorpusLimits, folder: Path, part_bytes: int = 16_000_000
) -> int:
    """Writes the documents as Parquet files, one a batch, and says how many there are.

    `folder` must not be there yet, so that nothing an interrupted run left is read with them.
    """
    folder.mkdir(parents=True)
    n_documents = 0
    for number, batch in enumerate(record_batches(files, limits, part_bytes)):
        pq.write_table(pa.Table.from_batches([batch]), folder / f"part-{number:05d}.parquet")
        n_documents += batch.num_rows
    return n_documents


def _draw(files: Sequence[SourceFile], limits: CorpusLimits) -> list[SourceFile]:
    most, room = limits.max_documents_per_source, limits.max_bytes_per_source
    if len(files) > most or sum(file.n_bytes for file in files) > room:
        files = [file for file in files if file.n_bytes <= LARGE_FILE_BYTES]
    turns: dict[str | None, int] = defaultdict(int)
    in_turn: list[tuple[int, SourceFile]] = []
    for file in sorted(files, key=_hash):
        in_turn.append((turns[file.distribution], file))
        turns[file.distribution] += 1
    drawn: list[SourceFile] = []
    for _, file in sorted(in_turn, key=lambda turn: (turn[0], _hash(turn[1]))):
        if len(drawn) < most and file.n_bytes <= room:
            drawn.append(file)
            room -= file.n_bytes
    return drawn


def _hash(file: SourceFile) -> bytes:
    return hashlib.sha256(f"{file.source}\0{file.id}".encode()).digest()


def _documents_in(file: SourceFile) -> list[SourceDocument]:
    try:
        content = Path(file.path).read_bytes()
    except OSError as error:
        _LOG.warning("%s: left out, it cannot be read: %s", file.id, error)
        return []
    if file.source == PAIRS:
        return _pairs(file, content)
    text = _description(content) if file.source == "package_descriptions" else content
    return [_document(file, file.id, text, {"suffix": Path(file.id).suffix})] if text else []


def _pairs(file: SourceFile, code: bytes) -> list[SourceDocument]:
    module = file.id.partition("/")[2].removesuffix(".py").removesuffix("/__init__")
    dotted = module.replace("/", ".")
    return [
        _document(
            file, f"{file.id}::{name}", text.encode("utf-8", "backslashreplace"), {"name": name}
        )
        for name, text in question_answers(code, dotted, file.distribution, PAIRS_PER_FILE)
    ]


def _description(metadata: bytes) -> bytes:
    """What follows the header of a METADATA file: usually the project's README."""
    _, *body = _END_OF_HEADER.split(metadata, maxsplit=1)
    return body[0].strip() if body else b""


def _document(
    file: SourceFile, doc_id: str, text: bytes, metadata: dict[str, str]
) -> SourceDocument:
    described = {"path": file.id, **metadata}
    return SourceDocument(doc_id, file.source, text, file.distribution, file.license, described)


def _row(document: SourceDocument) -> dict[str, object]:
    return {
        "doc_id": document.doc_id,
        "source": document.source,
        "text": document.text,
        "domain": document.domain,
        "license": document.license,
        "sendable": True,
        "metadata": list(document.metadata.items()),
    }
