"""`mira rubrics`: export, import, approve and audit."""

from pathlib import Path
from typing import Annotated

import typer

from mira_spark.cli.options import AsJson, ConfigOption, Overrides
from mira_spark.process.progress import give_lines
from mira_spark.settings.root import load

app = typer.Typer(help="Rubrics as people see them: export, edit, import, approve, audit.")


@app.command("export")
def export_command(
    out: Annotated[Path | None, typer.Option(help="the file to write; else the terminal")] = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Write the rubrics with their evidence as YAML, to be read and edited."""
    settings = load(config, overrides or ())
    from mira_spark.cli.rubric_review import export_rubrics

    export_rubrics(settings, out, as_json)


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="the edited YAML")],
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Take edited rubrics in as drafts; nothing is asked or labelled before one is approved."""
    settings = load(config, overrides or ())
    from mira_spark.cli.rubric_review import import_rubrics

    give_lines(import_rubrics(settings, file), as_json)


@app.command("approve")
def approve_command(
    by: Annotated[str, typer.Option(help="who signs")],
    ids: Annotated[list[str] | None, typer.Argument(help="rubric ids; else what waits")] = None,
    as_json: AsJson = False,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Sign rubrics by name. Labels of another rubric no longer count for the group."""
    settings = load(config, overrides or ())
    from mira_spark.cli.rubric_review import approve_rubrics

    give_lines(approve_rubrics(settings, ids or (), by), as_json)


@app.command("audit")
def audit_command(
    as_json: AsJson = False, config: ConfigOption = None, overrides: Overrides = None
) -> None:
    """Whether the rubrics tell documents apart: spread, redundancy, agreement, with warnings."""
    settings = load(config, overrides or ())
    from mira_spark.cli.rubric_review import audit_rubrics

    audit_rubrics(settings, as_json)
