"""A selection in numbered files: all of it, in order, whole files only, and none twice."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st
from pyspark.sql import SparkSession, functions as F

from mira_spark.errors import InputError, ReconciliationError
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import DrillError
from mira_spark.selection import export as exporting, record
from mira_spark.selection.export import Piece, export, pieces
from mira_spark.selection.export_files import Compression
from mira_spark.selection.record import Selection
from mira_spark.settings.selection import SelectionSettings
from mira_spark.steps import select_documents
from tests import selection_lake

Both = tuple[Lakehouse, Selection, Selection]

MESSAGES = '[{"role":"user","content":"é\\ud800\\n"}]'
PARSED = json.loads(MESSAGES)
COUNTS = st.dictionaries(
    st.tuples(st.sampled_from(["é", "web", "Z"]), st.integers(0, 9)),
    st.tuples(st.integers(1, 5), st.integers(0, 40)),
)


@given(COUNTS, st.integers(1, 100))
def test_pieces_hold_every_bucket_once_in_order(
    counts: dict[tuple[str, int], tuple[int, int]], most: int
) -> None:
    found = pieces([(*key, *count) for key, count in counts.items()], most)
    ends = [(p.source.encode(), b) for p in found for b in (p.first_bucket, p.last_bucket)]
    assert ends == sorted(ends)
    for key, _ in counts.items():
        assert sum(p.source == key[0] and p.first_bucket <= key[1] <= p.last_bucket
                   for p in found) == 1  # fmt: skip
    for column in (0, 1):
        total = sum(count[column] for count in counts.values())
        assert sum((p.documents, p.tokens)[column] for p in found) == total
    assert all(p.tokens <= most or p.first_bucket == p.last_bucket for p in found)


def test_a_piece_ends_where_another_bucket_would_not_fit() -> None:
    counts = [("b", 0, 1, 9), ("a", 2, 1, 5), ("a", 0, 1, 5), ("a", 1, 2, 5)]
    assert pieces(counts, 10) == [
        Piece("a", 0, 1, 3, 10), Piece("a", 2, 2, 1, 5), Piece("b", 0, 0, 1, 9),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def made(
    spark: SparkSession, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Both]:
    with selection_lake.open_lake(spark, "exporting", home, tmp_path_factory) as (lake, settings):
        chats = {
            "text": F.lit("@@@ user\né"),
            "metadata": F.create_map(F.lit("messages"), F.lit(MESSAGES)),
        }
        lake.update("documents", F.col("source") == "chat", chats)
        for changes in (
            {"name": "view"},
            {"name": "texts", "materialize": "text", "budget": "20%"},
        ):
            chosen = SelectionSettings.model_validate(changes)
            select_documents.run(lake, settings.model_copy(update={"selection": chosen}), "r")
        yield lake, record.selection_named(lake, "view"), record.selection_named(lake, "texts")


def of_documents(lake: Lakehouse) -> dict[str, tuple[object, ...]]:
    """Domain, license and metadata of each document, its messages not among them."""
    return {
        r["doc_id"]: (r["domain"], r["license"],
                      {k: v for k, v in r["metadata"].items() if k != "messages"})
        for r in lake.read("documents").collect()
    }  # fmt: skip


def expected(lake: Lakehouse, view: str) -> list[tuple[object, ...]]:
    """doc_id, text and tokens of the view's documents, in the order they should be written."""
    buckets = {r["doc_id"]: r["bucket"] for r in lake.read("documents").collect()}
    rows = lake.read(view).collect()
    rows.sort(key=lambda r: (r["source"].encode(), buckets[r["doc_id"]], r["doc_id"].encode()))
    return [(r["doc_id"], r["text"], r["n_tokens"], r["quality"]) for r in rows]


@pytest.mark.long
def test_an_interrupted_export_goes_on_and_is_whole(
    made: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, one, other = made
    folder = tmp_path / "out"
    monkeypatch.setattr(exporting, "FILE_TOKENS", 1_000)
    monkeypatch.setenv("MIRA_FAILPOINTS", "export.file=raise")
    for _ in range(2):
        with pytest.raises(DrillError):
            export(lake, one, "jsonl", folder)
    assert sorted(p.name for p in folder.glob("*.jsonl")) == ["000000.jsonl", "000001.jsonl"]
    assert not (folder / "manifest.json").exists()
    monkeypatch.delenv("MIRA_FAILPOINTS")
    with pytest.raises(InputError, match=f"{one.selection_id} as jsonl, not of .* as parquet"):
        export(lake, one, "parquet", folder)
    with pytest.raises(InputError) as refused:
        export(lake, one, "jsonl", folder, "gzip")
    assert str(refused.value) == (
        f"{folder} holds an export of selection {one.selection_id} as jsonl with compression none, "
        f"not of {one.selection_id} as jsonl with compression gzip: name another folder with --to"
    )
    with pytest.raises(InputError, match="name another folder with --to"):
        export(lake, other, "jsonl", folder)
    done = export(lake, one, "jsonl", folder)
    assert (done.found, done.documents) == (2, one.selected_documents)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["selection_id"] == one.selection_id
    names = [entry["file"] for entry in manifest["files"]]
    assert sorted(p.name for p in folder.iterdir()) == [*names, "manifest.json"]
    assert len(names) == done.files > 4
    lines, theirs = [], {}
    for entry in manifest["files"]:
        content = (folder / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        rows = [json.loads(line) for line in content.splitlines()]
        assert (len(rows), sum(r["n_tokens"] for r in rows)) == (
            entry["documents"], entry["tokens"],
        )  # fmt: skip
        assert all(("messages" in r) == (r["source"] == "chat") for r in rows)
        assert all(r.get("messages", PARSED) == PARSED for r in rows)
        lines += [(r["doc_id"], r["text"], r["n_tokens"], r["quality"]) for r in rows]
        theirs |= {r["doc_id"]: (r["domain"], r["license"], r["metadata"]) for r in rows}
    assert lines == expected(lake, "selected_view")
    known = of_documents(lake)
    assert theirs == {doc_id: known[doc_id] for doc_id in theirs}
    damaged = folder / names[1]
    before = damaged.read_bytes()
    damaged.write_bytes(before.replace(b"text", b"tekst", 1))
    assert export(lake, one, "jsonl", folder).found == done.files - 1
    assert damaged.read_bytes() == before


@pytest.mark.long
def test_parquet_of_kept_texts_needs_no_pinned_version(made: Both, tmp_path: Path) -> None:
    lake, view, one = made
    rows = expected(lake, "selected_texts")
    export(lake, replace(one, versions=(99, 99)), "parquet", tmp_path)
    found = [r for p in sorted(tmp_path.glob("*.parquet")) for r in pq.read_table(p).to_pylist()]
    assert [(r["doc_id"], r["text"], r["n_tokens"], r["quality"]) for r in found] == rows
    assert "license" not in found[0], "documents cannot be read any more"
    messages = {(r["source"] == "chat", r["messages"]) for r in found}
    assert messages == {(True, MESSAGES), (False, None)}
    with pytest.raises(InputError, match="documents version 99 cannot be read any more"):
        export(lake, replace(view, versions=(99, 1)), "parquet", tmp_path / "view")
    assert not (tmp_path / "view").exists()


@pytest.mark.long
def test_kept_texts_have_what_documents_say_of_them(made: Both, tmp_path: Path) -> None:
    lake, _, one = made
    export(lake, one, "parquet", tmp_path, "gzip")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["compression"] == "gzip"
    assert manifest["columns"][-3:] == ["domain", "license", "metadata"]
    found = [r for p in sorted(tmp_path.glob("*.parquet")) for r in pq.read_table(p).to_pylist()]
    assert [(r["doc_id"], r["text"], r["n_tokens"], r["quality"]) for r in found] == expected(
        lake, "selected_texts"
    )
    theirs = {r["doc_id"]: (r["domain"], r["license"], dict(r["metadata"])) for r in found}
    known = of_documents(lake)
    assert theirs == {doc_id: known[doc_id] for doc_id in theirs}


@pytest.mark.long
@pytest.mark.parametrize(("compression", "end"), [("gzip", "gz"), ("zstd", "zst")])
def test_an_interrupted_export_of_compressed_lines_goes_on(
    made: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: Compression, end: str
) -> None:
    lake, one, _ = made
    monkeypatch.setattr(exporting, "FILE_TOKENS", 1_000)
    monkeypatch.setenv("MIRA_FAILPOINTS", "export.file=raise")
    with pytest.raises(DrillError):
        export(lake, one, "jsonl", tmp_path, compression)
    monkeypatch.delenv("MIRA_FAILPOINTS")
    with pytest.raises(InputError, match=f"compression {compression}, not of"):
        export(lake, one, "jsonl", tmp_path)
    done = export(lake, one, "jsonl", tmp_path, compression)
    assert done.found == 1
    lines = []
    for entry in json.loads((tmp_path / "manifest.json").read_text())["files"]:
        assert entry["file"].endswith(f".jsonl.{end}")
        content = (tmp_path / entry["file"]).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (
            entry["sha256"], entry["bytes"],
        )  # fmt: skip
        whole = pa.input_stream(io.BytesIO(content), compression=compression).read()
        lines += [json.loads(line) for line in whole.splitlines()]
    assert [(r["doc_id"], r["text"], r["n_tokens"], r["quality"]) for r in lines] == expected(
        lake, "selected_view"
    )
    damaged = tmp_path / f"000001.jsonl.{end}"
    before = damaged.read_bytes()
    damaged.write_bytes(before[:-9])
    assert export(lake, one, "jsonl", tmp_path, compression).found == done.files - 1
    assert damaged.read_bytes() == before


@pytest.mark.long
def test_a_folder_with_other_files_is_left_alone(made: Both, tmp_path: Path) -> None:
    lake, one, _ = made
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not of an export"):
        export(lake, one, "jsonl", tmp_path)
    (tmp_path / "manifest.json").write_text('{"files": []}')
    with pytest.raises(InputError, match="not of an export"):
        export(lake, one, "jsonl", tmp_path)
    with pytest.raises(InputError, match="is a file, should be a folder"):
        export(lake, one, "jsonl", tmp_path / "notes.txt")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["manifest.json", "notes.txt"]


@pytest.mark.long
def test_counts_other_than_the_selections_are_no_export(made: Both, tmp_path: Path) -> None:
    lake, _, one = made
    wrong = replace(one, selected_documents=one.selected_documents + 1)
    with pytest.raises(ReconciliationError, match="were found"):
        export(lake, wrong, "jsonl", tmp_path)
    assert list(tmp_path.iterdir()) == []
