"""Which rubric a group has now: drafts and signed ones of its discovery."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence

from pyspark.sql import Row, functions as F

from mira_spark.errors import InputError, UnsignedError, joined
from mira_spark.judges.protocol import Anchor
from mira_spark.lake.scale import WEIGHT
from mira_spark.lake.tables import Lakehouse
from mira_spark.rubrics import discovery
from mira_spark.rubrics.rubric import Rubric, rubric_id as rubric_id_of
from mira_spark.settings.rubrics import DiscoverySettings


def discovery_ids(
    groups: Iterable[str], grouping_id: str, settings: DiscoverySettings, asking_id: str
) -> dict[str, str]:
    """Group to the id of its discovery under these settings; `asking_id` is what decides the
    judge's answers."""
    asked = json.dumps([settings.deciding(), asking_id], sort_keys=True)
    return {g: discovery.discovery_id(grouping_id, g, asked) for g in sorted(set(groups))}


def signed_rubrics(lake: Lakehouse, discoveries: Mapping[str, str]) -> dict[str, Rubric]:
    """Group to its approved rubric of the group's discovery. InputError when a group has none yet;
    UnsignedError when all that is missing are signatures."""
    signed = rubrics(lake, discoveries, "approved")
    by_group: dict[str, Rubric] = {}
    for rubric in signed:  # the last one signed counts
        by_group[rubric.source_group] = rubric
    missing = sorted(set(discoveries) - set(by_group))
    if not missing:
        return by_group
    drafts = {r.source_group for r in rubrics(lake, discoveries, "draft")}
    problems = [
        f"{g}: its rubric waits to be signed: read it with mira rubrics export --out FILE, sign it "
        "with mira rubrics approve --by NAME"
        if g in drafts
        else f"no rubric for {g}: run mira discover-rubrics first"
        for g in missing
    ]
    kind = UnsignedError if drafts.issuperset(missing) else InputError
    raise kind(joined(problems))


def latest_rubrics(lake: Lakehouse, discoveries: Mapping[str, str]) -> list[Rubric]:
    """Of each group of the given discoveries the rubric signed last, else its latest draft, in
    order of group."""
    drafts, signed = (rubrics(lake, discoveries, status) for status in ("draft", "approved"))
    by_group = {rubric.source_group: rubric for rubric in (*drafts, *signed)}
    return [by_group[group] for group in sorted(by_group)]


def rubrics(lake: Lakehouse, discoveries: Mapping[str, str], *status: str) -> list[Rubric]:
    """The rubrics of the given discoveries in one of these states, in the order signed.

    Raises InputError for one whose rows are not what its id says: it was changed by hand.
    """
    rows = lake.read("rubrics").filter(F.col("discovery_id").isin(list(discoveries.values())))
    rows = rows.filter(F.col("status").isin(list(status)))
    ordered = rows.orderBy(F.col("approved_at").asc_nulls_last(), "rubric_id", "slot").collect()
    listed = []
    for rubric_id, slots in itertools.groupby(ordered, key=lambda row: row["rubric_id"]):
        rubric = rubric_from_rows(list(slots))
        if rubric_id_of(rubric.source_group, rubric.anchors) != rubric_id:
            raise InputError(
                f"{lake.name('rubrics')}: rubric {rubric_id} of {rubric.source_group} is not what "
                "its id says: it was changed in the table, not by mira rubrics export and import. "
                f'mira sql --write "RESTORE TABLE {lake.name("rubrics")} TO VERSION AS OF N" '
                "undoes it"
            )
        listed.append(rubric)
    return listed


def rubric_from_rows(rows: Sequence[Row]) -> Rubric:
    """The rubric in its rows of `rubrics`, in slot order."""
    anchors = tuple(
        Anchor(
            row["slot"],
            row["name"],
            row["definition"],
            WEIGHT if row["weight"] is None else row["weight"],
            row["part"],
        )
        for row in rows
    )
    return Rubric(rows[0]["rubric_id"], rows[0]["source_group"], anchors)
