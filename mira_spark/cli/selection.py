"""`mira selection`: what was selected, shown, compared, dropped, explained, exported."""

from typing import Annotated, Literal

import typer

from mira_spark.cli.options import ConfigOption, Overrides, RunId, root_option
from mira_spark.settings.root import load

app = typer.Typer(help="Selections: what was selected, shown, compared, dropped.")

_Name = Annotated[str, typer.Argument(help="a name, for the latest of it, or an id")]


@app.command("list")
def list_command(config: ConfigOption = None, overrides: Overrides = None) -> None:
    """All selections, the latest first, and whether what they were made from can still be read."""
    settings = load(config, overrides or ())
    from mira_spark.cli.selection_tables import show_selections

    show_selections(settings)


@app.command("show")
def show_command(name: _Name, config: ConfigOption = None, overrides: Overrides = None) -> None:
    """A selection: its settings and versions, and where each source is cut."""
    settings = load(config, overrides or ())
    from mira_spark.cli.selection_tables import show_selection

    show_selection(settings, name)


@app.command("drop")
def drop_command(
    name: Annotated[str, typer.Argument(help="as in mira selection list")],
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Remove the view and the record of a selection; documents and scores stay."""
    settings = load(config, overrides or ())
    from mira_spark.cli.selection_tables import drop_selection

    drop_selection(settings, name)


@app.command("diff")
def diff_command(
    a: _Name, b: _Name, config: ConfigOption = None, overrides: Overrides = None
) -> None:
    """What is only in A, only in B, and in both, by source and by reason."""
    settings = load(config, overrides or ())
    from mira_spark.cli.selection_tables import show_diff

    show_diff(settings, a, b)


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
    from mira_spark.cli import opening, what_if
    from mira_spark.lake.runs import new_run_id

    what_if.show(opening.open_tables(settings), settings, budget, policy, run_id or new_run_id())


@app.command("explain")
def explain_command(
    doc_id: Annotated[str, typer.Argument(help="of a document")],
    selection: Annotated[str | None, typer.Option(help="name or id; else the settings'")] = None,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Why a document is in a selection or not, by which scores and versions."""
    settings = load(config, overrides or ())
    from mira_spark.cli.selection_tables import explain

    explain(settings, doc_id, selection or settings.selection.name)


@app.command("export")
def export_command(
    name: Annotated[str, typer.Argument(help="of a selection, or its id")],
    to: Annotated[
        str, typer.Option(help="a folder by path or URI, new or of an interrupted export")
    ],
    format_: Annotated[Literal["parquet", "jsonl"], typer.Option("--format")] = "parquet",
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Write a selection's documents into numbered files, in order of source, bucket and doc_id."""
    folder = root_option(to)
    settings = load(config, overrides or ())
    from mira_spark.cli.selection_tables import export_selection

    export_selection(settings, name, folder, format_, to)
