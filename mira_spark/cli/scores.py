"""`mira scores`: what scoring left to be mended."""

import typer

from mira_spark.cli.options import AsJson, ConfigOption, Overrides, RunId
from mira_spark.process.progress import say, write_answer
from mira_spark.settings.root import load

app = typer.Typer(help="Scores: what scoring left to be mended.")


@app.callback()
def group() -> None:
    """A group also with one command."""


@app.command("retry")
def retry_command(
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
    run_id: RunId = None,
) -> None:
    """Score again the documents whose score is quarantined."""
    settings = load(config, overrides or ())
    from mira_spark import pipeline
    from mira_spark.cli.opening import open_lakehouse
    from mira_spark.cli.summary import run_answer
    from mira_spark.lake.runs import new_run_id

    lake, run_id = open_lakehouse(settings), run_id or new_run_id()
    code = pipeline.retry_scores(lake, settings, run_id)
    if as_json:
        write_answer(run_answer(lake, run_id, code))
    raise typer.Exit(code)


@app.command("repair")
def repair_command(
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
    run_id: RunId = None,
) -> None:
    """Drop scores that belong to no document, and second ones; `mira run` then goes on."""
    settings = load(config, overrides or ())
    from mira_spark.cli.opening import open_tables
    from mira_spark.lake import leases, runs
    from mira_spark.scoring import repair

    lake = open_tables(settings)
    with leases.write_lease(lake, settings.session, repair.WRITES) as claimed:
        lines = repair.repair(claimed, run_id or runs.new_run_id())
    for line in lines:
        say(line)
    if as_json:
        write_answer({"done": lines})
