"""Versions that selections were made from and that cannot be read any more."""

from collections.abc import Mapping, Sequence

from mira_spark.errors import InputError, joined
from mira_spark.lake.retention import unreadable_versions
from mira_spark.lake.tables import Lakehouse
from mira_spark.selection.given_scores import BASELINE_SCORES
from mira_spark.selection.pinned import PINNED
from mira_spark.selection.record import Selection, all_selections, is_shown, latest_by_name

ALL_PINNED = (*PINNED, "near_duplicates", "contaminated", BASELINE_SCORES)
"""Tables of ours that a selection may be made from; from the first two it always is."""


def lost_versions(
    lake: Lakehouse, found: Sequence[Selection], tables: Sequence[str] | None = None
) -> dict[str, str]:
    """By selection id, a line for each selection with a pinned version that cannot be read any
    more, and what to do; of the tables its view reads, or of `tables`."""
    lost: dict[str, dict[str, str]] = {one.selection_id: {} for one in found}
    for table in ALL_PINNED:
        made_from = [one for one in found if table in one.pinned_versions]
        needing = [
            one for one in made_from if table in (one.view_needs if tables is None else tables)
        ]
        remade = _of_tables_made_anew(lake, needing, table)
        same = [one for one in needing if one not in remade]
        unreadable = unreadable_versions(lake, table, (one.version(table) for one in same))
        for one in needing:
            why = "the table was made anew" if one in remade else unreadable.get(one.version(table))
            if why:
                lost[one.selection_id][table] = why
    return {
        one.selection_id: lost_line(one, lost[one.selection_id])
        for one in found
        if lost[one.selection_id]
    }


def _of_tables_made_anew(
    lake: Lakehouse, found: Sequence[Selection], table: str
) -> list[Selection]:
    """Those that were made from another table of this name."""
    now = lake.snapshot(table).table_id if found else ""
    return [one for one in found if one.table_ids.get(table, now) != now]


def lost_line(one: Selection, lost: Mapping[str, str]) -> str:
    """What to tell of the selection's pinned versions that are `lost`, by table, with why."""
    parts = [
        f"{table} version {one.version(table)} cannot be read any more, {why}"
        for table, why in lost.items()
    ]
    return (
        f"{one.title}: {'; '.join(parts)}: run mira select-documents to select again, and keep "
        "texts with --set selection.materialize=text where versions do not last"
    )


def drop_views_of_lost_tables(lake: Lakehouse) -> list[str]:
    """Drop the views of selections whose tables were made anew: under the old versions they would
    show rows of the new tables. A line for each."""
    found, done = latest_by_name(all_selections(lake)), []
    for table in ALL_PINNED:
        needing = [one for one in found if table in one.view_needs]
        for one in _of_tables_made_anew(lake, needing, table):
            if lake.view_query(f"selected_{one.name}") is not None:
                done.append(lost_line(one, {table: "the table was made anew; its view is dropped"}))
                if is_shown(lake, [one.selection_id]):
                    lake.drop_view("selected")
                lake.drop_view(f"selected_{one.name}")
    return done


def check_readable(
    lake: Lakehouse, found: Sequence[Selection], tables: Sequence[str] | None = None
) -> None:
    """InputError with the lines of `lost_versions`."""
    problems = lost_versions(lake, found, tables)
    if problems:
        raise InputError(joined(problems.values()))
