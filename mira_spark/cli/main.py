"""The command `mira`: every step, the whole pipeline, the demo, the state of things, and SQL."""

import time
from typing import Annotated, Literal

import typer
from pyspark.errors import PySparkException

from mira_spark import pipeline
from mira_spark.cli import (
    doctor,
    emr,
    plan,
    rubrics,
    scores,
    selection as cli_selection,
    statements,
    steps,
    students,
    summary,
    what_if,
)
from mira_spark.cli.options import ConfigOption, Overrides, RunId, open_lakehouse, root_option
from mira_spark.errors import BusyError, MiraError
from mira_spark.labels import desks
from mira_spark.lake import runs
from mira_spark.lake.creation import create_tables
from mira_spark.process.progress import say, show_table
from mira_spark.scoring import under_way
from mira_spark.selection import explanation, export, lost_versions, record
from mira_spark.settings.root import load

app = typer.Typer(
    help="Select training documents: discover rubrics, distil students, score, keep the best.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(rubrics.app, name="rubrics")
app.add_typer(students.app, name="students")
app.add_typer(scores.app, name="scores")
app.add_typer(cli_selection.app, name="selection")
app.add_typer(emr.app, name="emr")
app.command("doctor")(doctor.doctor_command)
app.command("plan")(plan.plan_command)
judge_app = typer.Typer(help="The judge: what it was asked in vain.")
app.add_typer(judge_app, name="judge")

DEMO = {
    "corpus": {"input": "python_environment"},
    "labelling": {"documents_per_source": 700},
    "scoring": {"unit_tokens": 10_000_000},
}
"""What the demo, like conf/local.yaml, does where neither file nor options say otherwise."""


for _name, _step in pipeline.STEPS.items():
    _says = (_step.__doc__ or "").split(" Reads ")[0]
    app.command(_name.replace("_", "-"))(steps.step_command([_name], _says))
app.command("run")(
    steps.step_command(
        tuple(pipeline.STEPS), "All steps in order, each only where something changed."
    )
)


@app.command("demo")
def demo_command(
    config: ConfigOption = None, overrides: Overrides = None, run_id: RunId = None
) -> None:
    """The whole pipeline on the Python files of this machine, and what came out of it."""
    started = time.monotonic()
    settings = load(config, overrides or (), DEMO)
    lake = open_lakehouse(settings, creates=True)
    code = pipeline.perform(lake, settings, run_id or runs.new_run_id())
    if code in (0, 3):
        summary.show(lake, settings)
    say()
    say(f"{time.monotonic() - started:.0f} seconds")
    raise typer.Exit(code)


@app.command("status")
def status_command(config: ConfigOption = None, overrides: Overrides = None) -> None:
    """What is done, what is stale and why, what waits for what."""
    settings = load(config, overrides or ())
    try:
        lake = open_lakehouse(settings)
    except BusyError:
        if line := under_way.read_note(settings.driver_files):
            say(f"scoring: {line}")
        raise
    create_tables(lake)
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


@judge_app.command("retry")
def retry_command(
    outcome: Annotated[
        Literal["failed", "unreadable"],
        typer.Option(help="failed: no answer came; unreadable: invalid, refused or truncated"),
    ] = "failed",
    config: ConfigOption = None,
    overrides: Overrides = None,
    run_id: RunId = None,
) -> None:
    """Ask again what a labelling asked in vain."""
    settings = load(config, overrides or ())
    lake = open_lakehouse(settings)
    if outcome == "unreadable":
        judge = desks.with_another_asking(lake, settings.judge)
        settings = settings.model_copy(update={"judge": judge})
    run_id = run_id or runs.new_run_id()
    raise typer.Exit(pipeline.perform(lake, settings, run_id, ["label_documents"], force=True))


@app.command("sql")
def sql_command(
    query: Annotated[str, typer.Argument(help="one statement; tables need no schema in front")],
    config: ConfigOption = None,
    overrides: Overrides = None,
    rows: Annotated[int, typer.Option(help="the most rows to show")] = 100,
    write: Annotated[bool, typer.Option("--write", help="run what changes tables, too")] = False,
) -> None:
    """Ask the tables and views in SQL; without --write nothing that changes them is run."""
    lake = open_lakehouse(load(config, overrides or ()))
    lake.use()
    if not write:
        statements.check_reading(lake.spark, query)
    try:
        summary.show_rows(lake.spark.sql(query), rows)
    except PySparkException as error:
        raise MiraError((error.getMessage() or str(error)).strip()) from error


@app.command("what-if")
def what_if_command(
    budget: Annotated[str, typer.Option(help="tokens or per cent, divided by commas")],
    policy: Annotated[str, typer.Option(help="group, global, source, divided by commas")] = "group",
    config: ConfigOption = None,
    overrides: Overrides = None,
    run_id: RunId = None,
) -> None:
    """What budgets and policies would keep, from the histogram of the scores alone."""
    settings = load(config, overrides or ())
    lake = open_lakehouse(settings)
    create_tables(lake)
    what_if.show(lake, settings, budget, policy, run_id or runs.new_run_id())


@app.command("explain")
def explain_command(
    doc_id: Annotated[str, typer.Argument(help="of a document")],
    selection: Annotated[str | None, typer.Option(help="name or id; else the settings'")] = None,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Why a document is in a selection or not, by which scores and versions."""
    settings = load(config, overrides or ())
    lake = open_lakehouse(settings)
    create_tables(lake)
    one = record.selection_named(lake, selection or settings.selection.name)
    cli_selection.show_explanation(explanation.explain(lake, one, doc_id))
    cli_selection.say_unscored(lake, one)


@app.command("export")
def export_command(
    name: Annotated[str, typer.Argument(help="of a selection, or its id")],
    to: Annotated[
        str, typer.Option(help="a folder by path or URI, new or of an interrupted export")
    ],
    format_: Annotated[export.Format, typer.Option("--format")] = "parquet",
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Write a selection's documents into numbered files, in order of source, bucket and doc_id."""
    folder = root_option(to)
    lake = open_lakehouse(load(config, overrides or ()))
    create_tables(lake)
    one = record.selection_named(lake, name)
    done = export.export(lake, one, format_, folder)
    say(
        f"{done.documents:,} documents of {done.tokens:,} tokens are in {done.files:,} files in "
        f"{to}; {done.found:,} of the files were there"
    )
    cli_selection.say_unscored(lake, one)
