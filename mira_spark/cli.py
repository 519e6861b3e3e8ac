"""The command `mira`: every step, the whole pipeline, the demo, the state of things, and SQL."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from pyspark.errors import PySparkException
from rich.markup import escape
from rich.table import Table

from mira_spark import cli_rubrics, cli_students, judging, pipeline, planning, runs, summary
from mira_spark.cli_options import Config, Overrides, RunId, open_lakehouse
from mira_spark.errors import MiraError
from mira_spark.progress import console, say, set_up_logging
from mira_spark.settings import load

app = typer.Typer(
    help="Select training documents: discover rubrics, distil students, score, keep the best.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(cli_rubrics.app, name="rubrics")
app.add_typer(cli_students.app, name="students")
judge_app = typer.Typer(help="The judge: what it was asked in vain.")
app.add_typer(judge_app, name="judge")

DEMO = (
    "labelling.documents_per_source=900",
    "scoring.unit_tokens=10_000_000",
)
"""What the demo, like conf/local.yaml, sets smaller than the defaults."""


def run_steps(
    steps: Sequence[str], config: Path | None, overrides: Sequence[str], run_id: str | None
) -> int:
    """Load the settings, do the steps; the exit code."""
    settings = load(config, overrides)
    lake = open_lakehouse(settings)
    return pipeline.perform(lake, settings, run_id or runs.new_run_id(), steps)


def _step_command(name: str) -> Callable[..., None]:
    def command(config: Config = None, overrides: Overrides = None, run_id: RunId = None) -> None:
        raise typer.Exit(run_steps([name], config, overrides or (), run_id))

    command.__doc__ = (pipeline.STEPS[name].__doc__ or "").split(" Reads ")[0]
    return command


for _name in pipeline.STEPS:
    app.command(_name.replace("_", "-"))(_step_command(_name))


@app.command("run")
def run_command(config: Config = None, overrides: Overrides = None, run_id: RunId = None) -> None:
    """All steps in order, each only where something changed."""
    raise typer.Exit(run_steps(tuple(pipeline.STEPS), config, overrides or (), run_id))


@app.command("demo")
def demo_command(config: Config = None, overrides: Overrides = None, run_id: RunId = None) -> None:
    """The whole pipeline on the Python files of this machine, and what came out of it."""
    started = time.monotonic()
    settings = load(config, (*DEMO, *(overrides or ())))
    lake = open_lakehouse(settings)
    code = pipeline.perform(lake, settings, run_id or runs.new_run_id())
    if code in (0, 3):
        summary.show(lake, settings)
    say(f"\n{time.monotonic() - started:.0f} seconds")
    raise typer.Exit(code)


@app.command("status")
def status_command(config: Config = None, overrides: Overrides = None) -> None:
    """What is done, what is stale and why, what waits for what."""
    settings = load(config, overrides or ())
    lake = open_lakehouse(settings)
    lake.create()
    table = Table("step", "state", "last run", "what it did", box=None)
    finished = runs.finished(lake)
    for step, state in pipeline.status(lake, settings).items():
        last = finished.get(step)
        when = f"{last['finished_at']:%Y-%m-%d %H:%M}" if last else ""
        table.add_row(step, escape(state), when, escape(last["message"]) if last else "")
    console.print(table)


@app.command("plan")
def plan_command(config: Config = None, overrides: Overrides = None) -> None:
    """Calls, tokens, dollars and hours of what the judge is still to be asked; sends nothing."""
    settings = load(config, overrides or ())
    lake = open_lakehouse(settings)
    lake.create()
    summary.show_plan(planning.estimates(lake, settings))


@judge_app.command("retry")
def retry_command(
    outcome: Annotated[
        Literal["failed", "unreadable"],
        typer.Option(help="failed: no answer came; unreadable: invalid, refused or truncated"),
    ] = "failed",
    config: Config = None,
    overrides: Overrides = None,
    run_id: RunId = None,
) -> None:
    """Ask again what a labelling asked in vain."""
    settings = load(config, overrides or ())
    lake = open_lakehouse(settings)
    if outcome == "unreadable":
        settings = judging.with_another_asking(lake, settings)
    run_id = run_id or runs.new_run_id()
    raise typer.Exit(pipeline.perform(lake, settings, run_id, ["label_documents"], force=True))


@app.command("sql")
def sql_command(
    query: Annotated[str, typer.Argument(help="one statement; tables need no schema in front")],
    config: Config = None,
    overrides: Overrides = None,
    rows: Annotated[int, typer.Option(help="the most rows to show")] = 100,
) -> None:
    """Ask the tables and views in SQL."""
    settings = load(config, overrides or ())
    lake = open_lakehouse(settings)
    lake.use()
    try:
        summary.show_rows(lake.spark.sql(query), rows)
    except PySparkException as error:
        raise MiraError((error.getMessage() or str(error)).strip()) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; errors the user can mend are one message and an exit code, no traceback."""
    set_up_logging()
    try:
        app(args=list(arguments) if arguments is not None else None)
    except MiraError as error:
        console.print(f"[red]{type(error).__name__}:[/] {escape(str(error))}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("interrupted: what was done is kept, the same command goes on from here")
        sys.exit(75)


def step_main(step: str) -> None:
    """The program of `jobs/<step>.py`: the step's subcommand with the program's arguments."""
    main([step.replace("_", "-"), *sys.argv[1:]])
