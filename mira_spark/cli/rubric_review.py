"""What commands about rubrics do: export, import and approve them, print an audit."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from mira_spark.cli.audit import show_audit
from mira_spark.cli.opening import open_lakehouse, open_tables
from mira_spark.cli.options import read_text
from mira_spark.labels import forms, labelling
from mira_spark.labels.scored_documents import audits
from mira_spark.lake import leases, runs
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import say, say_text, write_answer
from mira_spark.rubrics import current, signing
from mira_spark.rubrics.audit import Audit
from mira_spark.settings.root import Settings


def export_rubrics(settings: Settings, out: Path | None, as_json: bool) -> None:
    """Write the rubrics with their evidence as YAML into a file, or to the terminal; for a program
    the same as an object."""
    text = rubrics_yaml(open_lakehouse(settings), settings)
    if out is not None:
        out.write_text(text, encoding="utf-8")
        say(f"the rubrics are in {out}: edit them, then mira rubrics import {out}")
    if as_json:
        write_answer(yaml.safe_load(text))
    elif out is None:
        say_text(text)


def rubrics_yaml(lake: Lakehouse, settings: Settings) -> str:
    """The rubrics that count now with their evidence, to be edited. InputError without any."""
    return signing.export(lake, _discoveries(lake, settings))


def import_rubrics(settings: Settings, file: Path) -> list[str]:
    """Take edited rubrics in as drafts; what was done, a line each. InputError when the file cannot
    be read."""
    text = read_text(file)
    with leases.write_lease(open_lakehouse(settings), settings.session, signing.WRITES) as lake:
        return signing.import_drafts(lake, _discoveries(lake, settings), text, runs.new_run_id())


def approve_rubrics(settings: Settings, ids: Sequence[str], by: str) -> list[str]:
    """Sign the rubrics, by default all that wait, in this name; what was done, a line each."""
    with leases.write_lease(open_lakehouse(settings), settings.session, signing.WRITES) as lake:
        return signing.approve(lake, _discoveries(lake, settings), ids, by)


def audit_rubrics(settings: Settings, as_json: bool) -> None:
    """Print whether the rubrics tell documents apart."""
    lake = open_tables(settings)
    audited = rubric_audits(lake, settings)
    groups = {each.source_group for each in audited}
    without = sorted(set(_discoveries(lake, settings)) - groups)
    if as_json:
        write_answer({"audits": audited, "groups_without_scores": without})
        return
    for each in audited:
        show_audit(each)
    for group in without:
        say(
            f"{group}: no document was scored on a rubric yet: run mira label-documents first, or "
            "discover with discovery.selection=separating"
        )


def rubric_audits(lake: Lakehouse, settings: Settings) -> list[Audit]:
    """The audit of the latest rubric of each group that has documents scored on it."""
    discoveries = _discoveries(lake, settings)
    rubrics = current.latest_rubrics(lake, discoveries)
    asking_id = forms.asking_id(settings.judge, "labelling", settings.labelling.generation)
    ids = {r.rubric_id: labelling.labelling_id(r.rubric_id, asking_id) for r in rubrics}
    return list(audits(lake, rubrics, ids, discoveries))


def _discoveries(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    return forms.discoveries(lake, settings.source_grouping, settings.discovery, settings.judge)
