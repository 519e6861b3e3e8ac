"""A history tells appends of ours only where it reaches back and says nothing else."""

from typing import Any

import pytest
from pyspark.sql import Row

from mira_spark.lake.history import Snapshot, are_appends, digest, only_appends

OURS = '{"run_id": "r", "commit": "%s"}'


def commit(version: int, operation: str = "WRITE", mode: str = "Append", **changes: Any) -> Row:
    said = {
        "version": version,
        "operation": operation,
        "operationParameters": {"mode": mode},
        "userMetadata": OURS % version,
        "operationMetrics": {"numOutputRows": "1"},
    }
    return Row(**said | changes)


def asked(*commits: Row, last: int = 5) -> bool:
    """Of what came after version 2."""
    then = Snapshot("id", 2, digest(commit(2)))
    return are_appends(commits, then, Snapshot("id", last, "any"))


def test_appends_of_ours_are_told() -> None:
    assert asked(commit(5), commit(4, "OPTIMIZE"), commit(3, "SET TBLPROPERTIES"), commit(2))


@pytest.mark.parametrize(
    "other",
    [
        commit(4, mode="Overwrite"),
        commit(4, "RESTORE"),
        commit(4, "DELETE"),
        commit(4, "MERGE"),
        commit(4, "CREATE OR REPLACE TABLE"),
        commit(4, "an operation of the future"),
        commit(4, userMetadata=None),
        commit(4, userMetadata="of another program"),
    ],
)
def test_anything_else_is_no_append_of_ours(other: Row) -> None:
    assert not asked(commit(5), other, commit(3), commit(2))


def test_a_history_that_was_cleaned_tells_nothing() -> None:
    assert not asked(commit(5), commit(4), commit(3))
    assert not asked(commit(5), commit(3), commit(2))
    assert not asked()


def test_another_commit_of_the_same_version_is_another_table() -> None:
    assert not asked(commit(5), commit(4), commit(3), commit(2, userMetadata=OURS % "another"))


def test_a_table_made_anew_is_another_table_whatever_its_version() -> None:
    """That is known without its history: there is no session to read it with."""
    assert not only_appends(None, "lake.scores", Snapshot("id", 2, "c"), Snapshot("new", 5, "d"))
