"""The only place that reads or writes tables of ours: created up front, read by version."""

import contextlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from delta.exceptions import ConcurrentTransactionException
from delta.tables import DeltaMergeBuilder, DeltaTable
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructField

from mira_spark.clock import steady_clock
from mira_spark.columns import Table
from mira_spark.errors import SchemaError, joined
from mira_spark.schemas import TABLES

KEEPS_ROWS = ("WRITE", "OPTIMIZE", "SET TBLPROPERTIES")
"""Operations on our tables that change and remove no row."""
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

    def standing(self) -> DataFrame:
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
        for name in (name for name in names if name not in found):
            statement = _create_statement(self.name(name), TABLES[name])
            self._create_missing(
                statement, partial(self.spark.catalog.tableExists, self.name(name))
            )

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
        return rows.where(F.when(self.claim.standing().scalar(), True).otherwise(ended))

    def _check_claim(self) -> None:
        if self.claim is not None:
            self.claim.check()

    def _matching(self, table: str, where: Column) -> DeltaMergeBuilder:
        """The rows of `table` that match; none when the claim has ended by the time they change."""
        source = self.spark.range(1) if self.claim is None else self.claim.standing()
        source = source.select(F.lit(True).alias("claim_is_standing"))
        return DeltaTable.forName(self.spark, self.name(table)).merge(source, where)

    def read(self, table: str, version: int | None = None) -> DataFrame:
        """The table as it is now, or as it was at `version`."""
        if version is None:
            return self.spark.table(self.name(table))
        return self.spark.read.option("versionAsOf", version).table(self.name(table))

    def version(self, table: str) -> int:
        """The table's current version."""
        history = self.spark.sql(f"DESCRIBE HISTORY {self.name(table)} LIMIT 1")
        return int(history.select("version").collect()[0][0])

    def clock(self, table: str, column: str) -> Callable[[], datetime]:
        """A clock whose times are after all that the column holds, whatever the machine's says."""
        latest = self.read(table).agg(F.max(F.unix_micros(column))).collect()[0][0]
        epoch = datetime.fromtimestamp(0, UTC)
        return steady_clock(None if latest is None else epoch + timedelta(microseconds=latest))

    def only_appends_since(self, table: str, version: int) -> bool:
        """Whether no row of `table` was changed or removed after `version`."""
        history = self.spark.sql(f"DESCRIBE HISTORY {self.name(table)}")
        later = history.filter(F.col("version") > version).select("operation").distinct().collect()
        return {row["operation"] for row in later} <= set(KEEPS_ROWS)

    def last_removal(self, table: str) -> int:
        """The last version of `table` that did something else than append; 0 when none did."""
        history = self.spark.sql(f"DESCRIBE HISTORY {self.name(table)}")
        other = history.filter(~F.col("operation").isin(*KEEPS_ROWS))
        return int(other.agg(F.max("version")).collect()[0][0] or 0)

    def append(
        self,
        rows: DataFrame,
        table: str,
        run_id: str,
        transaction: tuple[str, int] | None = None,
    ) -> None:
        """Append `rows`, in the schema's column order, as one commit that names the run.

        `transaction` is (application id, version): Delta silently skips a version it has seen for
        the id, so an id belongs to one unit of work and the caller reconciles afterwards.
        """
        writer = self._claimed(self._typed(rows, table), table).write
        writer = writer.format("delta").mode("append")
        writer = writer.option("userMetadata", json.dumps({"run_id": run_id}))
        if transaction is not None:
            writer = writer.option("txnAppId", transaction[0]).option("txnVersion", transaction[1])
        same = (ConcurrentTransactionException,) * (transaction is not None)
        with self._change(table, TRUSTED_S), contextlib.suppress(*same):
            writer.saveAsTable(self.name(table))  # or the same unit was committed meanwhile

    def append_rows(
        self,
        rows: Sequence[Mapping[str, Any]],
        table: str,
        run_id: str,
        transaction: tuple[str, int] | None = None,
    ) -> None:
        """Append rows held by the driver; few, or in chunks. None is no commit."""
        if rows:
            self.append(self._frame(rows, table), table, run_id, transaction)

    def replace_rows(
        self, rows: Sequence[Mapping[str, Any]], table: str, key: str, value: str | int, run_id: str
    ) -> None:
        """Make `rows`, held by the driver, the only ones with `key` = `value`, as one commit."""
        self.replace(self._frame(rows, table), table, key, value, run_id)

    def replace(self, rows: DataFrame, table: str, key: str, value: str | int, run_id: str) -> None:
        """Make `rows` the only ones with `key` = `value`, as one commit."""
        condition = f"{key} = {_quoted(value) if isinstance(value, str) else int(value)}"
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
