"""The only place that reads or writes tables of ours: created up front, read by version."""

import contextlib
import json
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from operator import and_
from pathlib import Path
from typing import Any, Protocol

from delta.exceptions import ConcurrentTransactionException
from delta.tables import DeltaMergeBuilder, DeltaTable
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructField

from mira_spark.errors import SchemaError, joined
from mira_spark.lake import history
from mira_spark.lake.columns import Table
from mira_spark.lake.history import Snapshot
from mira_spark.lake.schemas import TABLES
from mira_spark.process.clock import steady_clock
from mira_spark.process.failpoints import reach

LATEST_COMMITS = 10
"""Where a commit is looked for that was just made; others commit at the same time."""
CREATE_ATTEMPTS = 5
TRUSTED_S = 20
_CONFLICT = re.compile(
    r"(Concurrent(Append|DeleteRead|DeleteDelete|Write|Transaction)|MetadataChanged|ProtocolChanged)"
    r"Exception|\[DELTA_(CONCURRENT_|METADATA_CHANGED|PROTOCOL_CHANGED)"
)


class Claim(Protocol):
    """The right to write `tables`, which ends when another driver takes it over (see `leases`)."""

    @property
    def tables(self) -> Collection[str]:
        """The tables it is for."""

    def row_while_valid(self) -> DataFrame:
        """One row, True, while the claim stands, else none: looked up whenever it is executed."""

    def check(self, within_s: float = 0) -> None:
        """Raises BusyError when the claim has ended; may trust what was seen `within_s` ago."""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


@dataclass(frozen=True)
class Lakehouse:
    """The tables of one schema. `namespace` is `schema` or `catalog.schema`.

    With a claim only its tables are written, and no commit of a driver that lost it is made: it
    raises BusyError instead.
    """

    spark: SparkSession
    namespace: str
    claim: Claim | None = None

    def name(self, table: str) -> str:
        """The fully qualified name."""
        return f"{self.namespace}.{table}"

    def exists(self) -> bool:
        """Whether the schema is there."""
        return self.spark.catalog.databaseExists(self.namespace)

    def create(self, names: Iterable[str] = tuple(TABLES)) -> None:
        """Create the schema and what is missing of the tables; SchemaError when one is not as ours.

        All differences of all tables are reported at once, before anything is written. Several
        drivers may do so at once.
        """
        self._create_missing(f"CREATE SCHEMA IF NOT EXISTS {self.namespace}", self._has_schema)
        found = {
            row["tableName"] for row in self.spark.sql(f"SHOW TABLES IN {self.namespace}").collect()
        }
        problems = [
            problem
            for name, table in TABLES.items()
            if name in found
            for problem in _differences(self.name(name), table, self.spark.table(self.name(name)))
        ]
        if problems:
            raise SchemaError(joined(problems))
        missing = [name for name in names if name not in found]
        for name in missing:
            statement = _create_statement(self.name(name), TABLES[name])
            self._create_missing(
                statement, partial(self.spark.catalog.tableExists, self.name(name))
            )
        if missing and found:
            self._drop_views_at_versions(missing)

    def _drop_views_at_versions(self, tables: Sequence[str]) -> None:
        """Drop the views over versions of tables that were just made anew: those begin at 0 again,
        and would show other rows."""
        for row in self.spark.sql(f"SHOW VIEWS IN {self.namespace}").collect():
            query = "" if row["isTemporary"] else self.view_query(row["viewName"]) or ""
            if any(f"{self.name(table)} VERSION AS OF" in query for table in tables):
                self.drop_view(row["viewName"])

    def _has_schema(self) -> bool:
        return self.spark.catalog.databaseExists(self.namespace)

    def _create_missing(self, statement: str, is_there: Callable[[], bool]) -> None:
        """Create what is not there; catalogs differ in what they raise when another did so."""
        for attempt in range(CREATE_ATTEMPTS):
            if is_there():
                return
            try:
                self.spark.sql(statement)
            except PySparkException:
                if attempt == CREATE_ATTEMPTS - 1 and not is_there():
                    raise

    @contextlib.contextmanager
    def _change(self, table: str | None, trusted_s: float = 0) -> Iterator[None]:
        """Around a change of `table`; None: of a view. BusyError when the claim has ended;
        `trusted_s` is for changes that look it up themselves."""
        if self.claim is None or table == "runs":
            yield
            return
        if table is not None and table not in self.claim.tables:
            raise ValueError(f"{self.name(table)} is written by a driver that holds no lease of it")
        self.claim.check(trusted_s)
        try:
            yield
        except Exception:
            self.claim.check()  # what ended the claim is the better news
            raise

    def _claimed(self, rows: DataFrame, table: str) -> DataFrame:
        """`rows`, which cannot be read when the claim has ended by the time they are written."""
        if self.claim is None or table == "runs":
            return rows
        ended = F.raise_error(F.lit("another driver has taken the lease")).cast("boolean")
        return rows.where(F.when(self.claim.row_while_valid().scalar(), True).otherwise(ended))

    def _check_claim(self) -> None:
        if self.claim is not None:
            self.claim.check()

    def _matching(self, table: str, where: Column) -> DeltaMergeBuilder:
        """The rows of `table` that match; none when the claim has ended by the time they change."""
        source = self.spark.range(1) if self.claim is None else self.claim.row_while_valid()
        source = source.select(F.lit(True).alias("claim_is_standing"))
        return DeltaTable.forName(self.spark, self.name(table)).merge(source, where)

    def read(self, table: str, version: int | None = None) -> DataFrame:
        """The table as it is now, or as it was at `version`."""
        if version is None:
            return self.spark.table(self.name(table))
        return self.spark.read.option("versionAsOf", version).table(self.name(table))

    def version(self, table: str) -> int:
        """The table's current version."""
        (latest,) = self._history(table, 1)
        return int(latest["version"])

    def clock(self, table: str, column: str) -> Callable[[], datetime]:
        """A clock whose times are after all that the column holds, whatever the machine's says."""
        latest = self.read(table).agg(F.max(F.unix_micros(column))).collect()[0][0]
        epoch = datetime.fromtimestamp(0, UTC)
        return steady_clock(None if latest is None else epoch + timedelta(microseconds=latest))

    def snapshot(self, table: str) -> Snapshot:
        """The table as it is now."""
        (latest,) = self._history(table, 1)
        return Snapshot(self.table_id(table), latest["version"], history.digest(latest))

    def table_id(self, table: str) -> str:
        """The id that Delta gave the table; one that is made anew has another."""
        detail = self.spark.sql(f"DESCRIBE DETAIL {self.name(table)}")
        return str(detail.select("id").collect()[0][0])

    def only_appends_since(self, table: str, then: Snapshot, now: Snapshot) -> bool:
        """Whether this very table had nothing but appends of ours between the two.

        False also when that cannot be told: the table was restored, overwritten or made anew, or
        its history does not reach back to `then` any more.
        """
        if now == then:
            return True
        if now.table_id != then.table_id or now.version <= then.version:
            return False
        commits = self._history(table, now.version - then.version + 1, now.version)
        return history.are_appends(commits, then, now)

    def _history(self, table: str, commits: int, last: int | None = None) -> list[Row]:
        """The latest commits, the last first; those after `last` left out."""
        limit = commits if last is None else commits + LATEST_COMMITS
        rows = self.spark.sql(f"DESCRIBE HISTORY {self.name(table)} LIMIT {limit}").collect()
        return [row for row in rows if last is None or row["version"] <= last][:commits]

    def append(
        self,
        rows: DataFrame,
        table: str,
        run_id: str,
        transaction: tuple[str, int] | None = None,
        again: bool = False,
    ) -> None:
        """Append `rows`, in the schema's column order, as one commit that names the run.

        `again` says that rows may be there from before: those whose key the table has are left out.
        `transaction`, (application id, version), names the rows of a caller who may append them a
        second time, not having heard whether the first commit arrived: Delta skips a version that
        is not above the last it saw of the id. A skip does not prove that the rows are there, so
        they are looked up then, and the missing ones are appended.
        """
        new = self._typed(rows, table)
        if again:
            new = self._without_known(new, table)
            if new.isEmpty():
                return
        if not self._committed(new, table, run_id, transaction):
            self.append(rows, table, run_id, again=True)

    def append_rows(
        self,
        rows: Sequence[Mapping[str, Any]],
        table: str,
        run_id: str,
        transaction: tuple[str, int] | None = None,
        again: bool = False,
    ) -> None:
        """Append rows held by the driver; few, or in chunks. None is no commit."""
        if rows:
            self.append(self._frame(rows, table), table, run_id, transaction, again)

    def _committed(
        self, rows: DataFrame, table: str, run_id: str, transaction: tuple[str, int] | None
    ) -> bool:
        """Append; False when no commit came of it, because Delta had seen the transaction."""
        mark = uuid.uuid4().hex
        writer = self._claimed(rows, table).write.format("delta").mode("append")
        writer = writer.option("userMetadata", json.dumps({"run_id": run_id, "commit": mark}))
        if transaction is not None:
            writer = writer.option("txnAppId", transaction[0]).option("txnVersion", transaction[1])
        same = (ConcurrentTransactionException,) * (transaction is not None)
        with self._change(table, TRUSTED_S), contextlib.suppress(*same):
            writer.saveAsTable(self.name(table))  # or the same was committed meanwhile
        reach(f"{table}.appended")
        if transaction is None:
            return True
        latest = self._history(table, LATEST_COMMITS)
        return any(mark in (row["userMetadata"] or "") for row in latest)

    def _without_known(self, rows: DataFrame, table: str) -> DataFrame:
        """The rows whose key the table does not have."""
        keys = TABLES[table].key
        known = self.read(table).select(*keys).alias("known")
        same = [F.col(f"new.{key}").eqNullSafe(F.col(f"known.{key}")) for key in keys]
        return rows.alias("new").join(known, on=reduce(and_, same), how="left_anti")

    def replace_rows(
        self, rows: Sequence[Mapping[str, Any]], table: str, key: str, value: str | int, run_id: str
    ) -> None:
        """Make `rows`, held by the driver, the only ones with `key` = `value`, as one commit."""
        self.replace(self._frame(rows, table), table, key, value, run_id)

    def replace(self, rows: DataFrame, table: str, key: str, value: str | int, run_id: str) -> None:
        """Make `rows` the only ones with `key` = `value`, as one commit."""
        condition = f"{key} = {_quoted(value) if isinstance(value, str) else int(value)}"
        self._overwrite(rows, table, condition, run_id)

    def replace_all(self, rows: DataFrame, table: str, run_id: str) -> None:
        """Make `rows` the table's only ones, as one commit."""
        self._overwrite(rows, table, "true", run_id)

    def _overwrite(self, rows: DataFrame, table: str, condition: str, run_id: str) -> None:
        writer = self._claimed(self._typed(rows, table), table).write
        writer = writer.format("delta").mode("overwrite")
        writer = writer.option("replaceWhere", condition)
        writer = writer.option("userMetadata", json.dumps({"run_id": run_id}))
        with self._change(table, TRUSTED_S):
            writer.saveAsTable(self.name(table))

    def _typed(self, rows: DataFrame, table: str) -> DataFrame:
        return rows.select(*(F.col(f.name).cast(f.dataType) for f in TABLES[table].columns))

    def _frame(self, rows: Sequence[Mapping[str, Any]], table: str) -> DataFrame:
        columns = TABLES[table].columns
        data = [tuple(row.get(field.name) for field in columns) for row in rows]
        return self.spark.createDataFrame(data, columns, verifySchema=False)

    def rows_of(self, rows: Sequence[tuple[Any, ...]], columns: str) -> DataFrame:
        """A small DataFrame of rows held by the driver; `columns` as in DDL."""
        return self.spark.createDataFrame(rows, columns)

    def update(self, table: str, where: Column, changes: Mapping[str, Column]) -> None:
        """Set columns of the rows that match."""
        with self._change(table):
            self._matching(table, where).whenMatchedUpdate(set=dict(changes)).execute()
            self._check_claim()

    def delete(self, table: str, where: Column) -> None:
        """Remove the rows that match."""
        with self._change(table):
            self._matching(table, where).whenMatchedDelete().execute()
            self._check_claim()

    def remove(self, rows: DataFrame, table: str, key: str) -> None:
        """Remove the rows that `rows` has by `key`, as one commit."""
        gone = self._claimed(rows.select(key).distinct(), table).alias("gone")
        target = DeltaTable.forName(self.spark, self.name(table)).alias("old")
        with self._change(table, TRUSTED_S):
            target.merge(gone, f"old.{key} = gone.{key}").whenMatchedDelete().execute()

    def upsert(
        self,
        rows: DataFrame,
        table: str,
        key: str,
        only_if: Column | None = None,
        changes: Mapping[str, Column] | None = None,
    ) -> None:
        """Replace the rows that `rows` has by `key` and add the others, as one commit.

        `only_if` is a condition over `old` and `new` that a replaced row must meet; `changes` are
        the columns to set of one, in the place of all.
        """
        new = self._claimed(self._typed(rows, table), table).alias("new")
        target = DeltaTable.forName(self.spark, self.name(table)).alias("old")
        merge = target.merge(new, f"old.{key} = new.{key}").whenNotMatchedInsertAll()
        with self._change(table, TRUSTED_S):
            if changes is None:
                merge.whenMatchedUpdateAll(only_if).execute()
            else:
                merge.whenMatchedUpdate(only_if, dict(changes)).execute()

    def use(self) -> None:
        """Make the namespace the session's default, so that statements need not name it."""
        self.spark.sql(f"USE {self.namespace}")

    def execute(self, query: str) -> DataFrame:
        """The rows of one of our queries; names in it come from `name`, values never from users."""
        return self.spark.sql(query)

    def create_view(self, view: str, query: str, comment: str) -> None:
        """Create or replace a persistent view."""
        statement = (
            f"CREATE OR REPLACE VIEW {self.name(view)} COMMENT {_quoted(comment)} AS {query}"
        )
        with self._change(None):
            self.spark.sql(statement)

    def drop_view(self, view: str) -> None:
        """Drop a persistent view, where there is one."""
        with self._change(None):
            self.spark.sql(f"DROP VIEW IF EXISTS {self.name(view)}")

    def view_query(self, view: str) -> str | None:
        """What a view selects, as SQL; None where there is no such view."""
        if not self.spark.catalog.tableExists(self.name(view)):
            return None
        described = self.spark.sql(f"DESCRIBE TABLE EXTENDED {self.name(view)}")
        found = described.filter(F.col("col_name") == "View Text").collect()
        return str(found[0]["data_type"]) if found else None

    def unreadable(self, table: str, versions: Iterable[int]) -> dict[int, str]:
        """The versions of `table` that cannot be read any more, with what became of them."""
        found = {}
        wanted = sorted(set(versions))
        live = set(self.read(table).inputFiles()) if wanted else set()
        for version in wanted:
            try:
                files = set(self.read(table, version).inputFiles())
            except AnalysisException as error:
                late = "RETENTION_DURATION" in (error.getCondition() or "")
                found[version] = (
                    "it is older than the table's delta.deletedFileRetentionDuration"
                    if late
                    else "its log was cleaned or the table was made anew"
                )
                continue
            try:  # VACUUM only removes files that the table no longer uses
                if files - live:
                    self.spark.read.format("binaryFile").load(sorted(files - live))
            except AnalysisException:
                found[version] = "its files were removed by VACUUM"
        return found

    def properties(self, table: str) -> dict[str, str]:
        """The table's properties."""
        rows = self.spark.sql(f"SHOW TBLPROPERTIES {self.name(table)}").collect()
        return {row["key"]: row["value"] for row in rows}

    def set_properties(self, table: str, properties: Mapping[str, str]) -> None:
        """Set table properties (a new version of the table)."""
        pairs = ", ".join(f"{_quoted(k)} = {_quoted(v)}" for k, v in properties.items())
        with self._change(table):
            self.spark.sql(f"ALTER TABLE {self.name(table)} SET TBLPROPERTIES ({pairs})")


def is_conflict(error: BaseException) -> bool:
    """Whether Delta refused a commit for the sake of another one made beside it. Before Delta 4.4
    it may arrive as Java's error, which the text alone tells."""
    return _CONFLICT.search(f"{type(error).__name__}: {error}") is not None


def write_shards(rows: DataFrame, folder: Path) -> None:
    """Write `rows` as Parquet files the driver can stream, replacing what was in `folder`."""
    rows.write.mode("overwrite").parquet(folder.as_uri())


def _column_definition(field: StructField) -> str:
    null = "" if field.nullable else " NOT NULL"
    kind = field.dataType.simpleString()
    return f"{field.name} {kind}{null} COMMENT {_quoted(field.metadata['comment'])}"


def _create_statement(name: str, table: Table) -> str:
    columns = ", ".join(_column_definition(field) for field in table.columns)
    properties = dict.fromkeys(
        ("delta.logRetentionDuration", "delta.deletedFileRetentionDuration"), "interval 90 days"
    )
    if table.statistics:
        properties["delta.dataSkippingStatsColumns"] = ",".join(table.statistics)
    listed = ", ".join(f"{_quoted(k)} = {_quoted(v)}" for k, v in properties.items())
    cluster = f" CLUSTER BY ({', '.join(table.clustered_by)})" if table.clustered_by else ""
    return (
        f"CREATE TABLE {name} ({columns}) USING delta{cluster} "
        f"COMMENT {_quoted(table.comment)} TBLPROPERTIES ({listed})"
    )


def _differences(name: str, table: Table, found: DataFrame) -> list[str]:
    """What keeps `found` from being this table: missing, extra and differently typed columns."""
    have = {field.name: field.dataType.simpleString() for field in found.schema}
    want = {field.name: field.dataType.simpleString() for field in table.columns}
    wrong = [f"{name}: column {c} ({want[c]}) is missing" for c in want if c not in have]
    wrong += [f"{name}: column {c} is not one of ours" for c in have if c not in want]
    wrong += [
        f"{name}: column {c} is {have[c]}, should be {want[c]}"
        for c in want
        if c in have and have[c] != want[c]
    ]
    return wrong
