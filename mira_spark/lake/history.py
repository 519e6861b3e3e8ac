"""What a Delta table's history says: which state is meant, and what became of its rows since."""

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

from pyspark.sql import Row, SparkSession

SAME_ROWS = ("OPTIMIZE", "SET TBLPROPERTIES", "VACUUM START", "VACUUM END")
"""Operations that leave a table's rows as they are."""
LATEST_COMMITS = 10
"""Where a commit is looked for that was just made; others commit at the same time."""


class Snapshot(NamedTuple):
    """A table at a version: the id that Delta gave the table and gives anew to one made anew, the
    version, and the `digest` of the commit that made it."""

    table_id: str
    version: int
    commit: str

    def __str__(self) -> str:
        return f"{self.version} of {self.table_id}"


def digest(commit: Row) -> str:
    """16 hex digits of what a commit says of itself in DESCRIBE HISTORY. The time does not count:
    Delta may correct it later."""
    said = ("operation", "operationParameters", "userMetadata", "operationMetrics")
    content = json.dumps([commit[name] for name in said], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def commits(spark: SparkSession, name: str, number: int, last: int | None = None) -> list[Row]:
    """The latest commits of the table of that full name, the last first; those after the version
    `last` left out."""
    limit = number if last is None else number + LATEST_COMMITS
    rows = spark.sql(f"DESCRIBE HISTORY {name} LIMIT {limit}").collect()
    return [row for row in rows if last is None or row["version"] <= last][:number]


def table_id(spark: SparkSession, name: str) -> str:
    """The id that Delta gave the table."""
    return str(spark.sql(f"DESCRIBE DETAIL {name}").collect()[0]["id"])


def snapshot(spark: SparkSession, name: str) -> Snapshot:
    """The table's present state."""
    (latest,) = commits(spark, name, 1)
    return Snapshot(table_id(spark, name), latest["version"], digest(latest))


def only_appends(spark: SparkSession, name: str, then: Snapshot, now: Snapshot) -> bool:
    """Whether the table had nothing but appends of ours between the two; False also when its
    history does not reach back to `then`."""
    if now == then:
        return True
    if now.table_id != then.table_id or now.version <= then.version:
        return False
    between = commits(spark, name, now.version - then.version + 1, now.version)
    return are_appends(between, then, now)


def are_appends(commits: Sequence[Row], then: Snapshot, now: Snapshot) -> bool:
    """Whether the table had nothing but appends of ours between the two, by its commits, the last
    first. False also when they do not reach back to `then`."""
    wanted = [*range(now.version, then.version - 1, -1)]
    reaches = [commit["version"] for commit in commits] == wanted
    return reaches and digest(commits[-1]) == then.commit and all(map(_appends, commits[:-1]))


def _appends(commit: Row) -> bool:
    """Whether a commit only added rows of ours, or none."""
    if commit["operation"] in SAME_ROWS:
        return True
    is_append = commit["operation"] == "WRITE" and commit["operationParameters"]["mode"] == "Append"
    return is_append and '"run_id"' in (commit["userMetadata"] or "")
