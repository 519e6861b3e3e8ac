"""Rubrics on their way to a signature: out as YAML, back as a draft, approved by name."""

from collections.abc import Mapping, Sequence

from pyspark.sql import Row, functions as F

from mira_spark.errors import InputError, joined
from mira_spark.lake.clock import clock_after
from mira_spark.lake.tables import Lakehouse
from mira_spark.rubrics import current, rubric_file
from mira_spark.rubrics.rubric import Rubric
from mira_spark.rubrics.rubric_file import Draft, Evidence, RubricExport

Discoveries = Mapping[str, str]
"""Group to the id of its discovery, as of `current.discovery_ids`."""
EVIDENCE = ("cluster_size", "document_share", "source_shares", "score_sd", "stability")
WRITES = ("rubrics",)
ANCHOR = ("anchor_doc_id", "anchor_point")


def export(lake: Lakehouse, discoveries: Discoveries) -> str:
    """The rubrics that count now as YAML, one per group: the signed one, else the latest draft."""
    found: dict[str, list[Row]] = {}
    for rows in _by_rubric(lake, discoveries, "draft", "approved").values():
        found[rows[0]["source_group"]] = rows  # the signed ones come last
    if not found:
        raise InputError(
            f"{lake.name('rubrics')} has no rubric yet: run mira discover-rubrics first"
        )
    return rubric_file.to_yaml([_rubric_export(rows) for _, rows in sorted(found.items())])


def import_drafts(lake: Lakehouse, discoveries: Discoveries, text: str, run_id: str) -> list[str]:
    """Record the edited rubrics as drafts; a line for each says its id, or that nothing changed.

    ConfigError lists every problem of the text, InputError the groups that do not exist.
    """
    drafts = rubric_file.from_yaml(text)
    unknown = [d.source_group for d in drafts if d.source_group not in discoveries]
    if unknown:
        known = ", ".join(sorted(discoveries))
        raise InputError(joined(f"{g}: there is no such group; there are {known}" for g in unknown))
    there = _by_rubric(lake, discoveries, "draft", "approved", "retired")
    said = []
    for draft in drafts:
        rubric = rubric_file.rubric(draft)
        if rubric.rubric_id in there:
            status = there[rubric.rubric_id][0]["status"]
            said.append(f"{draft.source_group}: {rubric.rubric_id} is there already, {status}")
            continue
        rows = _draft_rows(rubric, draft, there.get(draft.based_on or "", []))
        constant = {
            "rubric_id": rubric.rubric_id,
            "discovery_id": discoveries[draft.source_group],
            "source_group": draft.source_group,
            "status": "draft",
        }
        lake.append_rows([constant | row for row in rows], "rubrics", run_id)
        said.append(
            f"{draft.source_group}: {rubric.rubric_id} is a draft of {len(rows)} dimensions"
        )
    return said


def approve(lake: Lakehouse, discoveries: Discoveries, ids: Sequence[str], by: str) -> list[str]:
    """Sign rubrics by name; what was signed before in their groups is retired. A line for each.

    Without ids the only draft of each group, else its automatically approved rubric. Raises
    InputError for an unknown id, for two of one group, and where a group has several drafts.
    """
    there = _by_rubric(lake, discoveries, "draft", "approved", "retired")
    chosen = (
        {i: there[i][0]["source_group"] for i in ids if i in there} if ids else _unsigned_ids(there)
    )
    problems = [f"{i}: there is no such rubric under these settings" for i in ids if i not in there]
    groups = list(chosen.values())
    for group in sorted({g for g in groups if groups.count(g) > 1}):
        listed = ", ".join(i for i, g in chosen.items() if g == group)
        problems.append(f"{group}: which one is signed, of {listed}?")
    if not problems and not chosen:
        problems.append("every group's rubric is signed; name one to sign it again")
    if problems:
        raise InputError(joined(problems))
    for rubric_id, group in chosen.items():
        others = [i for i, rows in there.items() if rows[0]["source_group"] == group]
        others = [i for i in others if i != rubric_id and there[i][0]["status"] == "approved"]
        _set(lake, [rubric_id], {"status": "approved", "approved_by": by})
        if others:
            _set(lake, others, {"status": "retired"})
    return [f"{group}: {rubric_id} is approved by {by}" for rubric_id, group in chosen.items()]


def _unsigned_ids(there: Mapping[str, Sequence[Row]]) -> dict[str, str]:
    """Id to group of what waits for a signature: a group's drafts, else what no person signed."""
    drafts = {i: r[0]["source_group"] for i, r in there.items() if r[0]["status"] == "draft"}
    automatic = {
        i: r[0]["source_group"]
        for i, r in there.items()
        if r[0]["status"] == "approved" and r[0]["approved_by"] == "automatic"
    }
    return drafts | {i: g for i, g in automatic.items() if g not in drafts.values()}


def _set(lake: Lakehouse, ids: Sequence[str], values: Mapping[str, str]) -> None:
    changes = {name: F.lit(value) for name, value in values.items()}
    if "approved_by" in values:
        changes["approved_at"] = F.lit(clock_after(lake, "rubrics", "approved_at")())
    lake.update("rubrics", F.col("rubric_id").isin(list(ids)), changes)


def _by_rubric(lake: Lakehouse, discoveries: Discoveries, *status: str) -> dict[str, list[Row]]:
    """Id to the rows of the rubric in slot order, of the current discoveries; drafts first, then
    in the order signed."""
    rows = lake.read("rubrics").filter(F.col("discovery_id").isin(list(discoveries.values())))
    rows = rows.filter(F.col("status").isin(list(status)))
    ordered = rows.orderBy(F.col("approved_at").asc_nulls_first(), "rubric_id", "slot")
    by_rubric: dict[str, list[Row]] = {}
    for row in ordered.collect():
        by_rubric.setdefault(row["rubric_id"], []).append(row)
    return by_rubric


def _rubric_export(rows: Sequence[Row]) -> RubricExport:
    evidence = tuple(
        Evidence(**{name: row[name] for name in EVIDENCE}) if row["cluster_size"] else None
        for row in rows
    )
    return RubricExport(current.rubric_from_rows(rows), evidence, rows[0]["coverage"])


def _draft_rows(rubric: Rubric, draft: Draft, base: Sequence[Row]) -> list[dict[str, object]]:
    """The draft's slots, with the evidence of the slot each came from, where it came from one."""
    by_slot = {row["slot"]: row for row in base}
    rows = []
    for anchor, dimension in zip(rubric.anchors, draft.dimensions, strict=True):
        row: dict[str, object] = dict(vars(anchor))
        if len(dimension.from_slots) == 1 and dimension.from_slots[0] in by_slot:
            origin = by_slot[dimension.from_slots[0]]
            row |= {name: origin[name] for name in (*ANCHOR, *EVIDENCE)}
        rows.append(row)
    return rows
