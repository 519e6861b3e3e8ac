"""`mira status`: what is done, what is stale and why."""

import shlex

from mira_spark import pipeline
from mira_spark.cli.opening import open_tables
from mira_spark.errors import BusyError
from mira_spark.lake import runs
from mira_spark.process.progress import say, show_table
from mira_spark.scoring import under_way
from mira_spark.selection import lost_versions, record
from mira_spark.settings.root import Settings


def show_status(settings: Settings, config: str | None) -> None:
    """A line for each step, how far a scoring is, selections whose tables are lost, and the next
    command."""
    try:
        lake = open_tables(settings)
    except BusyError:
        if line := under_way.read_note(settings.driver_files):
            say(f"scoring: {line}")
        raise
    finished = runs.last_finished(lake, settings.selection.name)
    rows = []
    states = pipeline.status(lake, settings)
    for step, state in states.items():
        last = finished.get(step)
        when = f"{last['finished_at']:%Y-%m-%d %H:%M}" if last else ""
        rows.append((step, state, when, last["message"] if last else ""))
    show_table(("step", "state", "last run", "what it did"), rows)
    if line := under_way.progress_line(lake, settings.source_grouping, settings.student_registry):
        say(f"scoring: {line}")
    for line in lost_versions.lost_versions(
        lake, record.latest_by_name(record.all_selections(lake))
    ).values():
        say((line, "red"))
    is_done = all(state.partition(":")[0] in ("done", "degraded") for state in states.values())
    command = f"mira selection show {settings.selection.name}" if is_done else "mira run"
    say(f"Next: {command}{f' --config {shlex.quote(config)}' if config else ''}")
