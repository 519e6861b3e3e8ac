"""What comes in, changes, is revoked and withdrawn, from files as users have them."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from pyspark.sql import Row, functions as F

from mira_spark.corpus.input_rows import changes_told, named_inputs
from mira_spark.errors import InputError
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.root import Settings, load
from mira_spark.steps import ingest_corpus
from tests.corpus.test_tokens import bytewise

COLUMNS = {"doc_id": "id", "license": "law", "domain": "host", "sendable": "ok"}


def chosen(lake: Lakehouse, folder: Path, **changes: object) -> Settings:
    corpus = {"input": "json", "path": str(folder / "in"), "columns": COLUMNS} | changes
    return load(
        None,
        [f"namespace={lake.namespace}", f"folder={folder}", f"corpus={json.dumps(corpus)}"],
    )


def write(folder: Path, rows: Sequence[Mapping[str, object]], name: str = "rows.json") -> Path:
    (folder / "in").mkdir(exist_ok=True)
    path = folder / "in" / name
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def document(place: int, **changes: object) -> dict[str, object]:
    row = {"id": f"d{place}", "source": "s", "text": f"text {place}", "law": "MIT", "host": "h",
           "ok": True, "note": "n"}  # fmt: skip
    return row | changes


@pytest.fixture
def empty(lake: Lakehouse) -> Lakehouse:
    create_tables(lake, ("documents", "rejected_documents"))
    return lake


def reasons(lake: Lakehouse) -> Counter[str]:
    return Counter(r["reason"] for r in lake.read("rejected_documents").collect())


def test_whatever_a_known_document_is_given_is_taken_in(empty: Lakehouse, tmp_path: Path) -> None:
    settings = chosen(empty, tmp_path)
    write(tmp_path, [document(i) for i in range(9)])
    ingest_corpus.run(empty, settings, "first")
    before = {r["doc_id"]: r for r in empty.read("documents").collect()}
    version = empty.version("documents")
    changed = [document(0, ok=False), document(1, law="GPL"), document(2, host=None),
               document(3, note="other"), document(4, ok="perhaps"), document(5, text="", ok=False),
               *map(document, range(6, 9))]  # fmt: skip
    write(tmp_path, changed)
    outcome = ingest_corpus.run(empty, settings, "second")
    assert outcome.message == (
        "0 new and 5 changed documents, 9 in all; 1 rejected, see rejected_documents; 1 not "
        "sendable: corpus.columns.sendable holds no boolean there; 1 no longer in the input: kept "
        "(corpus.removed: keep); input: 9 rows of 1 file = 8 documents + 1 rejected + 0 filtered"
    )
    now = {r["doc_id"]: r for r in empty.read("documents").collect()}
    assert [i for i in range(9) if not now[f"d{i}"]["sendable"]] == [0, 4, 5]
    assert (now["d1"]["license"], now["d2"]["domain"]) == ("GPL", None)
    assert now["d3"]["metadata"] == {"note": "other"}
    assert all(now[f"d{i}"] == before[f"d{i}"] for i in range(6, 9))
    kept = ("content_hash", "text", "n_tokens", "bucket", "source")
    assert all(now[d][c] == before[d][c] for d in now for c in kept)
    assert empty.version("documents") == version + 2, "one commit, and one for the empty text"
    without = chosen(empty, tmp_path, columns={"doc_id": "id"})
    ingest_corpus.run(empty, without, "third")
    after = {r["doc_id"]: r for r in empty.read("documents").collect()}
    given = ("license", "domain", "sendable")
    assert all(after[d][c] == now[d][c] for d in now for c in given), "what is not given stays"


def test_what_the_input_no_longer_holds_is_withdrawn(empty: Lakehouse, tmp_path: Path) -> None:
    settings = chosen(empty, tmp_path, removed="withdraw")
    write(tmp_path, [document(i) for i in range(4)])
    ingest_corpus.run(empty, settings, "first")
    write(tmp_path, [document(0), document(1, text=" ")])
    outcome = ingest_corpus.run(empty, settings, "second")
    assert "; 3 no longer in the input: withdrawn; " in outcome.message
    assert [r["doc_id"] for r in empty.read("documents").collect()] == ["d0"]
    gone = empty.read("rejected_documents").filter("reason = 'withdrawn'").orderBy("doc_id")
    assert [(r["doc_id"], r["source"], r["beginning"]) for r in gone.collect()] == [
        ("d1", "s", None), ("d2", "s", None), ("d3", "s", None),
    ]  # fmt: skip
    write(tmp_path, [document(0), document(2)])
    outcome = ingest_corpus.run(empty, settings, "third")
    assert outcome.message == (
        "1 new and 0 changed documents, 2 in all; input: 2 rows of 1 file = 2 documents + 0 "
        "rejected + 0 filtered"
    )
    version = empty.version("documents")
    write(tmp_path, [document(0, text="")])
    with pytest.raises(InputError, match="the corpus is empty: the input holds no document"):
        ingest_corpus.run(empty, settings, "fourth")
    assert empty.version("documents") == version, "an input without a document withdraws nothing"


def test_no_line_of_json_is_lost(empty: Lakehouse, tmp_path: Path) -> None:
    """Texts over 20 million characters, a line cut short, and what is no JSON at all."""
    large = document(0, text="0123456789" * 2_100_000)
    broken = write(tmp_path, [large, document(1), document(2)])
    broken.write_text(broken.read_text()[:-9] + "\nno json\n")
    outcome = ingest_corpus.run(empty, chosen(empty, tmp_path), "first")
    assert outcome.message == (
        "2 new and 0 changed documents, 2 in all; 2 rejected, see rejected_documents; input: 4 "
        "rows of 1 file = 2 documents + 2 rejected + 0 filtered"
    )
    sizes = {r["doc_id"]: r["n_bytes"] for r in empty.read("documents").collect()}
    assert sizes == {"d0": 21_000_000, "d1": 6}
    rejected = empty.read("rejected_documents").orderBy("beginning").collect()
    assert [(r["reason"], r["beginning"][:9]) for r in rejected] == [
        ("unreadable", "no json"), ("unreadable", '{"id": "d'),
    ]  # fmt: skip
    assert [(r["file"], r["line"]) for r in rejected] == [(str(broken), 4), (str(broken), 3)]
    limited = chosen(empty, tmp_path, max_document_bytes=20_000_000)
    ingest_corpus.run(empty, limited, "second")
    assert reasons(empty) == {"unreadable": 2, "too_large": 1}


def test_a_text_that_cannot_be_counted_is_rejected_alone(empty: Lakehouse, tmp_path: Path) -> None:
    """The pattern backtracks without end on a run of a; the library panics."""
    bytewise(r"(?:a|aa)+$|[^a]+").save(str(tmp_path / "tokenizer.json"))
    settings = chosen(empty, tmp_path, tokenizer=str(tmp_path / "tokenizer.json"))
    write(tmp_path, [document(i) for i in range(3)])
    ingest_corpus.run(empty, settings, "first")
    hostile = "a" * 40 + "!"
    changed = [document(0, ok=False), document(1, text=hostile), document(2, text=" " * 3_000_000),
               document(3, text=hostile), document(4, text="<|end|>")]  # fmt: skip
    write(tmp_path, changed)
    outcome = ingest_corpus.run(empty, settings, "second")
    assert outcome.message.startswith("1 new and 1 changed documents, 4 in all; 3 rejected")
    counts = {r["doc_id"]: r["n_tokens"] for r in empty.read("documents").collect()}
    assert counts == {"d0": 6, "d1": 6, "d2": 6, "d4": 7}
    assert reasons(empty) == {"uncountable": 2, "empty": 1}


def several(lake: Lakehouse, folder: Path, *inputs: Mapping[str, object]) -> Settings:
    """Settings with these inputs, all of JSON below the folder where they say nothing else."""
    columns = {"columns": {"doc_id": "id"}}
    named = [
        {"format": "json", "path": str(folder / str(each["name"]))} | columns | each
        for each in inputs
    ]
    corpus = {"inputs": named}
    return load(
        None,
        [f"namespace={lake.namespace}", f"folder={folder}", f"corpus={json.dumps(corpus)}"],
    )


def test_inputs_come_in_side_by_side_each_with_its_own_filter_cap_and_columns(
    empty: Lakehouse, tmp_path: Path
) -> None:
    for name in ("web", "books", "code"):
        (tmp_path / name).mkdir()
    rows = [document(i, id=f"w{i}", stars=i) for i in range(6)]
    (tmp_path / "web" / "a.jsonl").write_text("\n".join([*map(json.dumps, rows), "no json"]))
    (tmp_path / "web" / "README.md").write_text("web")
    books = "\n".join(["id,text,law", *(f"b{i},book {i},MIT" for i in range(20))])
    (tmp_path / "books" / "a.csv").write_text(books)
    spark = empty.spark
    spark.createDataFrame(
        [("c1", "c", "code")], "id string, source string, text string"
    ).write.format("delta").mode("overwrite").save(str(tmp_path / "code"))
    by_id = {"doc_id": "id"}
    settings = several(
        empty, tmp_path,
        {"name": "web", "filter": "stars > 1 AND note = 'n'",
         "columns": by_id | {"sendable": "ok"}},
        {"name": "books", "format": "csv", "source": "books", "cap": 5,
         "columns": by_id | {"license": "law"}},
        {"name": "code", "format": "delta"},
    )  # fmt: skip
    outcome = ingest_corpus.run(empty, settings, "first")
    assert outcome.message == (
        "10 new and 0 changed documents, 10 in all; 1 rejected, see rejected_documents; web: 7 "
        "rows of 1 file = 4 documents + 1 rejected + 2 filtered; 1 left out: README.md (no json "
        "by its name); books: 20 rows of 1 file = 5 documents + 0 rejected + 15 filtered; code: "
        "1 rows = 1 documents + 0 rejected + 0 filtered"
    )
    assert (outcome.status, outcome.rows_in, outcome.rows_out) == ("done", 28, 10)
    first = {r["doc_id"]: r for r in empty.read("documents").collect()}
    assert {i for i in first if i[0] in "wc"} == {"w2", "w3", "w4", "w5", "c1"}
    sources = Counter(r["source"] for r in first.values())
    assert sources == {"s": 4, "books": 5, "c": 1}
    # What an input does not give stays, also beside one that gives it.
    empty.update("documents", F.col("doc_id") == "c1", {"sendable": F.lit(False)})
    spark.createDataFrame(
        [("c1", "c", "code 2")], "id string, source string, text string"
    ).write.format("delta").mode("overwrite").save(str(tmp_path / "code"))
    outcome = ingest_corpus.run(empty, settings, "second")
    assert outcome.message.startswith("0 new and 1 changed documents, 10 in all; 1 rejected")
    second = {r["doc_id"]: r for r in empty.read("documents").collect()}
    assert (second["c1"]["text"], second["c1"]["sendable"]) == ("code 2", False)
    assert second.keys() == first.keys(), "the same five books"


def test_the_messages_of_a_conversation_stay_in_metadata_or_in_a_column(
    empty: Lakehouse, tmp_path: Path
) -> None:
    talk = [{"role": "user", "content": "hi", "n": 1}, {"role": "assistant", "content": "yes"}]
    (tmp_path / "chat").mkdir()
    file = tmp_path / "chat" / "a.jsonl"
    chat = {"name": "chat", "format": "messages"}

    def ingested(messages: object, run_id: str, **more: object) -> tuple[Row, str]:
        rows = [{"id": "a", "source": "s", "stars": 1, "messages": messages},
                {"id": "b", "source": "s", "messages": [5]}]  # fmt: skip
        file.write_text("\n".join(map(json.dumps, rows)))
        settings = several(empty, tmp_path, chat)
        corpus = settings.corpus.model_copy(update=more)
        outcome = ingest_corpus.run(empty, settings.model_copy(update={"corpus": corpus}), run_id)
        (row,) = empty.read("documents").collect()
        return row, outcome.message

    row, message = ingested(talk, "first")
    assert message.startswith("1 new and 0 changed documents, 1 in all; 1 rejected")
    assert row["text"] == "@@@ user\nhi\n@@@ assistant\nyes"
    assert (row["metadata"].pop("stars"), row["messages"]) == ("1", None)
    assert json.loads(row["metadata"].pop("messages")) == talk
    assert reasons(empty) == {"not_messages": 1}
    again, message = ingested(talk, "second")
    assert message.startswith("0 new and 0 changed")
    changed, message = ingested([talk[0] | {"n": 2}, talk[1]], "third", keep_messages="column")
    assert message.startswith("0 new and 1 changed")
    assert changed["content_hash"] == again["content_hash"]
    assert changed["metadata"] == {"stars": "1"}
    assert json.loads(changed["messages"])[0]["n"] == 2
    changed, message = ingested(talk, "fourth", keep_messages="column")
    assert message.startswith("0 new and 1 changed"), "the messages alone are others"


def test_what_was_made_anew_restored_or_replaced_is_another_input(
    empty: Lakehouse, tmp_path: Path
) -> None:
    spark, name = empty.spark, f"{empty.namespace}.users"
    file = write(tmp_path, [document(1)])
    folder = tmp_path / "delta"
    settings = several(
        empty, tmp_path,
        {"name": "files", "path": str(tmp_path / "in")},
        {"name": "table", "format": "table", "path": name},
        {"name": "folder", "format": "delta"} | {"path": str(folder)},
    )  # fmt: skip

    def make(text: str) -> None:
        spark.sql(f"DROP TABLE IF EXISTS {name}")
        spark.sql(f"CREATE TABLE {name} USING delta AS SELECT 'a' AS id, '{text}' AS text")
        shutil.rmtree(folder, ignore_errors=True)
        spark.sql(
            f"CREATE TABLE delta.`{folder}` USING delta AS SELECT 'a' AS id, '{text}' AS text"
        )

    make("one")
    before = ingest_corpus.inputs(empty, settings)
    assert ingest_corpus.inputs(empty, settings) == before
    make("two")  # with the versions of the first
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    file.write_text(file.read_text().replace("text 1", "text 2"))  # as long as before
    os.utime(file, ns=times)
    after = ingest_corpus.inputs(empty, settings)
    assert {key for key in before if after[key] != before[key]} == {"files", "table", "folder"}
    spark.sql(f"INSERT INTO {name} VALUES ('b', 'three')")
    inserted = ingest_corpus.inputs(empty, settings)["table"]
    spark.sql(f"RESTORE TABLE {name} TO VERSION AS OF 0")
    assert ingest_corpus.inputs(empty, settings)["table"] not in (after["table"], inserted)
    spark.sql(f"CREATE VIEW {empty.namespace}.a_view AS SELECT * FROM {name}")
    viewed = several(empty, tmp_path, {"name": "view", "format": "table"} | {
        "path": f"{empty.namespace}.a_view"})  # fmt: skip
    assert ingest_corpus.inputs(empty, viewed)["view"].startswith("unknown at ")


def test_a_table_with_mapped_columns_and_removed_rows_is_read(
    empty: Lakehouse, tmp_path: Path
) -> None:
    name = f"{empty.namespace}.users"
    empty.spark.sql(
        f"CREATE TABLE {name} (`my id` STRING, source STRING, `the.text` STRING) USING delta "
        "TBLPROPERTIES ('delta.columnMapping.mode' = 'name', "
        "'delta.enableDeletionVectors' = 'true')"
    )
    empty.spark.sql(f"INSERT INTO {name} VALUES ('a', 's', 'one'), ('b', 's', 'two')")
    empty.spark.sql(f"DELETE FROM {name} WHERE `my id` = 'b'")
    columns = {"columns": {"doc_id": "my id", "text": "the.text"}}
    path = f"`{empty.namespace}`.users"
    settings = several(empty, tmp_path, {"name": "t", "format": "table", "path": path} | columns)
    ingest_corpus.run(empty, settings, "first")
    assert [(r["doc_id"], r["text"]) for r in empty.read("documents").collect()] == [("a", "one")]


def test_an_input_may_gain_columns_and_lose_none_that_is_named(
    empty: Lakehouse, tmp_path: Path
) -> None:
    settings = chosen(empty, tmp_path)
    write(tmp_path, [document(1)])
    ingest_corpus.run(empty, settings, "first")
    write(tmp_path, [document(1, more=[1])])
    outcome = ingest_corpus.run(empty, settings, "second")
    assert outcome.message.startswith("0 new and 1 changed documents")
    (row,) = empty.read("documents").collect()
    assert row["metadata"] == {"note": "n", "more": "[1]"}
    lost = document(1)
    del lost["law"]
    write(tmp_path, [lost])
    with pytest.raises(InputError) as refused:
        ingest_corpus.run(empty, settings, "third")
    assert str(refused.value) == (
        "corpus.columns.license: the input has no column law; it has: id, source, text, host, ok, "
        "note"
    )


def test_a_filter_without_a_value_and_files_that_vanish_are_said_in_a_line(
    empty: Lakehouse, tmp_path: Path
) -> None:
    file = write(tmp_path, [document(1), document(2)])
    settings = several(empty, tmp_path, {"name": "in", "filter": "CAST(text AS INT) > 1"})
    with pytest.raises(InputError) as refused:
        ingest_corpus.run(empty, settings, "first")
    assert str(refused.value).startswith("corpus.inputs.in.filter: has no value for a row: ")
    assert "CAST_INVALID_INPUT" in str(refused.value)
    assert str(refused.value).count("\n") == 0

    def read_while_it_vanishes() -> None:
        with changes_told(empty.spark, named_inputs(settings.corpus)):
            rows = empty.spark.read.text(str(file))
            file.unlink()
            (tmp_path / "in" / "other.json").write_text("{}")
            rows.collect()

    with pytest.raises(InputError) as changed:
        read_while_it_vanishes()
    assert str(changed.value) == (
        f"corpus.inputs.in.path: {tmp_path}/in changed while it was read: run the command again "
        "when nothing is written there"
    )


def test_many_rows_with_the_id_of_another_document_end_degraded(
    empty: Lakehouse, tmp_path: Path
) -> None:
    write(tmp_path, [document(i % 3, text=f"text {i}") for i in range(9)])
    outcome = ingest_corpus.run(empty, chosen(empty, tmp_path), "first")
    assert outcome.status == "degraded"
    assert outcome.message == (
        "3 new and 0 changed documents, 3 in all; 6 rejected, see rejected_documents; input: 6 of "
        "9 rows have the id of another document: is columns.doc_id the right column?; input: 9 "
        "rows of 1 file = 3 documents + 6 rejected + 0 filtered"
    )
