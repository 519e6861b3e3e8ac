"""`mira scores`: what scoring left to be mended."""

import typer

from mira_spark.cli.options import ConfigOption, Overrides, RunId
from mira_spark.process.progress import say
from mira_spark.settings.root import load

app = typer.Typer(help="Scores: what scoring left to be mended.")


@app.callback()
def group() -> None:
    """A group also with one command."""


@app.command("retry")
def retry_command(
    config: ConfigOption = None, overrides: Overrides = None, run_id: RunId = None
) -> None:
    """Score again the documents whose score is quarantined."""
    settings = load(config, overrides or ())
    from mira_spark import pipeline
    from mira_spark.cli.opening import open_lakehouse
    from mira_spark.lake.runs import new_run_id

    lake = open_lakehouse(settings)
    raise typer.Exit(pipeline.retry_scores(lake, settings, run_id or new_run_id()))


@app.command("repair")
def repair_command(
    config: ConfigOption = None, overrides: Overrides = None, run_id: RunId = None
) -> None:
    """Drop scores that belong to no document, and second ones; `mira run` then goes on."""
    settings = load(config, overrides or ())
    from mira_spark.cli.opening import open_tables
    from mira_spark.lake import leases, runs
    from mira_spark.scoring import repair

    lake = open_tables(settings)
    with leases.write_lease(lake, settings.session, repair.WRITES) as claimed:
        for line in repair.repair(claimed, run_id or runs.new_run_id()):
            say(line)
