"""The tables of ours, created up front."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from urllib.parse import unquote

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from mira_spark.errors import SchemaError, joined
from mira_spark.lake.schemas import TABLES
from mira_spark.lake.statements import create_statement, differences
from mira_spark.lake.tables import Lakehouse

CREATE_ATTEMPTS = 5
FILES_GONE = ("DELTA_PATH_DOES_NOT_EXIST", "DELTA_TABLE_NOT_FOUND")


def create_tables(lake: Lakehouse, names: Iterable[str] = tuple(TABLES)) -> None:
    """Create the schema and what is missing of the tables; SchemaError when one is not as ours, or
    has lost its files.

    All differences of all tables are reported at once, before anything is written. Several
    drivers may do so at once.
    """
    is_new = not lake.exists()
    if is_new:
        _create(lake, f"CREATE SCHEMA IF NOT EXISTS {lake.namespace}", lake.exists)
    names_there = set() if is_new else _table_names(lake)
    existing = [name for name in TABLES if name in names_there]
    problems = [problem for name in existing for problem in _problems(lake, name)]
    if problems:
        raise SchemaError(joined(problems))
    missing = [name for name in names if name not in existing]
    for name in missing:
        statement = create_statement(lake.name(name), TABLES[name])
        _create(lake, statement, partial(_has_table, lake, name))
    if is_new:
        restore_files(lake, missing)
    elif missing and existing:
        _drop_views_at_versions(lake, missing)


def schema_location(lake: Lakehouse) -> str:
    """Where the schema, which must be there, has its tables: a URI; empty where the catalog does
    not say."""
    rows = lake.spark.sql(f"DESCRIBE SCHEMA {lake.namespace}").collect()
    return str(next((value for key, value in rows if key == "Location"), None) or "")


def restore_files(lake: Lakehouse, names: Iterable[str]) -> None:
    """Make the tables that have no files whole again, empty; for tables of a new schema alone.

    Where two drivers create one schema at once, Hive's metastore removes the schema's folder for
    the one that came second, with the files of the tables that the first has created by then.
    """
    for name in names:
        if not _has_files(lake, name):
            folder = unquote(schema_location(lake))  # a path in the statement, which is no URI
            statement = create_statement(f"delta.`{folder}/{name}`", TABLES[name])
            _create(lake, statement, partial(_has_files, lake, name))


def _problems(lake: Lakehouse, name: str) -> list[str]:
    stored = _readable_table(lake, name)
    if stored is not None:
        return differences(lake.name(name), TABLES[name], stored)
    return [
        f"{lake.name(name)} is in the catalog, its files are gone: bring them back, or give it up "
        f"with DROP TABLE {lake.name(name)}"
    ]


def _table_names(lake: Lakehouse) -> set[str]:
    """The tables that the catalog has, with files or without."""
    return {
        row["tableName"] for row in lake.spark.sql(f"SHOW TABLES IN {lake.namespace}").collect()
    }


def _has_table(lake: Lakehouse, name: str) -> bool:
    return name in _table_names(lake)


def _has_files(lake: Lakehouse, name: str) -> bool:
    return _readable_table(lake, name) is not None


def _readable_table(lake: Lakehouse, name: str) -> DataFrame | None:
    """The table; None where its files are gone."""
    try:
        table = lake.read(name)
        table.schema  # noqa: B018  # Connect asks the server only now
    except PySparkException as error:
        if error.getCondition() in FILES_GONE:
            return None
        raise
    return table


def _drop_views_at_versions(lake: Lakehouse, tables: Sequence[str]) -> None:
    """Drop the views over versions of tables that were just made anew: those begin at 0 again,
    and would show other rows."""
    for row in lake.spark.sql(f"SHOW VIEWS IN {lake.namespace}").collect():
        query = "" if row["isTemporary"] else lake.view_query(row["viewName"]) or ""
        if any(f"{lake.name(table)} VERSION AS OF" in query for table in tables):
            lake.drop_view(row["viewName"])


def _create(lake: Lakehouse, statement: str, is_there: Callable[[], bool]) -> None:
    """Create what was not there; catalogs differ in what they raise when another did so."""
    for attempt in range(CREATE_ATTEMPTS):
        try:
            lake.spark.sql(statement)
            return
        except PySparkException:
            if is_there():
                return
            if attempt == CREATE_ATTEMPTS - 1:
                raise
