"""The command `mira`: every step, the whole pipeline, the demo, the state of things, and SQL.

The modules of commands hold their options alone. What does the work is imported in the command:
Spark alone takes seconds, which neither `--help` nor a setting that is refused should cost.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mira_spark.cli import doctor, emr, init, plan, rubrics, scores, selection, steps, students
from mira_spark.cli.options import AsJson, ConfigOption, Overrides, RunId, ShownAs, read_text
from mira_spark.process.progress import give_answer, voice, write_answer
from mira_spark.settings.root import load

app = typer.Typer(
    help="Select training documents: discover rubrics, distil students, score, keep the best.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def choose_voice(
    quiet: Annotated[
        bool, typer.Option("--quiet", help="only errors and the result; before the command")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", help="when each part begins, tracebacks of errors; before it"),
    ] = False,
) -> None:
    """How much is said, by all commands."""
    if quiet and verbose:
        raise typer.BadParameter("one of --quiet and --verbose")
    if quiet or verbose:  # a line of the shell goes on as the shell was started
        voice.is_quiet, voice.is_verbose = quiet, verbose


app.add_typer(rubrics.app, name="rubrics")
app.add_typer(students.app, name="students")
app.add_typer(scores.app, name="scores")
app.add_typer(selection.app, name="selection")
app.add_typer(emr.app, name="emr")
app.command("init")(init.init_command)
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


for _name, _says in steps.STEP_HELP.items():
    app.command(_name.replace("_", "-"))(steps.step_command([_name], _says))
app.command("run")(
    steps.step_command(
        tuple(steps.STEP_HELP), "All steps in order, each only where something changed."
    )
)


@app.command("demo")
def demo_command(
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
    run_id: RunId = None,
) -> None:
    """The whole pipeline on the Python files of this machine, and what came out of it."""
    settings = load(config, overrides or (), DEMO)
    from mira_spark.cli.summary import run_demo

    raise typer.Exit(run_demo(settings, run_id, as_json))


@app.command("status")
def status_command(
    as_json: AsJson = False, config: ConfigOption = None, overrides: Overrides = None
) -> None:
    """What is done, what is stale and why, what waits for what."""
    settings = load(config, overrides or ())
    from mira_spark.cli.status import pipeline_status, show_status

    status = pipeline_status(settings, config)
    give_answer(status, show_status, as_json)


@judge_app.command("retry")
def retry_command(
    outcome: Annotated[
        Literal["failed", "unreadable"],
        typer.Option(help="failed: no answer came; unreadable: invalid, refused or truncated"),
    ] = "failed",
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
    run_id: RunId = None,
) -> None:
    """Ask again what a labelling asked in vain."""
    settings = load(config, overrides or ())
    from mira_spark import pipeline
    from mira_spark.cli.opening import open_lakehouse
    from mira_spark.cli.summary import run_answer
    from mira_spark.labels import desks
    from mira_spark.lake import runs

    lake = open_lakehouse(settings)
    if outcome == "unreadable":
        judge = desks.with_another_asking(lake, settings.judge)
        settings = settings.model_copy(update={"judge": judge})
    run_id = run_id or runs.new_run_id()
    code = pipeline.perform(lake, settings, run_id, ["label_documents"], force=True)
    if as_json:
        write_answer(run_answer(lake, run_id, code))
    raise typer.Exit(code)


@app.command("sql")
def sql_command(
    query: Annotated[
        str | None, typer.Argument(help="one statement; tables need no schema in front")
    ] = None,
    config: ConfigOption = None,
    overrides: Overrides = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="the most rows; else 100, and all as JSON or CSV")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="that has the statement")] = None,
    vertical: Annotated[bool, typer.Option("--vertical", help="a line for each value")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="an object a line")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="comma-separated values")] = False,
    write: Annotated[bool, typer.Option("--write", help="run what changes tables, too")] = False,
) -> None:
    """Ask the tables and views in SQL; without --write nothing that changes them is run."""
    if (query is None) == (file is None):
        raise typer.BadParameter("a statement is asked for, as an argument or with --file")
    if vertical + as_json + as_csv > 1:
        raise typer.BadParameter("one of --vertical, --json and --csv")
    settings = load(config, overrides or ())
    statement = query if file is None else read_text(file)
    from mira_spark.cli.statements import run_statement

    shown_as: ShownAs = "vertical" if vertical else "json" if as_json else "table"
    if as_csv:
        shown_as = "csv"
    run_statement(settings, statement or "", shown_as, rows, write)


@app.command("shell")
def shell_command(config: ConfigOption = None, overrides: Overrides = None) -> None:
    """Commands and SQL, one a line: Spark starts once, and each answers in a second or two."""
    load(config, overrides or ())
    from mira_spark.cli.shell import run_shell

    run_shell(app, config, overrides or ())


app.command("what-if")(selection.what_if_command)
app.command("explain")(selection.explain_command)
app.command("export")(selection.export_command)
