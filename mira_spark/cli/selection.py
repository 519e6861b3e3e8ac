"""`mira selection`: what was selected, shown, compared, dropped, explained, exported."""

from typing import Annotated, Literal

import typer

from mira_spark.cli.options import AsJson, ConfigOption, Overrides, RunId, root_option
from mira_spark.process.progress import give_answer, give_lines, write_answer
from mira_spark.settings.root import load

app = typer.Typer(help="Selections: what was selected, shown, compared, dropped.")

_Name = Annotated[str, typer.Argument(help="a name, for the latest of it, or an id")]


@app.command("list")
def list_command(
    as_json: AsJson = False, config: ConfigOption = None, overrides: Overrides = None
) -> None:
    """All selections, the latest first, and whether what they were made from can still be read."""
    settings = load(config, overrides or ())
    from mira_spark.cli import opening, selection_answers, selection_tables

    found = selection_answers.all_selections(opening.open_tables(settings))
    give_answer(found, selection_tables.show_selections, as_json)


@app.command("show")
def show_command(
    name: _Name,
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """A selection: its settings and versions, and where each source is cut."""
    settings = load(config, overrides or ())
    from mira_spark.cli import opening, selection_answers, selection_tables

    found = selection_answers.cut_selection(opening.open_tables(settings), name)
    give_answer(found, selection_tables.show_selection, as_json)


@app.command("drop")
def drop_command(
    name: Annotated[str, typer.Argument(help="as in mira selection list")],
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Remove the view and the record of a selection; documents and scores stay."""
    settings = load(config, overrides or ())
    from mira_spark.cli.selection_answers import drop_selection

    give_lines(drop_selection(settings, name), as_json)


@app.command("diff")
def diff_command(
    a: _Name,
    b: _Name,
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """What is only in A, only in B, and in both, by source and by reason."""
    settings = load(config, overrides or ())
    from mira_spark.cli import opening, selection_answers, selection_tables

    found = selection_answers.difference(opening.open_tables(settings), a, b)
    give_answer(found, selection_tables.show_difference, as_json)


@app.command("what-if")
def what_if_command(
    budget: Annotated[str, typer.Option(help="tokens or per cent, divided by commas")],
    policy: Annotated[str, typer.Option(help="group, global, source, divided by commas")] = "group",
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
    run_id: RunId = None,
) -> None:
    """What budgets and policies would keep, from the histogram of the scores alone."""
    settings = load(config, overrides or ())
    from mira_spark.cli import opening, what_if
    from mira_spark.lake.runs import new_run_id

    asked = (opening.open_tables(settings), settings, budget, policy, run_id or new_run_id())
    if as_json:
        answers, notes = what_if.budget_answers(*asked)
        write_answer({"budgets": answers, "notes": notes})
    else:
        what_if.show(*asked)


@app.command("explain")
def explain_command(
    doc_id: Annotated[str, typer.Argument(help="of a document")],
    selection: Annotated[str | None, typer.Option(help="name or id; else the settings'")] = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Why a document is in a selection or not, by which scores and versions."""
    settings = load(config, overrides or ())
    from mira_spark.cli import opening, selection_answers, selection_tables

    name = selection or settings.selection.name
    lake = opening.open_tables(settings)
    found = selection_answers.document_explanation(lake, doc_id, name)
    if as_json:
        write_answer(found.fields())
    else:
        selection_tables.show_document(found)


@app.command("export")
def export_command(
    name: Annotated[str, typer.Argument(help="of a selection, or its id")],
    to: Annotated[
        str, typer.Option(help="a folder by path or URI, new or of an interrupted export")
    ],
    format_: Annotated[Literal["parquet", "jsonl"], typer.Option("--format")] = "parquet",
    compression: Annotated[
        Literal["none", "gzip", "zstd", "snappy"] | None,
        typer.Option(help="of lines none, gzip or zstd; of Parquet zstd or any; the first if none"),
    ] = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Write a selection's documents into numbered files, in order of source, bucket and doc_id."""
    folder = root_option(to)
    settings = load(config, overrides or ())
    from mira_spark.cli import opening, selection_answers, selection_tables

    lake = opening.open_tables(settings)
    done = selection_answers.export_selection(lake, name, folder, format_, compression)
    if as_json:
        write_answer(done)
    else:
        selection_tables.show_export(done, to)
