"""The command `mira`: every step, the whole pipeline, the demo, the state of things, and SQL."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from pyspark.errors import PySparkException
from rich.markup import escape
from rich.table import Table

from mira_spark import pipeline, runs, session, summary
from mira_spark.errors import MiraError
from mira_spark.progress import console, say, set_up_logging
from mira_spark.settings import Settings, load
from mira_spark.tables import Lakehouse

app = typer.Typer(
    help="Select training documents: discover rubrics, distil students, score, keep the best.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[Path | None, typer.Option("--config", help="the settings, a YAML file")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value over the file, e.g. selection.budget=30%"),
]
RunId = Annotated[str | None, typer.Option("--run-id", help="names the run in the tables")]

DEMO = (
    "labelling.documents_per_source=600",
    "scoring.unit_tokens=10_000_000",
)
"""What the demo, like conf/local.yaml, sets smaller than the defaults."""


def open_lakehouse(settings: Settings) -> Lakehouse:
    """The tables of the configured namespace, over the platform's session or a local one."""
    if settings.session == "platform":
        spark = session.open_platform()
    else:
        spark = session.open_local(settings.folder, settings.local_cores, settings.local_memory)
    return Lakehouse(spark, settings.namespace)


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
