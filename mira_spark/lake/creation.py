"""The tables of ours, created up front."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from pyspark.errors import PySparkException

from mira_spark.errors import SchemaError, joined
from mira_spark.lake.schemas import TABLES
from mira_spark.lake.statements import create_statement, differences
from mira_spark.lake.tables import Lakehouse

CREATE_ATTEMPTS = 5


def create_tables(lake: Lakehouse, names: Iterable[str] = tuple(TABLES)) -> None:
    """Create the schema and what is missing of the tables; SchemaError when one is not as ours.

    All differences of all tables are reported at once, before anything is written. Several
    drivers may do so at once.
    """
    _create_missing(
        lake, f"CREATE SCHEMA IF NOT EXISTS {lake.namespace}", partial(_has_schema, lake)
    )
    existing = {
        row["tableName"] for row in lake.spark.sql(f"SHOW TABLES IN {lake.namespace}").collect()
    }
    problems = [
        problem
        for name, table in TABLES.items()
        if name in existing
        for problem in differences(lake.name(name), table, lake.spark.table(lake.name(name)))
    ]
    if problems:
        raise SchemaError(joined(problems))
    missing = [name for name in names if name not in existing]
    for name in missing:
        statement = create_statement(lake.name(name), TABLES[name])
        _create_missing(lake, statement, partial(lake.spark.catalog.tableExists, lake.name(name)))
    if missing and existing:
        _drop_views_at_versions(lake, missing)


def _drop_views_at_versions(lake: Lakehouse, tables: Sequence[str]) -> None:
    """Drop the views over versions of tables that were just made anew: those begin at 0 again,
    and would show other rows."""
    for row in lake.spark.sql(f"SHOW VIEWS IN {lake.namespace}").collect():
        query = "" if row["isTemporary"] else lake.view_query(row["viewName"]) or ""
        if any(f"{lake.name(table)} VERSION AS OF" in query for table in tables):
            lake.drop_view(row["viewName"])


def _has_schema(lake: Lakehouse) -> bool:
    return lake.spark.catalog.databaseExists(lake.namespace)


def _create_missing(lake: Lakehouse, statement: str, is_there: Callable[[], bool]) -> None:
    """Create what is not there; catalogs differ in what they raise when another did so."""
    for attempt in range(CREATE_ATTEMPTS):
        if is_there():
            return
        try:
            lake.spark.sql(statement)
        except PySparkException:
            if attempt == CREATE_ATTEMPTS - 1 and not is_there():
                raise
