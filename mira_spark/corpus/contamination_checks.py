"""What documents were looked through for, and whether that still holds."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from pyspark.sql import functions as F

from mira_spark.corpus.evaluation_items import settings_digest
from mira_spark.corpus.ngram_batches import DOCUMENT
from mira_spark.errors import InputError, joined
from mira_spark.lake.history import Snapshot
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.evaluation import EvaluationSettings

_TABLES = ("documents", "contaminated")
_RUN = "run mira find-contamination first"


class Check(NamedTuple):
    """That a version of `documents` was looked through for the items of a set, of which there were
    so many, and which version of `contaminated` has what was found."""

    item_set: str
    settings_digest: str
    items_digest: str
    items: int
    documents: Snapshot
    contaminated: Snapshot


def latest_checks(lake: Lakehouse) -> dict[str, Check]:
    """By set, those whose `contaminated` is as they left it."""
    found = {}
    for row in lake.read("contamination_checks").collect():
        snapshots = (
            Snapshot(*(row[f"{table}_{part}"] for part in ("id", "version", "commit")))
            for table in _TABLES
        )
        said = (row[name] for name in ("item_set", "settings_digest", "items_digest", "items"))
        found[row["item_set"]] = Check(*said, *snapshots)
    now = lake.snapshot("contaminated") if found else None
    return {
        name: check
        for name, check in found.items()
        if now and lake.only_appends_since("contaminated", check.contaminated, now)
    }


def record_checks(lake: Lakehouse, checks: Collection[Check], run_id: str) -> None:
    """Make these the latest checks; no commit where they are so already."""
    if latest_checks(lake) == {check.item_set: check for check in checks}:
        return
    now, rows = datetime.now(UTC), []
    for check in checks:
        row = check._asdict()
        for table in _TABLES:
            of_table: Snapshot = row.pop(table)
            row |= {f"{table}_id": of_table.table_id, f"{table}_version": of_table.version,
                    f"{table}_commit": of_table.commit}  # fmt: skip
        rows.append(row | {"run_id": run_id, "checked_at": now})
    lake.replace_all(lake.frame(rows, "contamination_checks"), "contamination_checks", run_id)


def pinned_contamination(
    lake: Lakehouse, evaluation: EvaluationSettings, documents: Snapshot
) -> Snapshot | None:
    """The state of `contaminated` that has what these documents hold of the evaluation; None for an
    evaluation without sets.

    InputError where a set was not looked for as the settings say, or not in all of the documents.
    """
    if not evaluation.sets:
        return None
    checks = latest_checks(lake)
    _check_settings(checks, evaluation)
    latest = checks[evaluation.sets[0].name]  # one run writes all of them
    if latest.documents != documents:
        _check_documents(lake, latest.documents, documents)
    return latest.contaminated


def _check_settings(checks: Mapping[str, Check], evaluation: EvaluationSettings) -> None:
    problems = []
    for each in evaluation.sets:
        check = checks.get(each.name)
        if check is None:
            problems.append(f"evaluation.sets.{each.name}: was not looked for yet: {_RUN}")
        elif check.settings_digest != settings_digest(each, evaluation):
            problems.append(
                f"evaluation.sets.{each.name}: was looked for with other settings: {_RUN}"
            )
    if problems:
        raise InputError(joined(problems))


def _check_documents(lake: Lakehouse, looked_through: Snapshot, documents: Snapshot) -> None:
    there = lake.read("documents", documents.version).select(*DOCUMENT)
    missed = there
    if looked_through.table_id == documents.table_id:
        known = lake.read("documents", looked_through.version).select(*DOCUMENT)
        missed = there.join(known, on=[*DOCUMENT], how="left_anti")
    count = missed.agg(F.count("*")).collect()[0][0]
    if count:
        raise InputError(
            f"{count:,} documents were not looked through for items of evaluation.sets: {_RUN}"
        )
