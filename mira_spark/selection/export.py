"""A selection as numbered files in order, made anew where one is missing.

A file is whole or not there. The folder says from the start whose export it is; `manifest.json`,
which names every file with its digest, comes last.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus.conversation_column import original_messages
from mira_spark.errors import ArtefactError, InputError, ReconciliationError
from mira_spark.lake import storage
from mira_spark.lake.storage import Root
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import reach
from mira_spark.process.progress import counted
from mira_spark.scoring.checks import SCORE_KEY
from mira_spark.selection import lost_versions, record
from mira_spark.selection.record import Selection

Format = Literal["parquet", "jsonl"]
_MANIFEST, BEGUN = "manifest.json", "manifest.json.begun"
_OTHER = "name another folder with --to"
FILE_TOKENS = 25_000_000
"""About 100 MB of text: the driver holds one file at a time."""
ORDER = ("source", "bucket", "doc_id")
WRITTEN = ("doc_id", "source", "source_group", "text", "n_tokens", "quality", "content_hash",
           "messages")  # fmt: skip
"""`messages` are those that a conversation was read from: JSON in a string of Parquet, null for
other documents; a value of JSON in lines, which the others lack."""


@dataclass(frozen=True)
class Piece:
    """What one file holds: the selected documents of a source in a range of buckets, both ends
    included."""

    source: str
    first_bucket: int
    last_bucket: int
    documents: int
    tokens: int


@dataclass(frozen=True)
class ExportSummary:
    """What an export did: files in the folder, and those that were there before."""

    files: int
    found: int
    documents: int
    tokens: int


def pieces(counts: Iterable[tuple[str, int, int, int]], most_tokens: int) -> list[Piece]:
    """The files for (source, bucket, documents, tokens), in their order: of one source each, with
    at most `most_tokens`, or a single bucket."""
    found: list[Piece] = []
    for source, bucket, documents, tokens in sorted(counts, key=lambda c: (c[0].encode(), c[1])):
        last = found[-1] if found else None
        if last and last.source == source and last.tokens + tokens <= most_tokens:
            sums = last.documents + documents, last.tokens + tokens
            found[-1] = Piece(source, last.first_bucket, bucket, *sums)
        else:
            found.append(Piece(source, bucket, bucket, documents, tokens))
    return found


def export(lake: Lakehouse, one: Selection, format_: Format, folder: Root) -> ExportSummary:
    """Write the selection's documents into the folder at a path or URI, in the order (source,
    bucket, doc_id); files of an interrupted call stay.

    InputError when the folder holds anything else, or what the view reads is gone;
    ReconciliationError when the documents are not those that `selections` counted.
    """
    content = {"selection_id": one.selection_id, "format": format_, "order": list(ORDER)}
    place = storage.location(folder)
    before = _digests_before(place, content)
    lost_versions.check_readable(lake, [one])
    rows = _rows(lake, one)
    planned = _planned(rows, one)
    storage.write_content(_json(content), f"{place}/{BEGUN}")
    entries, found = [], 0
    with counted(len(planned), "export") as done:
        for number, piece in enumerate(planned):
            name = f"{number:06d}.{format_}"
            entry = _entry(place, name, piece, format_)
            if entry is None or before.get(name, entry["sha256"]) != entry["sha256"]:
                encoded = _encoded(_table(rows, piece), format_)
                storage.write_content(encoded, f"{place}/{name}")
                reach("export.file")
                entry = _entry(place, name, piece, format_)
            else:
                found += 1
            entries.append(entry)
            done(1, piece.source)
    reach("export.files")
    sums = {"documents": one.selected_documents, "tokens": one.selected_tokens}
    named = {"name": one.name, "digest": one.digest, "documents_version": one.versions[0],
             "scores_version": one.versions[1], "tables": dict(one.tables),
             "columns": list(WRITTEN)}  # fmt: skip
    named |= {f"{table}_version": version for table, version in one.further.items()}
    whole = content | named | sums | {"files": entries}
    storage.write_content(_json(whole), f"{place}/{_MANIFEST}")
    storage.remove_file(f"{place}/{BEGUN}")
    return ExportSummary(len(planned), found, **sums)


def _digests_before(place: str, content: Mapping[str, Any]) -> dict[str, str]:
    """File to SHA-256 where the export was finished before; InputError when the folder holds
    something else than this export."""
    if storage.has_file(place):
        raise InputError(f"{place} is a file, should be a folder: {_OTHER}")
    if not storage.file_names(place):
        return {}
    for name in (_MANIFEST, BEGUN):
        try:
            there = json.loads(storage.read_file(f"{place}/{name}"))
            before = {key: there[key] for key in content}
            digests = {entry["file"]: entry["sha256"] for entry in there.get("files", ())}
        except ArtefactError:  # it is not there
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{place}/{name} is not of an export: {_OTHER}") from error
        if before != content:
            raise InputError(
                f"{place} holds an export of selection {before['selection_id']} as "
                f"{before['format']}, not of {content['selection_id']} as {content['format']}: "
                f"{_OTHER}"
            )
        return digests
    raise InputError(f"{place} holds files that are not of an export: {_OTHER}")


def _rows(lake: Lakehouse, one: Selection) -> DataFrame:
    """The selected documents with their texts."""
    if one.settings.materialize == "text":
        return record.listed_documents(lake, one)
    documents = lake.read("documents", one.version("documents"))
    texts = documents.select(*SCORE_KEY, "text", original_messages().alias("messages"))
    return record.selection_documents(lake, one).join(texts, on=SCORE_KEY, how="inner")


def _planned(rows: DataFrame, one: Selection) -> list[Piece]:
    counts = rows.groupBy("source", "bucket").agg(
        F.count("*").alias("documents"), F.sum("n_tokens").alias("tokens")
    )
    planned = pieces([tuple(row) for row in counts.collect()], FILE_TOKENS)
    found = sum(p.documents for p in planned), sum(p.tokens for p in planned)
    if found != (one.selected_documents, one.selected_tokens):
        raise ReconciliationError(
            f"{one.title} has {one.selected_documents:,} documents of {one.selected_tokens:,} "
            f"tokens; {found[0]:,} of {found[1]:,} were found: run mira select-documents, then "
            "export again"
        )
    return planned


def _table(rows: DataFrame, piece: Piece) -> pa.Table:
    here = rows.filter(F.col("source") == F.lit(piece.source))
    here = here.filter(F.col("bucket").between(piece.first_bucket, piece.last_bucket))
    here = here.withColumn("content_hash", F.lower(F.hex("content_hash")))
    found = here.orderBy("bucket", "doc_id").select(*WRITTEN).toArrow()
    if found.num_rows != piece.documents:
        raise ReconciliationError(
            f"{piece.source}, buckets {piece.first_bucket} to {piece.last_bucket}: "
            f"{piece.documents:,} documents were counted, {found.num_rows:,} were read: run mira "
            "export again"
        )
    return found


def _encoded(table: pa.Table, format_: Format) -> bytes:
    if format_ == "parquet":
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        return bytes(sink.getvalue())
    return "".join(map(_line, table.to_pylist())).encode("utf-8", "backslashreplace")


def _line(row: dict[str, Any]) -> str:
    """The row as a line of JSON, halves of pairs unescaped."""
    messages = row.pop("messages")
    if messages is not None:
        row["messages"] = json.loads(messages)
    return json.dumps(row, ensure_ascii=False) + "\n"


def _documents_in(content: bytes, format_: Format) -> int | None:
    """Documents in a file; None when it cannot be read."""
    if format_ == "jsonl":
        return content.count(b"\n")
    try:
        return int(pq.read_metadata(pa.BufferReader(content)).num_rows)
    except (OSError, pa.ArrowInvalid):
        return None


def _entry(place: str, name: str, piece: Piece, format_: Format) -> dict[str, Any] | None:
    """What the manifest says of a file; None when it is not there or not of so many documents."""
    try:
        content = storage.read_file(f"{place}/{name}")
    except ArtefactError:
        return None
    if _documents_in(content, format_) != piece.documents:
        return None
    digest = hashlib.sha256(content).hexdigest()
    return {"file": name, "sha256": digest, "bytes": len(content)} | asdict(piece)


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
