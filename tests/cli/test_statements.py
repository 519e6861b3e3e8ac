"""`mira sql`: without --write what reads runs, and nothing that changes a table does; how rows are
shown to people and given to programs."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from pyspark.sql import SparkSession

from mira_spark.cli import main
from mira_spark.cli.opening import open_lakehouse
from mira_spark.errors import InputError, MiraError
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import console
from mira_spark.settings.root import load

READING = (
    "select n from t order by n desc",
    "  \n\tSELECT n FROM t;",
    "select n from t -- ; drop table t",
    "-- a remark\nselect n from t",
    "/* drop table t */ select n from t ;;",
    "with x as (select n from t) select * from x",
    "WITH x AS (SELECT 1 AS a), y AS (SELECT 2 AS a) SELECT * FROM x UNION ALL SELECT * FROM y",
    "from t",
    "from t select n where n > 1",
    "FROM t |> WHERE n > 1 |> SELECT n",
    "values (1), (2)",
    "table t",
    "(select n from t) union all (select n from t)",
    "((select n from t))",
    "select ')' || '--' || n from t",
    "show tables",
    "show create table v",
    "describe t",
    "desc extended t",
    "describe history t",
    "explain drop table t",
    "explain insert into t values (3)",
    "explain extended create table u as select * from t",
)
CHANGING = (
    "drop table t",
    "DROP VIEW v",
    "insert into t values (3)",
    "insert overwrite t values (3)",
    "update t set n = 0",
    "delete from t",
    "merge into t using v on t.n = v.n when matched then delete",
    "truncate table t",
    "create table u (n int)",
    "create or replace table t as select 0 as n",
    "create or replace view v as select 0 as n",
    "create temporary view w as select 0 as n",
    "alter table t set tblproperties (a = 'b')",
    "restore table t to version as of 0",
    "vacuum t",
    "optimize t",
    "set spark.sql.shuffle.partitions = 1",
    "reset",
    "use default",
    "add jar '/tmp/x.jar'",
    "cache table t",
    "refresh table t",
    "call system.drop('t')",
    "execute immediate 'drop table t'",
    "begin drop table t; end",
    "begin select 1; end",
    "declare variable x int",
    "with x as (select 3 as n) insert into t select n from x",
    "with x as (select 3 as n) delete from t where n in (select n from x)",
    "with x as (select 3 as n) merge into t using x on t.n = x.n when not matched then insert *",
    "from v insert into t select n",
    "from v insert into t select n insert into t select n + 1",
    "-- select\ndrop table t",
    "-- \\\nshow tables\ndrop table t",
    "/* show */ drop table t",
    "/* /* */ select 1 from ( */ drop table t",
    "/*\n*/ show tables",
    "select_ from t",
    "drop table t --",
    "drop table t) --",
    "values_",
    "",
    ";",
    "-- nothing",
)
"""What may change something, what Spark cannot parse, and a comment before SHOW."""
ENDS_IN_AN_ERROR = (
    "select n from t; drop table t",
    "show tables; drop table t",
    "explain select 1; drop table t",
    "select 1) ; drop table t --",
    "table t; delete from t",
    "select nothing_like_it from t",
    "with x as (select nothing_like_it from t) select * from x",
)
"""What begins as a query, and of which Spark runs nothing."""


@pytest.fixture
def sql(lake: Lakehouse, home: Path) -> Iterator[tuple[str, ...]]:
    """The options of `mira sql` on a schema with a table `t` of 1 and 2, and a view of it."""
    options = f"folder={home}", f"namespace={lake.namespace}"
    few = lake.spark.conf.get("spark.sql.shuffle.partitions")
    open_lakehouse(load(None, options)).use()
    lake.spark.sql("CREATE TABLE t USING delta AS SELECT * FROM VALUES (1), (2) AS (n)")
    lake.spark.sql("CREATE VIEW v AS SELECT n FROM t")
    yield tuple(word for option in options for word in ("--set", option))
    lake.spark.conf.set("spark.sql.shuffle.partitions", str(few))


def run(statement: str, *options: str) -> str:
    with console.capture() as capture:
        main.app(["sql", *options, "--", statement], standalone_mode=False)
    return capture.get()


def state(spark: SparkSession) -> object:
    """Everything that a statement could have changed."""
    tables = spark.sql("SHOW TABLES").collect()
    history = spark.sql("DESCRIBE HISTORY t").select("version").collect()
    parts = spark.conf.get("spark.sql.shuffle.partitions")
    return tables, history, spark.table("t").collect(), parts, spark.catalog.currentDatabase()


def test_what_changes_something_is_refused_without_write_and_what_reads_runs(
    lake: Lakehouse, sql: tuple[str, ...]
) -> None:
    before = state(lake.spark)
    for statement in CHANGING:
        with pytest.raises(MiraError) as refused:
            run(statement, *sql)
        assert str(refused.value) == (
            f"not run, it may change tables: {' '.join(statement.split())!r}; without --write mira "
            "sql runs queries (SELECT, WITH, FROM, VALUES, TABLE), SHOW, DESCRIBE and EXPLAIN"
        )
    for statement in READING:
        assert run(statement, *sql), statement
    for statement in ENDS_IN_AN_ERROR:
        with pytest.raises(MiraError, match=r"PARSE_SYNTAX_ERROR|UNRESOLVED_COLUMN"):
            run(statement, *sql)
    assert state(lake.spark) == before


def test_rows_and_columns_are_those_of_the_statement(sql: tuple[str, ...]) -> None:
    rows = "select n + 1 as b, n as a, n as a from t order by b desc; -- the end"
    assert run(rows, *sql).split() == list("baa322211")
    assert run("with x as (select n from t) select * from x order by n", *sql).split() == [
        "n", "1", "2",
    ]  # fmt: skip


def test_what_changes_something_runs_with_write(lake: Lakehouse, sql: tuple[str, ...]) -> None:
    run("insert into t values (3)", "--write", *sql)
    assert sorted(row["n"] for row in lake.spark.table("t").collect()) == [1, 2, 3]


@pytest.mark.parametrize("name", ["a_schema_that_is_not_there"])
def test_a_command_that_only_reads_makes_no_tables(
    spark: SparkSession, home: Path, tmp_path: Path, name: str
) -> None:
    places = "--config, --set folder=PATH or --set namespace=NAME"
    folder = tmp_path / "nothing"
    with pytest.raises(InputError) as refused:
        open_lakehouse(load(None, [f"folder={folder}"]))
    assert str(refused.value) == (
        f"{folder}, schema mira: there are no tables, and none were made: mira run makes them; "
        f"another place is named with {places}"
    )
    assert not folder.exists()
    with pytest.raises(InputError) as refused:
        open_lakehouse(load(None, [f"folder={home}", f"namespace={name}"]))
    assert str(refused.value).startswith(f"{home}, schema {name}: there are no tables")
    assert not spark.catalog.databaseExists(name)


TEXTS = (
    "SELECT 1 AS n, 'a\\nb' AS text, cast(null AS string) AS none, repeat('x', 500) AS long"
    " UNION ALL SELECT 2, '\u202e', 'it, \"is\"', 'y' ORDER BY n"
)


def printed(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    main.app(["sql", *arguments], standalone_mode=False)
    return capfd.readouterr().out


def test_a_row_is_a_line_on_a_screen_and_a_value_is_one_where_it_is_vertical(
    sql: tuple[str, ...],
) -> None:
    lines = run(TEXTS, *sql).splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= console.width
    assert lines[1].rstrip().endswith("…")
    lines = run(TEXTS, *sql, "--vertical").splitlines()
    assert lines[:4] == ["row 1", "n: 1", "text: a\\nb", "none: null"]
    assert lines[4] == f"long: {'x' * 500}"
    assert lines[5] == "row 2"


def test_other_programs_get_all_rows_as_they_are(
    sql: tuple[str, ...], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "query.sql"
    file.write_text(TEXTS)
    rows = [json.loads(line) for line in
            printed(capfd, *sql, "--json", "--file", str(file)).splitlines()]  # fmt: skip
    wanted = [
        {"n": 1, "text": "a\nb", "none": None, "long": "x" * 500},
        {"n": 2, "text": "\u202e", "none": 'it, "is"', "long": "y"},
    ]
    assert rows == wanted
    read = list(csv.DictReader(io.StringIO(printed(capfd, *sql, "--csv", TEXTS))))
    assert read == [{k: "" if v is None else str(v) for k, v in row.items()} for row in wanted]
    many = "SELECT id FROM range(250)"
    assert len(printed(capfd, *sql, "--csv", many).splitlines()) == 251
    assert len(printed(capfd, *sql, "--json", "--rows", "7", many).splitlines()) == 7
    assert "more than 100 rows" in run(many, *sql)


@pytest.mark.parametrize(
    "arguments", [(), ("--json", "--csv", "select 1"), ("--file", "f.sql", "select 1")]
)
def test_one_statement_and_one_way_to_show_it_are_asked_for(arguments: tuple[str, ...]) -> None:
    with pytest.raises(typer.BadParameter):
        main.app(["sql", *arguments], standalone_mode=False)


def test_a_file_of_a_statement_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.sql: cannot be read: No such file or directory$"):
        main.app(["sql", "--file", str(tmp_path / "none.sql")], standalone_mode=False)


def test_a_shell_runs_commands_and_sql_and_goes_on_after_what_fails(
    sql: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        "select n + 40 as answer from t order by n", "", "sql --json \"select 'an object' as it\"",
        "select nothing_like_it from t", "drop table t", "sql --rows", "sql 'not closed",
        "select 7", "exit", "select 8",
    ]  # fmt: skip
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    with console.capture() as capture:
        main.app(["shell", *sql], standalone_mode=False)
    said = capture.get().splitlines()
    assert [line.split()[0] for line in said if line.strip()] == [
        "a", "answer", "41", "42", "MiraError:", "InputError:", "UsageError:", "UsageError:", "7",
        "7",
    ]  # fmt: skip


def test_a_shell_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no tables"):
        main.app(["shell", "--set", f"folder={tmp_path}"], standalone_mode=False)
