"""`mira status`: what is done, what is stale and why."""

import shlex
from dataclasses import dataclass
from datetime import datetime

from mira_spark import pipeline
from mira_spark.cli.opening import open_tables
from mira_spark.errors import BusyError
from mira_spark.lake import runs
from mira_spark.lake.held_tables import holding
from mira_spark.process.progress import say, show_table
from mira_spark.scoring import under_way
from mira_spark.selection import lost_versions, record
from mira_spark.settings.root import Settings


@dataclass(frozen=True)
class StepState:
    """Of a step: done, degraded, stale or waiting, and why; when it last ended, and what it did."""

    step: str
    state: str
    why: str
    last_run: datetime | None
    what_it_did: str | None


@dataclass(frozen=True)
class Status:
    """Of the pipeline: how far a scoring is, None where none is under way, selections whose tables
    are lost, a line each, and the next command."""

    steps: list[StepState]
    scoring: str | None
    lost_selections: list[str]
    next: str


def pipeline_status(settings: Settings, config: str | None) -> Status:
    """The status by what the tables say. BusyError, with what is known of a scoring said, where
    another process has the folder."""
    try:
        lake = open_tables(settings)
    except BusyError:
        if line := under_way.read_note(settings.driver_files):
            say(f"scoring: {line}")
        raise
    lake = holding(lake, "runs", "source_groups", "rubrics", "students", "selections")
    finished = runs.last_finished(lake, settings.selection.name)
    steps = []
    for step, described in pipeline.status(lake, settings).items():
        state, _, why = described.partition(": ")
        last = finished.get(step)
        ended = (last["finished_at"], last["message"]) if last else (None, None)
        steps.append(StepState(step, state, why, *ended))
    latest = record.latest_by_name(record.all_selections(lake))
    is_done = all(each.state in ("done", "degraded") for each in steps)
    command = f"mira selection show {settings.selection.name}" if is_done else "mira run"
    return Status(
        steps,
        under_way.progress_line(lake, settings.source_grouping, settings.student_registry),
        list(lost_versions.lost_versions(lake, latest).values()),
        f"{command}{f' --config {shlex.quote(config)}' if config else ''}",
    )


def show_status(status: Status) -> None:
    """A line for each step, how far a scoring is, lost selections, and the next command."""
    rows = [
        (
            each.step,
            f"{each.state}: {each.why}" if each.why else each.state,
            f"{each.last_run:%Y-%m-%d %H:%M}" if each.last_run else "",
            each.what_it_did or "",
        )
        for each in status.steps
    ]
    show_table(("step", "state", "last run", "what it did"), rows)
    if status.scoring:
        say(f"scoring: {status.scoring}")
    for line in status.lost_selections:
        say((line, "red"))
    say(f"Next: {status.next}")
