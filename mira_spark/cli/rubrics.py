"""`mira rubrics`: export, import, approve and audit."""

from pathlib import Path
from typing import Annotated

import typer

from mira_spark.cli.audit import show_audit
from mira_spark.cli.options import ConfigOption, Overrides, open_lakehouse
from mira_spark.errors import InputError
from mira_spark.labels import forms, labelling
from mira_spark.labels.scored_documents import audits
from mira_spark.lake import leases, runs
from mira_spark.lake.creation import create_tables
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import say, say_text
from mira_spark.rubrics import current, signing
from mira_spark.settings.root import Settings, load

app = typer.Typer(help="Rubrics as people see them: export, edit, import, approve, audit.")


@app.command("export")
def export_command(
    out: Annotated[Path | None, typer.Option(help="the file to write; else the terminal")] = None,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Write the rubrics with their evidence as YAML, to be read and edited."""
    settings = load(config, overrides or ())
    lake = open_lakehouse(settings)
    text = signing.export(lake, _discoveries(lake, settings))
    if out is None:
        say_text(text)
        return
    out.write_text(text, encoding="utf-8")
    say(f"the rubrics are in {out}: edit them, then mira rubrics import {out}")


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="the edited YAML")],
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Take edited rubrics in as drafts; nothing is asked or labelled before one is approved."""
    settings = load(config, overrides or ())
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    with leases.write_lease(open_lakehouse(settings), settings.session, signing.WRITES) as lake:
        for line in signing.import_drafts(
            lake, _discoveries(lake, settings), text, runs.new_run_id()
        ):
            say(line)


@app.command("approve")
def approve_command(
    by: Annotated[str, typer.Option(help="who signs")],
    ids: Annotated[list[str] | None, typer.Argument(help="rubric ids; else what waits")] = None,
    config: ConfigOption = None,
    overrides: Overrides = None,
) -> None:
    """Sign rubrics by name. Labels of another rubric no longer count for the group."""
    settings = load(config, overrides or ())
    with leases.write_lease(open_lakehouse(settings), settings.session, signing.WRITES) as lake:
        for line in signing.approve(lake, _discoveries(lake, settings), ids or (), by):
            say(line)


@app.command("audit")
def audit_command(config: ConfigOption = None, overrides: Overrides = None) -> None:
    """Whether the rubrics tell documents apart: spread, redundancy, agreement, with warnings."""
    settings = load(config, overrides or ())
    lake = open_lakehouse(settings)
    create_tables(lake)
    discoveries = _discoveries(lake, settings)
    rubrics = current.latest_rubrics(lake, discoveries)
    asking_id = forms.asking_id(settings.judge, "labelling", settings.labelling.generation)
    ids = {r.rubric_id: labelling.labelling_id(r.rubric_id, asking_id) for r in rubrics}
    audited = set()
    for found in audits(lake, rubrics, ids, discoveries):
        show_audit(found)
        audited.add(found.source_group)
    for group in sorted(set(discoveries) - audited):
        say(
            f"{group}: no document was scored on a rubric yet: run label_documents first, or "
            "discover with discovery.selection=separating"
        )


def _discoveries(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    return forms.discoveries(lake, settings.source_grouping, settings.discovery, settings.judge)
