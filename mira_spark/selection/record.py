"""What was selected: found by name or id, read at the versions it was made from, dropped."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError
from pyspark.sql import DataFrame, Row, functions as F

from mira_spark.corpus.ngram_batches import DOCUMENT
from mira_spark.errors import InputError
from mira_spark.lake.tables import Lakehouse
from mira_spark.scoring.checks import SCORE_KEY
from mira_spark.selection import candidates, order
from mira_spark.selection.given_scores import BASELINE_SCORES, given_scores
from mira_spark.selection.pinned import PINNED, excluded_documents, near_duplicates
from mira_spark.selection.walk import Cut
from mira_spark.settings.selection import SelectionSettings
from mira_spark.settings.types import NAME

NAME_OR_ID = re.compile(NAME)
WRITES = ("selected_documents", "selection_cutoffs", "selections")
_COLUMNS = ("doc_id", "source", "source_group", "bucket", "content_hash", "n_tokens", "quality")
CUT = ("quality_cut", "tie_hash_cut", "tie_doc_id_cut")
SCORED_BY = ["source", "source_group", "student_id"]


@dataclass(frozen=True)
class Selection:
    """A row of `selections`; `versions` are of `documents` and `scores`, in this order, `tables`
    those of the users' tables and the baseline that its settings name, `further` those of more
    tables of ours: `near_duplicates` and `contaminated`, where they count. `table_ids` are Delta's
    ids of ours, empty in an old selection."""

    selection_id: str
    name: str
    settings: SelectionSettings
    candidates: str
    versions: tuple[int, int]
    budget_tokens: int
    selected_tokens: int
    selected_documents: int
    digest: str | None
    created_at: datetime
    tables: Mapping[str, str] = field(default_factory=dict)
    table_ids: Mapping[str, str] = field(default_factory=dict)
    further: Mapping[str, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Name and id, for messages."""
        return f"selection {self.name} ({self.selection_id})"

    @property
    def made_from(self) -> str:
        """The versions of everything, and the seed, for messages."""
        tables = self.pinned_versions | dict(self.tables)
        versions = ", ".join(f"{name} version {version}" for name, version in tables.items())
        return f"{versions}, seed {self.settings.seed}"

    @property
    def view_needs(self) -> tuple[str, ...]:
        """The tables whose pinned version its view reads."""
        if self.settings.materialize == "text":
            return ()
        return tuple(self.pinned_versions) if self.settings.is_predicate else ("documents",)

    @property
    def pinned_versions(self) -> dict[str, int]:
        """The tables of ours that it was made from, to their versions."""
        ours = dict(zip(PINNED, self.versions, strict=True)) | dict(self.further)
        baseline = self.tables.get(BASELINE_SCORES)
        return ours if baseline is None else ours | {BASELINE_SCORES: int(baseline)}

    def version(self, table: str) -> int:
        """The pinned version of one of `pinned_versions`."""
        return self.pinned_versions[table]


def all_selections(lake: Lakehouse) -> list[Selection]:
    """All selections, the latest first."""
    rows = lake.read("selections").orderBy(F.col("created_at").desc(), "selection_id")
    return [_selection(row) for row in rows.collect()]


def _selection(row: Row) -> Selection:
    content = json.loads(row["settings"])
    tables, table_ids = content.pop("tables", {}), content.pop("table_ids", {})
    further = content.pop("further", {})
    try:
        settings = SelectionSettings.model_validate(content)
    except ValidationError as error:
        raise InputError(
            f"selection {row['name']} ({row['selection_id']}) has settings that this version of "
            "mira_spark does not know: run mira select-documents --force"
        ) from error
    return Selection(
        selection_id=row["selection_id"],
        name=row["name"],
        settings=settings,
        candidates=row["candidates"],
        versions=(row["documents_version"], row["scores_version"]),
        budget_tokens=row["budget_tokens"],
        selected_tokens=row["selected_tokens"],
        selected_documents=row["selected_documents"],
        digest=row["digest"],
        created_at=row["created_at"],
        tables=tables,
        table_ids=table_ids,
        further=further,
    )


def selection_named(lake: Lakehouse, name_or_id: str) -> Selection:
    """The latest selection of this name, else the one with this id; InputError with the names there
    are when there is neither."""
    return find_selection(all_selections(lake), name_or_id)


def find_selection(found: Sequence[Selection], name_or_id: str) -> Selection:
    """`selection_named` of these, the latest first."""
    if not NAME_OR_ID.fullmatch(name_or_id):
        raise InputError(f"{name_or_id!r} is no name or id of a selection; {_there_are(found)}")
    by_name = [one for one in found if one.name == name_or_id]
    by_id = [one for one in found if one.selection_id == name_or_id]
    if not by_name + by_id:
        raise InputError(f"there is no selection {name_or_id}; {_there_are(found)}")
    return (by_name + by_id)[0]


def _there_are(found: Sequence[Selection]) -> str:
    names = ", ".join(sorted({one.name for one in found}))
    return f"there are {names}" if names else "there is none yet: run mira select-documents first"


def latest_by_name(found: Iterable[Selection]) -> list[Selection]:
    """Of each name the first, that is the one its view shows when they come latest first."""
    by_name: dict[str, Selection] = {}
    for one in found:
        by_name.setdefault(one.name, one)
    return list(by_name.values())


def is_shown(lake: Lakehouse, ids: Sequence[str]) -> bool:
    """Whether the view `selected` shows one of these selections."""
    query = lake.view_query("selected") or ""
    return any(f"'{selection_id}'" in query for selection_id in ids)


def cutoffs(lake: Lakehouse, one: Selection) -> DataFrame:
    """The selection's rows of `selection_cutoffs`."""
    rows = lake.read("selection_cutoffs")
    return rows.filter(F.col("selection_id") == one.selection_id)


def cut_from_row(row: Row) -> Cut:
    """The cut in a row of `selection_cutoffs`."""
    return Cut(*(row[name] for name in CUT))


def pinned_scores(lake: Lakehouse, one: Selection) -> DataFrame:
    """The scores that counted when it was made: by its students, for the texts there were."""
    by = F.broadcast(cutoffs(lake, one).select(*SCORED_BY))
    rows = lake.read("scores", one.version("scores")).join(by, on=SCORED_BY, how="left_semi")
    documents = lake.read("documents", one.version("documents")).select(*SCORE_KEY)
    return rows.join(documents, on=SCORE_KEY, how="left_semi")


def competing_rows(lake: Lakehouse, one: Selection, rows: DataFrame) -> DataFrame:
    """`candidates.competing_documents` for these of its `pinned_scores`, without oversized ones;
    users' tables as they are now."""
    documents = lake.read("documents", one.version("documents"))
    excluded = excluded_documents(lake, one.settings, one.further)
    given = given_scores(lake, one.settings, one.version("documents"), one.tables)
    near = near_duplicates(lake, one.further)
    found = candidates.competing_documents(rows, documents, excluded, given, near, one.settings)
    return candidates.set_aside_oversized(found, cutoffs(lake, one))


def selection_documents(lake: Lakehouse, one: Selection) -> DataFrame:
    """Its documents, with COLUMNS; those of its view, also where that shows another by now."""
    if not one.settings.is_predicate:
        return listed_documents(lake, one).select(*_COLUMNS)
    cuts = F.broadcast(cutoffs(lake, one).select("source", *CUT, "most_tokens"))
    condition = order.selected_condition(one.settings)
    rows = pinned_scores(lake, one).join(cuts, on="source", how="inner").filter(condition)
    if "contaminated" in one.further:
        keys = lake.read("contaminated", one.version("contaminated")).select(*DOCUMENT)
        rows = rows.join(keys, on=[*DOCUMENT], how="left_anti")
    return rows.select(*_COLUMNS)


def listed_documents(lake: Lakehouse, one: Selection) -> DataFrame:
    """Its rows of `selected_documents`; none where it is a predicate."""
    rows = lake.read("selected_documents")
    return rows.filter(F.col("selection_id") == one.selection_id)


def _show_another(lake: Lakehouse, others: Sequence[Selection]) -> str:
    """Make the view `selected` show the first of these selections that has a view, or drop it;
    what was done."""
    for other in others:
        if query := lake.view_query(f"selected_{other.name}"):
            comment = f"the documents of selection {other.name}, the latest made"
            lake.create_view("selected", query, comment)
            return f"the view selected, which showed it, shows {other.title} now"
    lake.drop_view("selected")
    return "dropped the view selected, which showed it; the next selection makes it anew"


def drop_selections(lake: Lakehouse, name: str) -> list[str]:
    """Remove the view and all selections of this name; what was done, a line each. InputError as
    of `selection_named`.

    `selections` goes last: an interrupted call can be made again.
    """
    found = all_selections(lake)
    one = find_selection(found, name)
    if one.name != name:
        raise InputError(f"{name} is the id of {one.title}: drop it by its name, {one.name}")
    ids = [s.selection_id for s in found if s.name == name]
    done = [f"dropped the view selected_{name} and {len(ids)} selections made under this name"]
    if is_shown(lake, ids):
        done.append(_show_another(lake, [s for s in found if s.name != name]))
    lake.drop_view(f"selected_{name}")
    for table in WRITES:
        lake.delete(table, F.col("selection_id").isin(ids))
    return done
