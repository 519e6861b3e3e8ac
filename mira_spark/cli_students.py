"""`mira students`: what was trained, and which one scores."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mira_spark import champions
from mira_spark.cli_options import Config, Overrides, open_lakehouse
from mira_spark.progress import console, say
from mira_spark.settings import load

app = typer.Typer(help="Students: what was trained, how well, and which one scores.")


@app.command("list")
def list_command(config: Config = None, overrides: Overrides = None) -> None:
    """All registered students, the newest of each group first."""
    settings = load(config, overrides or ())
    table = Table("student", "alias", "kind", "labels", "Spearman", "gate", "made", box=None)
    for student in champions.listed(open_lakehouse(settings), settings):
        table.add_row(*(escape(cell) for cell in student))
    console.print(table)


@app.command("promote")
def promote_command(
    student_id: Annotated[str, typer.Argument(help="as in mira students list")],
    force: Annotated[bool, typer.Option(help="although its gate failed; it is recorded")] = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Make a student its group's champion: the next scoring is by it."""
    settings = load(config, overrides or ())
    say(champions.promote(open_lakehouse(settings), settings, student_id, force))
