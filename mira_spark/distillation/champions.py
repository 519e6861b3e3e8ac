"""Which student scores: the list of them, and the change of champion by hand."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from pyspark.sql import Row, functions as F

from mira_spark.distillation import registry
from mira_spark.errors import InputError
from mira_spark.lake.clock import clock_after
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.students import Registry

FORCED = "forced"
CHAMPION_COLUMNS = ("student_id", "source_group", "artefact_uri", "artefact_sha256",
                    "champion_since")  # fmt: skip
WRITES = ("students",)


class ListedStudent(NamedTuple):
    """A student; `alias` is champion, challenger or empty, `spearman` that with the verdict, None
    where it is undefined."""

    student_id: str
    alias: str
    kind: str
    labels: int
    spearman: float | None
    gate: str
    created_at: datetime


def list_students(lake: Lakehouse, place: Registry) -> list[ListedStudent]:
    """All students, by group, the newest first."""
    rows = lake.read("students").orderBy("source_group", F.col("created_at").desc()).collect()
    groups = {row["source_group"] for row in rows}
    alias_of = {
        registry.student_of(place, registry.model_name(place, group), registry.CHALLENGER): (
            registry.CHALLENGER
        )
        for group in groups
    }
    for champion in champion_rows(lake, place, groups).values():
        alias_of[champion["student_id"]] = registry.CHAMPION
    return [
        ListedStudent(
            row["student_id"],
            alias_of.get(row["student_id"], ""),
            row["kind"],
            row["labels"],
            row["spearman"],
            row["gate"],
            row["created_at"],
        )
        for row in rows
    ]


def champion_rows(lake: Lakehouse, place: Registry, source_groups: Iterable[str]) -> dict[str, Row]:
    """Group to the id and artefact columns of its champion: the student that MLflow's alias names;
    where MLflow names none (the registry was emptied, or is another) the latest that was made
    champion. Groups without one are absent."""
    groups = sorted(set(source_groups))
    aliased = registry.champions(place, groups)
    students = lake.read("students").filter(F.col("source_group").isin(groups))
    rows = students.select(*CHAMPION_COLUMNS).orderBy("champion_since", "student_id").collect()
    by_id = {row["student_id"]: row for row in rows}
    latest = {row["source_group"]: row for row in rows if row["champion_since"] is not None}
    champions = {
        group: by_id.get(aliased[group]) if group in aliased else latest.get(group)
        for group in groups
    }
    return {group: row for group, row in champions.items() if row is not None}


def latest_students(lake: Lakehouse, ids: Mapping[str, str]) -> dict[str, Row]:
    """Group to the row of its latest student; `ids` is group to the labelling_id of now."""
    of_labelling = F.col("labelling_id").isin(list(ids.values()))
    rows = lake.read("students").filter(of_labelling).orderBy("created_at").collect()
    return {row["source_group"]: row for row in rows}


def promote(lake: Lakehouse, place: Registry, student_id: str, force: bool) -> str:
    """Move the alias and say so; `student_id` may end with the version, where that names one.

    InputError for an unknown student, for one that MLflow does not have, and for one whose gate
    failed unless `force`, which is recorded in `students`.
    """
    row = student_row(lake, student_id)
    student_id = row["student_id"]
    if row["gate"] == "failed" and not force:
        raise InputError(
            f"{student_id} did not pass its gate: {'; '.join(row['gate_reasons'])}. "
            f"mira students promote {student_id} --force lets it score all the same"
        )
    registry.promote(place, student_id)
    values = {"champion_since": F.lit(clock_after(lake, "students", "champion_since")())}
    if row["gate"] == "failed":
        values["gate"] = F.lit(FORCED)
    lake.update("students", F.col("student_id") == student_id, values)
    return f"{row['source_group']}: {student_id} is champion" + (
        ", forced" if row["gate"] != "passed" else ""
    )


def student_row(lake: Lakehouse, student_id: str) -> Row:
    """The row of the one student that is named so, in full or without its digest; InputError where
    none is, or several are."""
    rows = lake.read("students").orderBy("source_group", F.col("created_at").desc()).collect()
    named = [
        row
        for row in rows
        if student_id in (row["student_id"], row["student_id"].rpartition("-")[0])
    ]
    if not named:
        known = ", ".join(row["student_id"] for row in rows) or "none"
        raise InputError(f"there is no student {student_id}; there are {known}")
    if len(named) > 1:
        several = ", ".join(row["student_id"] for row in named)
        raise InputError(f"{student_id} names {len(named)} students: say which of {several}")
    return named[0]
