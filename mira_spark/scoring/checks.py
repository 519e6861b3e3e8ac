"""What scoring proved when it ended, and how far that still holds.

A score belongs to a document while their keys are the same; a document that was changed or removed
leaves scores that belong to none. Whether there are such is recorded with the versions of both
tables, and holds while both had appends of ours alone. Where that cannot be told, because a table
was restored, overwritten or made anew, or its history was cleaned, the tables are joined.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import NamedTuple

from pyspark.sql import DataFrame, Row, functions as F

from mira_spark.lake.history import Snapshot
from mira_spark.lake.tables import Lakehouse

_TABLES = ("documents", "scores")
SCORE_KEY = ["doc_id", "content_hash", "source", "bucket"]
"""A score belongs to a document while all of these are the same."""


class Proof(NamedTuple):
    """What is known of `scores` as it is now, without looking at its rows: that all scores belong
    to a document of now, and that no document has two scores of the students asked about."""

    all_belong: bool
    one_each: bool


def latest_proof(lake: Lakehouse, student_ids: Collection[str]) -> Proof:
    """By the latest check of these tables and what became of them since."""
    now = {table: lake.snapshot(table) for table in _TABLES}
    row = _latest(lake, now)
    if row is None:
        return Proof(all_belong=False, one_each=False)
    then = _snapshots(row)
    return Proof(
        row["all_belong"] and all(lake.only_appends_since(t, then[t], now[t]) for t in _TABLES),
        then["scores"] == now["scores"] and set(student_ids) <= set(row["students"]),
    )


def orphans(lake: Lakehouse, documents_version: int, scores_version: int) -> DataFrame:
    """The scores, of any student, that belong to no document."""
    documents = lake.read("documents", documents_version).select(*SCORE_KEY)
    return lake.read("scores", scores_version).join(documents, on=SCORE_KEY, how="left_anti")


def doubles(scores: DataFrame) -> DataFrame:
    """The keys, with their student, of more than one of these scores."""
    return scores.groupBy(*SCORE_KEY, "student_id").count().filter("count > 1")


def record_check(
    lake: Lakehouse,
    documents: Snapshot,
    student_ids: Collection[str],
    all_belong: bool,
    run_id: str,
) -> None:
    """That `scores`, as it is now, was found to have one score of these students for each of the
    documents, and whether scores of all students belong to one."""
    now = {"documents": documents, "scores": lake.snapshot("scores")}
    row = _latest(lake, now)
    students = sorted(student_ids)
    is_known = row and (_snapshots(row), row["all_belong"]) == (now, all_belong)
    if row and is_known and set(students) <= set(row["students"]):
        return
    state = {f"{table}_{part}": value for table in _TABLES for part, value in _parts(now[table])}
    state |= {"all_belong": all_belong, "students": students, "run_id": run_id}
    lake.append_rows([state | {"checked_at": datetime.now(UTC)}], "score_checks", run_id)


def _latest(lake: Lakehouse, now: dict[str, Snapshot]) -> Row | None:
    """What the checks of these tables found at the last versions up to these; not the last by
    time, for clocks are set back. Of several checks of one state each proved something."""
    rows = lake.read("score_checks")
    for table, snapshot in now.items():
        rows = rows.filter(F.col(f"{table}_id") == snapshot.table_id)
        rows = rows.filter(F.col(f"{table}_version") <= snapshot.version)
    state = [f"{table}_{name}" for table in _TABLES for name, _ in _parts(Snapshot("", 0, ""))]
    students = F.array_distinct(F.flatten(F.collect_list("students"))).alias("students")
    proved = rows.groupBy(*state).agg(F.max("all_belong").alias("all_belong"), students)
    ordered = proved.orderBy(F.desc("scores_version"), F.desc("documents_version"), *state)
    newest = ordered.limit(1).collect()
    return newest[0] if newest else None


def _snapshots(row: Row) -> dict[str, Snapshot]:
    names = [part for part, _ in _parts(Snapshot("", 0, ""))]
    return {table: Snapshot(*(row[f"{table}_{name}"] for name in names)) for table in _TABLES}


def _parts(snapshot: Snapshot) -> list[tuple[str, object]]:
    return [("id", snapshot.table_id), ("version", snapshot.version), ("commit", snapshot.commit)]
