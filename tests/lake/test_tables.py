"""The tables: created with comments, kept from other schemas, read by version, written once."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import deltalake
import pytest
from pyspark.sql import SparkSession

from mira_spark.errors import SchemaError
from mira_spark.lake.creation import create_tables, restore_files
from mira_spark.lake.held_tables import holding
from mira_spark.lake.schemas import TABLES
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import DrillError


def run_row(run_id: str, step: str = "ingest_corpus") -> dict[str, object]:
    return {
        "run_id": run_id,
        "step": step,
        "status": "running",
        "started_at": datetime(2026, 1, 1, tzinfo=UTC),
        "settings_digest": "d",
        "package_version": "0",
        "inputs": {"documents": "3"},
    }


def test_every_table_and_column_says_what_it_holds(lake: Lakehouse) -> None:
    create_tables(lake)
    for name, table in TABLES.items():
        described = lake.read(name).schema
        assert [f.name for f in described] == [f.name for f in table.columns]
        assert all(f.metadata.get("comment") for f in described), name
    comments = lake.spark.sql(f"DESCRIBE TABLE EXTENDED {lake.name('scores')}").collect()
    assert TABLES["scores"].comment in [
        r["data_type"] for r in comments if r["col_name"] == "Comment"
    ]


def test_creating_twice_changes_nothing(lake: Lakehouse) -> None:
    create_tables(lake, ["runs"])
    lake.append_rows([run_row("a")], "runs", "a")
    version = lake.version("runs")
    create_tables(lake, ["runs"])
    assert lake.version("runs") == version
    assert lake.read("runs").count() == 1


def remove_files(lake: Lakehouse, table: str) -> None:
    (detail,) = lake.spark.sql(f"DESCRIBE DETAIL {lake.name(table)}").collect()
    shutil.rmtree(detail["location"].removeprefix("file:"))


def test_a_table_that_lost_its_files_is_refused_with_what_gives_it_up(lake: Lakehouse) -> None:
    create_tables(lake, ["runs"])
    lake.append_rows([run_row("a")], "runs", "a")
    remove_files(lake, "runs")
    with pytest.raises(SchemaError, match=f"files are gone.*DROP TABLE {lake.name('runs')}"):
        create_tables(lake, ["runs"])
    lake.spark.sql(f"DROP TABLE {lake.name('runs')}")
    create_tables(lake, ["runs"])
    assert lake.read("runs").count() == 0


def test_files_that_a_losing_create_schema_removed_are_restored(lake: Lakehouse) -> None:
    create_tables(lake, ["runs", "score_checks"])
    lake.append_rows([run_row("a")], "runs", "a")
    remove_files(lake, "score_checks")
    restore_files(lake, ["runs", "score_checks"])
    assert lake.read("runs").count() == 1
    assert lake.read("score_checks").count() == 0
    create_tables(lake, ["runs", "score_checks"])
    assert lake.snapshot("score_checks").version == 0


def test_tables_that_are_held_stay_as_they_were_and_the_others_do_not(lake: Lakehouse) -> None:
    create_tables(lake, ["runs", "rubrics"])
    lake.append_rows([run_row("a")], "runs", "a")
    held = holding(lake, "runs")
    lake.append_rows([run_row("b")], "runs", "b")
    assert [row["run_id"] for row in held.read("runs").collect()] == ["a"]
    assert lake.read("runs").filter("run_id = 'a'").collect() == held.read("runs").collect()
    assert held.read("runs", lake.version("runs")).count() == 2
    assert held.read("rubrics").isEmpty()


def test_an_existing_table_of_another_schema_is_refused_with_every_difference(
    lake: Lakehouse,
) -> None:
    create_tables(lake, ["runs"])
    lake.spark.sql(f"CREATE TABLE {lake.name('labels')} (doc_id INT, score DOUBLE) USING delta")
    with pytest.raises(SchemaError) as error:
        create_tables(lake)
    ours = lake.name("labels")
    assert f"{ours}: column doc_id is int, should be string" in str(error.value)
    assert f"{ours}: column score is not one of ours" in str(error.value)
    assert f"{ours}: column rubric_id (string) is missing" in str(error.value)
    shown = lake.spark.sql(f"SHOW TABLES IN {lake.namespace}").filter("NOT isTemporary")
    found = {r["tableName"] for r in shown.collect()}
    assert found == {"runs", "labels"}, "nothing is created when something is refused"


def test_delta_rs_reads_what_spark_wrote(lake: Lakehouse, home: Path) -> None:
    create_tables(lake, ["scores", "runs"])
    lake.append_rows([run_row("a"), run_row("b")], "runs", "a")
    folder = home / "warehouse" / f"{lake.namespace}.db"
    rows = deltalake.DeltaTable(str(folder / "runs")).to_pyarrow_table().to_pylist()
    assert sorted(r["run_id"] for r in rows) == ["a", "b"]
    clustered = deltalake.DeltaTable(str(folder / "scores"))
    assert [f.name for f in clustered.schema().fields] == TABLES["scores"].columns.names


def test_a_version_is_read_as_it_was(lake: Lakehouse) -> None:
    create_tables(lake, ["runs"])
    lake.append_rows([run_row("a")], "runs", "a")
    before = lake.version("runs")
    lake.append_rows([run_row("b")], "runs", "b")
    assert lake.read("runs", before).count() == 1
    assert lake.read("runs").count() == 2


def a_label(doc_id: str, digest: bytes = b"x") -> dict[str, object]:
    return {"doc_id": doc_id, "content_hash": digest, "source": "web", "source_group": "group_a",
            "rubric_id": "r", "scores": [1], "reasons": ["why"],
            "labelling_id": "l", "judge": "j", "unseen_share": 0.0, "call_key": "k"}  # fmt: skip


def labelled(lake: Lakehouse) -> list[str]:
    return sorted(row["doc_id"] for row in lake.read("labels").collect())


def test_a_chunk_whose_commit_was_not_heard_of_is_there_once(
    lake: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_tables(lake, ["labels"])
    monkeypatch.setenv("MIRA_FAILPOINTS", "labels.appended=raise")
    with pytest.raises(DrillError):
        lake.append_rows([a_label("a"), a_label("b")], "labels", "r", ("chunks", 1))
    monkeypatch.delenv("MIRA_FAILPOINTS")
    lake.append_rows([a_label("a"), a_label("b")], "labels", "r", ("chunks", 1))
    assert labelled(lake) == ["a", "b"]
    lake.append_rows([a_label("c")], "labels", "r", ("chunks", 2))
    assert labelled(lake) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "removal",
    ["DELETE FROM {}", pytest.param("RESTORE TABLE {} TO VERSION AS OF 0", marks=pytest.mark.long)],
)
def test_rows_that_delta_skips_and_the_table_lacks_are_appended(
    lake: Lakehouse, removal: str
) -> None:
    """Delta remembers transactions whose rows are gone."""
    create_tables(lake, ["labels"])
    lake.append_rows([a_label("a"), a_label("b")], "labels", "r", ("chunks", 1))
    lake.spark.sql(removal.format(lake.name("labels")))
    lake.append_rows([a_label("a"), a_label("c")], "labels", "r", ("chunks", 1))
    assert labelled(lake) == ["a", "c"]
    lake.append_rows([a_label("a"), a_label("d")], "labels", "r", ("chunks", 1))
    assert labelled(lake) == ["a", "c", "d"]


@pytest.mark.parametrize("number", [4, pytest.param(8, marks=pytest.mark.long)])
def test_threads_append_together_what_delta_skips(lake: Lakehouse, number: int) -> None:
    """Each looks up what the others append to."""
    create_tables(lake, ["labels"])

    def append(name: str) -> None:
        lake.append_rows([a_label(name)], "labels", "r", (f"unit {name}", 1))

    names = [f"{i}" for i in range(number)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, names))
        lake.spark.sql(f"DELETE FROM {lake.name('labels')}")
        list(pool.map(append, names))
    assert labelled(lake) == names


def test_rows_that_may_be_there_are_looked_up_by_their_key(lake: Lakehouse) -> None:
    create_tables(lake, ["labels"])
    lake.append_rows([a_label("a")], "labels", "r")
    before = lake.version("labels")
    lake.append_rows([a_label("a")], "labels", "r", again=True)
    assert lake.version("labels") == before
    lake.append_rows([a_label("a"), a_label("a", b"y"), a_label("b")], "labels", "r", again=True)
    assert labelled(lake) == ["a", "a", "b"]


def test_replacing_rows_leaves_those_of_other_keys(lake: Lakehouse) -> None:
    create_tables(lake, ["runs"])
    lake.append_rows([run_row("a"), run_row("it's")], "runs", "a")
    lake.replace_rows([run_row("it's", "score_documents")], "runs", "run_id", "it's", "a")
    found = {(r["run_id"], r["step"]) for r in lake.read("runs").collect()}
    assert found == {("a", "ingest_corpus"), ("it's", "score_documents")}


def test_only_appends_is_told_from_changes(lake: Lakehouse) -> None:
    create_tables(lake, ["runs"])
    lake.append_rows([run_row("a")], "runs", "a")
    then = lake.snapshot("runs")
    lake.append_rows([run_row("b")], "runs", "b")
    table, now = lake.name("runs"), lake.snapshot("runs")
    assert lake.only_appends_since("runs", then, now)
    for change in (
        f"INSERT OVERWRITE {table} SELECT * FROM {table}",
        f"RESTORE TABLE {table} TO VERSION AS OF {then.version}",
        f"INSERT INTO {table} SELECT * FROM {table}",
    ):
        then = lake.snapshot("runs")
        lake.spark.sql(change)
        assert not lake.only_appends_since("runs", then, lake.snapshot("runs")), change
    lake.spark.sql(f"DROP TABLE {table}")
    create_tables(lake, ["runs"])
    for run_id in "abcdefg":
        lake.append_rows([run_row(run_id)], "runs", run_id)
    anew = lake.snapshot("runs")
    assert anew.version > then.version
    assert not lake.only_appends_since("runs", then, anew)


def test_an_upsert_replaces_by_key(lake: Lakehouse, spark: SparkSession) -> None:
    create_tables(lake, ["runs"])
    lake.append_rows([run_row("a")], "runs", "a")
    changed = spark.createDataFrame(
        [tuple(run_row("a", "x").get(f.name) for f in TABLES["runs"].columns)],
        TABLES["runs"].columns,
    )
    lake.upsert(changed, "runs", "run_id")
    assert [r["step"] for r in lake.read("runs").collect()] == ["x"]
