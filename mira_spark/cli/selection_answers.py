"""What commands about selections answer, by the fields that other programs get."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mira_spark.cli.opening import open_lakehouse
from mira_spark.lake import leases
from mira_spark.lake.creation import create_tables
from mira_spark.lake.storage import Root
from mira_spark.lake.tables import Lakehouse
from mira_spark.selection import diff, explanation, export, lost_versions, record, unscored
from mira_spark.selection.diff import Moved
from mira_spark.selection.explanation_wording import Explanation, explanation_line
from mira_spark.selection.export import ExportSummary
from mira_spark.selection.export_files import Compression, Format
from mira_spark.selection.record import Selection
from mira_spark.settings.root import Settings
from mira_spark.settings.selection import SelectionSettings

_CUTOFF = ("source_group", "source", "student_id", "quality_cut", "kept_documents",
           "total_documents", "kept_tokens", "total_tokens", "quarantined_documents",
           "set_aside_documents")  # fmt: skip


@dataclass(frozen=True)
class SelectionSummary:
    """A selection with the versions it was made from; `lost` is what of them can be read no more,
    None where all can."""

    selection_id: str
    name: str
    created_at: datetime
    settings: SelectionSettings
    budget_tokens: int
    selected_documents: int
    selected_tokens: int
    versions: Mapping[str, int | str]
    digest: str | None
    lost: str | None


@dataclass(frozen=True)
class Selections:
    """All of them, the latest first."""

    selections: list[SelectionSummary]


@dataclass(frozen=True)
class CutSelection:
    """A selection and its rows of `selection_cutoffs`; `unscored` says how many documents had no
    score when it was made, None where all had one."""

    selection: SelectionSummary
    cutoffs: list[dict[str, Any]]
    unscored: str | None


@dataclass(frozen=True)
class Difference:
    """What moved between two selections, by source, side and reason, and of all sources."""

    a: SelectionSummary
    b: SelectionSummary
    moved: list[Moved]
    totals: list[Moved]


@dataclass(frozen=True)
class DocumentExplanation:
    """What a selection made of a document, and what it says of unscored ones."""

    explanation: Explanation
    unscored: str | None

    def fields(self) -> dict[str, Any]:
        """For other programs: the document's own, and the selection as its summary."""
        found = self.explanation
        of_source, of_group = found.better_than or (None, None)
        names = ("doc_id", "source", "source_group", "is_in", "set_aside", "because", "quality",
                 "level", "tie_hash", "cut", "dimensions", "student_id", "rubric_id")  # fmt: skip
        return {
            **{name: getattr(found, name) for name in names},
            "in_words": explanation_line(found),
            "better_than": {"source": of_source, "source_group": of_group},
            "selection": summary(found.selection),
            "unscored": self.unscored,
        }


@dataclass(frozen=True)
class ExportAnswer:
    """What was exported of a selection, and what it says of unscored documents."""

    selection: SelectionSummary
    export: ExportSummary
    unscored: str | None


def summary(one: Selection, lost: Mapping[str, str] | None = None) -> SelectionSummary:
    """The selection's; `lost` is as `lost_versions` has it."""
    return SelectionSummary(
        one.selection_id,
        one.name,
        one.created_at,
        one.settings,
        one.budget_tokens,
        one.selected_documents,
        one.selected_tokens,
        one.pinned_versions | dict(one.tables),
        one.digest,
        (lost or {}).get(one.selection_id),
    )


def all_selections(lake: Lakehouse) -> Selections:
    """All selections, the latest first."""
    selections = record.all_selections(lake)
    lost = lost_versions.lost_versions(lake, selections)
    return Selections([summary(one, lost) for one in selections])


def cut_selection(lake: Lakehouse, name: str) -> CutSelection:
    """The selection of this name or id, and where each source is cut. InputError without one."""
    one = record.selection_named(lake, name)
    rows = record.cutoffs(lake, one).orderBy("source_group", "source").select(*_CUTOFF).collect()
    return CutSelection(
        summary(one, lost_versions.lost_versions(lake, [one])),
        [row.asDict() for row in rows],
        unscored.unscored_when_made(lake, one),
    )


def difference(lake: Lakehouse, a: str, b: str) -> Difference:
    """What is only in A, only in B, and in both. InputError as of `diff.diff`."""
    selections = record.all_selections(lake)
    first, second = record.find_selection(selections, a), record.find_selection(selections, b)
    moved = diff.diff(lake, first, second)
    return Difference(summary(first), summary(second), moved, _totals(moved))


def _totals(moved: Sequence[Moved]) -> list[Moved]:
    sums = sorted(diff.totals(moved).items())
    return [Moved("all", side, reason, *counts) for (side, reason), counts in sums]


def document_explanation(lake: Lakehouse, doc_id: str, name: str) -> DocumentExplanation:
    """Why a document is in the selection of this name or id or not."""
    one = record.selection_named(lake, name)
    found = explanation.explain(lake, one, doc_id)
    return DocumentExplanation(found, unscored.unscored_when_made(lake, one))


def export_selection(
    lake: Lakehouse, name: str, to: Root, format_: Format, compression: Compression | None
) -> ExportAnswer:
    """Write the documents of the selection of this name or id into files below `to`."""
    one = record.selection_named(lake, name)
    done = export.export(lake, one, format_, to, compression)
    return ExportAnswer(summary(one), done, unscored.unscored_when_made(lake, one))


def drop_selection(settings: Settings, name: str) -> list[str]:
    """Remove the view and the record of the selections of this name or id; what was done, a line
    each."""
    opened = open_lakehouse(settings)
    create_tables(opened)
    with leases.write_lease(opened, settings.session, record.WRITES) as lake:
        return record.drop_selections(lake, name)
