"""The only place that reads or writes tables of ours: created up front, read by version."""

import contextlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import and_, or_
from typing import Any

from pyspark.sql import Column, DataFrame, MergeIntoWriter, SparkSession, functions as F

from mira_spark.lake import history
from mira_spark.lake.arrow_rows import arrow_table
from mira_spark.lake.claims import Claim, is_other_append, is_same_transaction
from mira_spark.lake.columns import cast
from mira_spark.lake.history import Snapshot
from mira_spark.lake.schemas import TABLES
from mira_spark.lake.statements import quoted
from mira_spark.process.failpoints import reach

TRUSTED_S = 20


@dataclass(frozen=True)
class Lakehouse:
    """The tables of one schema. `namespace` is `schema` or `catalog.schema`.

    With a claim only its tables are written, and no commit of a driver that lost it is made: it
    raises BusyError instead. Tables of `held` are read from there, see `held_tables`.
    """

    spark: SparkSession
    namespace: str
    claim: Claim | None = None
    held: Mapping[str, DataFrame] = field(default_factory=dict, compare=False)

    def name(self, table: str) -> str:
        """The fully qualified name."""
        return f"{self.namespace}.{table}"

    def exists(self) -> bool:
        """Whether the schema is there."""
        return self.spark.catalog.databaseExists(self.namespace)

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

    def _while_claimed(self, rows: DataFrame, table: str) -> DataFrame:
        """`rows`, which cannot be read when the claim has ended by the time they are written."""
        if self.claim is None or table == "runs":
            return rows
        ended = F.raise_error(F.lit("another driver has taken the lease")).cast("boolean")
        return rows.where(F.when(self.claim.row_while_valid().scalar(), True).otherwise(ended))

    def _merge(self, table: str, rows: DataFrame, condition: Column) -> MergeIntoWriter:
        """`rows`, as `new`, merged into `table`, which has its own name in conditions."""
        new = self._while_claimed(rows, table).alias("new")
        return new.mergeInto(self.name(table), condition)

    def _merge_matching(self, table: str, where: Column) -> MergeIntoWriter:
        """The rows of `table` that match; none when the claim has ended by the time they change."""
        source = self.spark.range(1) if self.claim is None else self.claim.row_while_valid()
        return source.select(F.lit(True).alias("claim_is_standing")).mergeInto(
            self.name(table), where
        )

    def _check_claim(self) -> None:
        if self.claim is not None:
            self.claim.check()

    def read(self, table: str, version: int | None = None) -> DataFrame:
        """The table as it is now, or as it was at `version`."""
        if version is None:
            return self.held[table] if table in self.held else self.spark.table(self.name(table))
        return self.spark.read.option("versionAsOf", version).table(self.name(table))

    def version(self, table: str) -> int:
        """The table's current version."""
        (latest,) = history.commits(self.spark, self.name(table), 1)
        return int(latest["version"])

    def snapshot(self, table: str) -> Snapshot:
        """What identifies the table's present state: its id, version and last commit."""
        return history.snapshot(self.spark, self.name(table))

    def only_appends_since(self, table: str, then: Snapshot, now: Snapshot) -> bool:
        """Whether this very table had nothing but appends of ours between the two.

        False also when that cannot be told: the table was restored, overwritten or made anew, or
        its history does not reach back to `then` any more.
        """
        return history.only_appends(self.spark, self.name(table), then, now)

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
        new = cast(rows, TABLES[table])
        if again:
            new = self._without_known(new, table)
            if new.isEmpty():
                return
        try:
            is_done = self._commit(new, table, run_id, transaction)
        except Exception as error:
            if not is_other_append(error):
                raise
            is_done = False  # another thread appended to what was looked up
        if not is_done:
            self.append(rows, table, run_id, again=True)

    def append_rows(
        self,
        rows: Sequence[Mapping[str, Any]],
        table: str,
        run_id: str,
        transaction: tuple[str, int] | None = None,
        again: bool = False,
    ) -> None:
        """Append rows that the driver holds, as one commit; without rows there is no commit. Many
        rows should come in several calls. `transaction` and `again` as in `append`."""
        if rows:
            self.append(self.frame(rows, table), table, run_id, transaction, again)

    def _commit(
        self, rows: DataFrame, table: str, run_id: str, transaction: tuple[str, int] | None
    ) -> bool:
        """Append; False when no commit came of it, because Delta had seen the transaction."""
        mark = uuid.uuid4().hex
        writer = self._while_claimed(rows, table).write.format("delta").mode("append")
        writer = writer.option("userMetadata", json.dumps({"run_id": run_id, "commit": mark}))
        if transaction is not None:
            writer = writer.option("txnAppId", transaction[0]).option("txnVersion", transaction[1])
        try:
            with self._change(table, TRUSTED_S):
                writer.saveAsTable(self.name(table))
        except Exception as error:
            if transaction is None or not is_same_transaction(error):
                raise  # else the same was committed meanwhile
        reach(f"{table}.appended")
        if transaction is None:
            return True
        latest = history.commits(self.spark, self.name(table), history.LATEST_COMMITS)
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
        self.replace(self.frame(rows, table), table, key, value, run_id)

    def replace(self, rows: DataFrame, table: str, key: str, value: str | int, run_id: str) -> None:
        """Make `rows` the only ones with `key` = `value`, as one commit."""
        condition = f"{key} = {quoted(value) if isinstance(value, str) else int(value)}"
        self._overwrite(rows, table, condition, run_id)

    def replace_all(self, rows: DataFrame, table: str, run_id: str) -> None:
        """Make `rows` the table's only ones, as one commit."""
        self._overwrite(rows, table, "true", run_id)

    def _overwrite(self, rows: DataFrame, table: str, condition: str, run_id: str) -> None:
        writer = self._while_claimed(cast(rows, TABLES[table]), table).write
        writer = writer.format("delta").mode("overwrite")
        writer = writer.option("replaceWhere", condition)
        writer = writer.option("userMetadata", json.dumps({"run_id": run_id}))
        with self._change(table, TRUSTED_S):
            writer.saveAsTable(self.name(table))

    def frame(self, rows: Sequence[Mapping[str, Any]], table: str) -> DataFrame:
        """Rows that the driver holds, with the columns of the table; what a row lacks is null."""
        return self.spark.createDataFrame(arrow_table(rows, TABLES[table].columns))

    def update(self, table: str, where: Column, changes: Mapping[str, Column]) -> None:
        """Set columns of the rows that match."""
        with self._change(table):
            self._merge_matching(table, where).whenMatched().update(dict(changes)).merge()
            self._check_claim()

    def update_rows(self, rows: DataFrame, table: str, columns: Sequence[str]) -> None:
        """Set columns of the rows that `rows` has by the table's key, as one commit; no commit
        where they are so already."""
        is_same = reduce(and_, (_is_equal(table, key) for key in TABLES[table].key))
        differs = reduce(
            or_, (~F.col(f"{table}.{c}").eqNullSafe(F.col(f"new.{c}")) for c in columns)
        )
        both = self.read(table).alias(table).join(rows.alias("new"), is_same)
        changed = both.filter(differs).select("new.*").distinct()  # of rows that are there twice
        if changed.isEmpty():
            return
        merge = self._merge(table, changed, is_same)
        with self._change(table, TRUSTED_S):
            merge.whenMatched().update({c: F.col(f"new.{c}") for c in columns}).merge()

    def delete(self, table: str, where: Column) -> None:
        """Remove the rows that match."""
        with self._change(table):
            self._merge_matching(table, where).whenMatched().delete().merge()
            self._check_claim()

    def remove(self, rows: DataFrame, table: str, key: str) -> None:
        """Remove the rows that `rows` has by `key`, as one commit."""
        merge = self._merge(table, rows.select(key).distinct(), _is_equal(table, key))
        with self._change(table, TRUSTED_S):
            merge.whenMatched().delete().merge()

    def upsert(
        self,
        rows: DataFrame,
        table: str,
        key: str,
        only_if: Column | None = None,
        changes: Mapping[str, Column] | None = None,
    ) -> None:
        """Replace the rows that `rows` has by `key` and add the others, as one commit.

        `only_if` is a condition over the table's name and `new` that a replaced row must meet;
        `changes` are the columns to set of one, in the place of all.
        """
        merge = self._merge(table, cast(rows, TABLES[table]), _is_equal(table, key))
        matched = merge.whenNotMatched().insertAll().whenMatched(only_if)
        with self._change(table, TRUSTED_S):
            (matched.updateAll() if changes is None else matched.update(dict(changes))).merge()

    def use(self) -> None:
        """Make the namespace the session's default, so that statements need not name it."""
        self.spark.sql(f"USE {self.namespace}")

    def execute(self, query: str) -> DataFrame:
        """The rows of one of our queries; names in it come from `name`, values never from users."""
        return self.spark.sql(query)

    def create_view(self, view: str, query: str, comment: str) -> None:
        """Create or replace a persistent view."""
        statement = f"CREATE OR REPLACE VIEW {self.name(view)} COMMENT {quoted(comment)} AS {query}"
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

    def properties(self, table: str) -> dict[str, str]:
        """The table's properties."""
        rows = self.spark.sql(f"SHOW TBLPROPERTIES {self.name(table)}").collect()
        return {row["key"]: row["value"] for row in rows}

    def set_properties(self, table: str, properties: Mapping[str, str]) -> None:
        """Set table properties (a new version of the table)."""
        pairs = ", ".join(f"{quoted(k)} = {quoted(v)}" for k, v in properties.items())
        with self._change(table):
            self.spark.sql(f"ALTER TABLE {self.name(table)} SET TBLPROPERTIES ({pairs})")


def _is_equal(table: str, key: str) -> Column:
    """Whether a row of the table and a `new` one have the same key."""
    return F.col(f"{table}.{key}") == F.col(f"new.{key}")
