"""`mira students`: what was trained, and which one scores."""

from typing import Annotated

import typer

from mira_spark.cli.options import ConfigOption, Overrides, open_lakehouse
from mira_spark.distillation import champions
from mira_spark.lake import leases
from mira_spark.process.progress import say, show_table
from mira_spark.settings.root import load

app = typer.Typer(help="Students: what was trained, how well, and which one scores.")


@app.command("list")
def list_command(config: ConfigOption = None, overrides: Overrides = None) -> None:
    """All registered students, the newest of each group first."""
    settings = load(config, overrides or ())
    headings = ("student", "alias", "kind", "labels", "Spearman", "gate", "made")
    show_table(
        headings, champions.list_students(open_lakehouse(settings), settings.student_registry)
    )


@app.command("promote")
def promote_command(
    student_id: Annotated[str, typer.Argument(help="as in mira students list")],
    force: Annotated[bool, typer.Option(help="although its gate failed; it is recorded")] = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Make a student its group's champion: the next scoring is by it."""
    settings = load(config, overrides or ())
    with leases.write_lease(open_lakehouse(settings), settings.session, champions.WRITES) as lake:
        say(champions.promote(lake, settings.student_registry, student_id, force))
