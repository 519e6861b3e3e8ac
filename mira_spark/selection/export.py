"""A selection as numbered files in order, made anew where one is missing.

A file is whole or not there. The folder says from the start whose export it is; `manifest.json`,
which names every file with its digest, comes last.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus.conversation_column import MESSAGES, original_messages
from mira_spark.errors import ArtefactError, InputError, ReconciliationError
from mira_spark.lake import storage
from mira_spark.lake.storage import Root
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import reach
from mira_spark.process.progress import counted
from mira_spark.scoring.checks import SCORE_KEY
from mira_spark.selection import lost_versions, record
from mira_spark.selection.export_files import (
    Compression,
    Format,
    check_compression,
    documents_in,
    encoded,
    file_name,
)
from mira_spark.selection.record import Selection

_MANIFEST, BEGUN = "manifest.json", "manifest.json.begun"
_OTHER = "name another folder with --to"
FILE_TOKENS = 25_000_000
"""About 100 MB of text: the driver holds one file at a time."""
ORDER = ("source", "bucket", "doc_id")
WRITTEN = ("doc_id", "source", "source_group", "text", "n_tokens", "quality", "content_hash",
           "messages")  # fmt: skip
"""`messages` are those that a conversation was read from: JSON in a string of Parquet, null for
other documents; a value of JSON in lines, which the others lack."""
FROM_DOCUMENTS = ("domain", "license", "metadata")
"""What stands in `documents` alone: a selection that keeps its texts is exported without it once
the version of `documents` that it was made from cannot be read any more. `metadata` has no messages
a second time."""


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


def export(
    lake: Lakehouse,
    one: Selection,
    format_: Format,
    folder: Root,
    compression: Compression | None = None,
) -> ExportSummary:
    """Write the selection's documents into the folder at a path or URI, in the order (source,
    bucket, doc_id), by default compressed as COMPRESSIONS says; files of an interrupted call stay.

    InputError when the folder holds anything else, or what the view reads is gone; ConfigError for
    a compression that cannot be; ReconciliationError when the documents are not those that
    `selections` counted.
    """
    packing = format_, check_compression(format_, compression)
    columns = _columns(lake, one)
    content = {"selection_id": one.selection_id, "format": format_, "compression": packing[1],
               "columns": list(columns), "order": list(ORDER)}  # fmt: skip
    place = storage.location(folder)
    before = _digests_before(place, content)
    lost_versions.check_readable(lake, [one])
    rows = _rows(lake, one, columns)
    planned = _planned(rows, one)
    storage.write_content(_json(content), f"{place}/{BEGUN}")
    entries, found = [], 0
    with counted(len(planned), "export") as done:
        for number, piece in enumerate(planned):
            name = file_name(number, *packing)
            entry = _entry(place, name, piece, *packing)
            if entry is None or before.get(name, entry["sha256"]) != entry["sha256"]:
                table = _table(rows, piece, columns)
                storage.write_content(encoded(table, *packing), f"{place}/{name}")
                reach("export.file")
                entry = _entry(place, name, piece, *packing)
            else:
                found += 1
            entries.append(entry)
            done(1, piece.source)
    reach("export.files")
    storage.write_content(_json(_manifest(one, content, entries)), f"{place}/{_MANIFEST}")
    storage.remove_file(f"{place}/{BEGUN}")
    return ExportSummary(len(planned), found, one.selected_documents, one.selected_tokens)


def _manifest(
    one: Selection, content: Mapping[str, Any], entries: Sequence[Mapping[str, Any] | None]
) -> dict[str, Any]:
    sums = {"documents": one.selected_documents, "tokens": one.selected_tokens}
    named = {"name": one.name, "digest": one.digest, "documents_version": one.versions[0],
             "scores_version": one.versions[1], "tables": dict(one.tables)}  # fmt: skip
    named |= {f"{table}_version": version for table, version in one.further.items()}
    return {**content, **named, **sums, "files": entries}


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
            before = {key: there[key] for key in ("selection_id", "format")}
            before |= {key: there.get(key) for key in content}
            digests = {entry["file"]: entry["sha256"] for entry in there.get("files", ())}
        except ArtefactError:  # it is not there
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{place}/{name} is not of an export: {_OTHER}") from error
        if before != content:
            raise InputError(
                f"{place} holds an export of selection {_described(before, content)}, not of "
                f"{_described(content, before)}: {_OTHER}"
            )
        return digests
    raise InputError(f"{place} holds files that are not of an export: {_OTHER}")


def _described(content: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Which export it is, by what tells it from the other."""
    said = f"{content['selection_id']} as {content['format']}"
    if all(content[key] == other[key] for key in ("selection_id", "format")):
        further = [key for key in content if content[key] != other[key]]
        said += "".join(f" with {key} {content[key]}" for key in further)
    return said


def _columns(lake: Lakehouse, one: Selection) -> tuple[str, ...]:
    """What can be written of it."""
    if one.settings.materialize == "text" and lost_versions.lost_versions(
        lake, [one], ["documents"]
    ):
        return WRITTEN
    return (*WRITTEN, *FROM_DOCUMENTS)


def _rows(lake: Lakehouse, one: Selection, columns: Collection[str]) -> DataFrame:
    """The selected documents with their texts, and what else of `documents` is to be written."""
    keeps_texts = one.settings.materialize == "text"
    rows = (
        record.listed_documents(lake, one) if keeps_texts else record.selection_documents(lake, one)
    )
    if not set(FROM_DOCUMENTS) <= set(columns):
        return rows
    messages = original_messages()
    others = F.map_filter("metadata", lambda key, _: key != MESSAGES)
    metadata = F.when(messages.isNull(), F.col("metadata")).otherwise(others).alias("metadata")
    texts = () if keeps_texts else ("text", messages.alias("messages"))
    documents = lake.read("documents", one.version("documents"))
    theirs = documents.select(*SCORE_KEY, *texts, "domain", "license", metadata)
    return rows.join(theirs, on=SCORE_KEY, how="inner")


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


def _table(rows: DataFrame, piece: Piece, columns: Collection[str]) -> pa.Table:
    here = rows.filter(F.col("source") == F.lit(piece.source))
    here = here.filter(F.col("bucket").between(piece.first_bucket, piece.last_bucket))
    here = here.withColumn("content_hash", F.lower(F.hex("content_hash")))
    found = here.orderBy("bucket", "doc_id").select(*columns).toArrow()
    if found.num_rows != piece.documents:
        raise ReconciliationError(
            f"{piece.source}, buckets {piece.first_bucket} to {piece.last_bucket}: "
            f"{piece.documents:,} documents were counted, {found.num_rows:,} were read: run mira "
            "export again"
        )
    return found


def _entry(
    place: str, name: str, piece: Piece, format_: Format, compression: Compression
) -> dict[str, Any] | None:
    """What the manifest says of a file; None when it is not there or not of so many documents."""
    try:
        content = storage.read_file(f"{place}/{name}")
    except ArtefactError:
        return None
    if documents_in(content, format_, compression) != piece.documents:
        return None
    digest = hashlib.sha256(content).hexdigest()
    return {"file": name, "sha256": digest, "bytes": len(content)} | asdict(piece)


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
