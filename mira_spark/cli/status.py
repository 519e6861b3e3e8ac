"""`mira status`: what is done, what is stale and why."""

from mira_spark import pipeline
from mira_spark.cli.opening import open_tables
from mira_spark.errors import BusyError
from mira_spark.lake import runs
from mira_spark.process.progress import say, show_table
from mira_spark.scoring import under_way
from mira_spark.selection import lost_versions, record
from mira_spark.settings.root import Settings


def show_status(settings: Settings) -> None:
    """A line for each step, how far a scoring is, and selections whose tables are lost."""
    try:
        lake = open_tables(settings)
    except BusyError:
        if line := under_way.read_note(settings.driver_files):
            say(f"scoring: {line}")
        raise
    finished = runs.last_finished(lake, settings.selection.name)
    rows = []
    for step, state in pipeline.status(lake, settings).items():
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
