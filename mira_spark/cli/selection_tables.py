"""What commands about selections print: lists, cuts, differences, why a document is in one."""

from collections.abc import Iterator, Sequence

from mira_spark.cli.opening import open_lakehouse, open_tables
from mira_spark.lake import leases
from mira_spark.lake.creation import create_tables
from mira_spark.lake.scale import FULL_SCALE, POINT
from mira_spark.lake.storage import Root
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import say, show_table
from mira_spark.selection import diff, explanation, export, lost_versions, record, unscored
from mira_spark.selection.diff import Moved
from mira_spark.selection.explanation_wording import Explanation, explanation_line
from mira_spark.selection.gumbel import gumbel
from mira_spark.selection.record import Selection
from mira_spark.settings.root import Settings


def show_selections(settings: Settings) -> None:
    """All selections, the latest first, and whether what they were made from can still be read."""
    lake = open_tables(settings)
    selections = record.all_selections(lake)
    lost = lost_versions.lost_versions(lake, selections)
    rows = [
        (
            one.name, one.selection_id, one.settings.policy, one.settings.budget,
            f"{one.selected_documents:,} documents, {one.selected_tokens:,} tokens",
            f"{one.created_at:%Y-%m-%d %H:%M}", "no" if one.selection_id in lost else "yes",
        )
        for one in selections
    ]  # fmt: skip
    show_table(("name", "id", "policy", "budget", "kept", "made", "readable"), rows)
    for line in lost.values():
        say(line)


def show_selection(settings: Settings, name: str) -> None:
    """A selection: its settings and versions, and where each source is cut."""
    lake = open_tables(settings)
    one = record.selection_named(lake, name)
    for line in _selection_lines(one):
        say(line)
    headings = ("group", "source", "student", "cut", "kept documents", "of", "kept tokens", "of",
                "quarantined", "set aside")  # fmt: skip
    rows = []
    for row in record.cutoffs(lake, one).orderBy("source_group", "source").collect():
        cut = row["quality_cut"]
        shown = "all" if cut < 0 else "none" if cut > FULL_SCALE else f"{cut / POINT:.3f}"
        counts = ("kept_documents", "total_documents", "kept_tokens", "total_tokens",
                  "quarantined_documents", "set_aside_documents")  # fmt: skip
        names = (row["source_group"], row["source"], row["student_id"], shown)
        rows.append((*names, *(f"{row[count]:,}" for count in counts)))
    show_table(headings, rows, texts=3)
    for line in lost_versions.lost_versions(lake, [one]).values():
        say(line)
    say_unscored(lake, one)


def say_unscored(lake: Lakehouse, one: Selection) -> None:
    """Say how many documents had no score when the selection was made, where some had none."""
    if line := unscored.unscored_when_made(lake, one):
        say(line)


def _selection_lines(one: Selection) -> list[str]:
    lines = [
        f"{one.title}, made {one.created_at:%Y-%m-%d %H:%M}",
        f"{one.selected_documents:,} documents of {one.selected_tokens:,} tokens, budget "
        f"{one.budget_tokens:,} ({one.settings.budget}), policy {one.settings.policy}",
        f"made from {one.made_from}",
        f"settings: {one.settings.model_dump_json(exclude_defaults=True)}",
    ]
    return [*lines, f"digest of its ids: {one.digest}"] if one.digest else lines


def drop_selection(settings: Settings, name: str) -> None:
    """Remove the view and the record of the selections of this name or id."""
    opened = open_lakehouse(settings)
    create_tables(opened)
    with leases.write_lease(opened, settings.session, record.WRITES) as lake:
        for line in record.drop_selections(lake, name):
            say(line)


def show_diff(settings: Settings, a: str, b: str) -> None:
    """What is only in A, only in B, and in both, by source and by reason."""
    lake = open_tables(settings)
    selections = record.all_selections(lake)
    first, second = record.find_selection(selections, a), record.find_selection(selections, b)
    say(f"A: {first.title}; B: {second.title}")
    rows = _moved_rows(diff.diff(lake, first, second))
    show_table(("source", "", "reason", "documents", "tokens"), rows, texts=3)


def _moved_rows(found: Sequence[Moved]) -> Iterator[Sequence[str] | None]:
    for m in found:
        yield m.source, m.side, m.reason, f"{m.documents:,}", f"{m.tokens:,}"
    yield None
    for (side, reason), (documents, tokens) in sorted(diff.totals(found).items()):
        yield "all", side, reason, f"{documents:,}", f"{tokens:,}"


def explain(settings: Settings, doc_id: str, name: str) -> None:
    """Why a document is in a selection or not, by which scores and versions."""
    lake = open_tables(settings)
    one = record.selection_named(lake, name)
    show_explanation(explanation.explain(lake, one, doc_id))
    say_unscored(lake, one)


def export_selection(
    settings: Settings, name: str, to: Root, format_: export.Format, shown_as: str
) -> None:
    """Write a selection's documents into files below `to`, which people call `shown_as`."""
    lake = open_tables(settings)
    one = record.selection_named(lake, name)
    done = export.export(lake, one, format_, to)
    say(
        f"{done.documents:,} documents of {done.tokens:,} tokens are in {done.files:,} files in "
        f"{shown_as}; {done.found:,} of the files were there"
    )
    say_unscored(lake, one)


def show_explanation(explanation: Explanation) -> None:
    """Print its line, the dimensions, where the quality stands, and the versions of it all."""
    say((explanation.doc_id, "bold"), f" {explanation_line(explanation)}")
    if explanation.dimensions:
        counts = {True: "yes", False: "no", None: "unknown, its student's folder is gone"}
        rows = [(d.name, _points(d.score), counts[d.is_counted]) for d in explanation.dimensions]
        show_table(("dimension", "score", f"counts in {explanation.source}"), rows)
    for line in _places(explanation):
        say(line)


def _places(explanation: Explanation) -> list[str]:
    lines, one = [], explanation.selection
    if explanation.quality is not None:
        lines.append(f"quality {_points(explanation.quality)}")
        if explanation.level != explanation.quality:
            lines[-1] += f"; it competes by {_score(explanation)}: {explanation.level}"
    if explanation.better_than is not None:
        of_source, of_group = explanation.better_than
        lines.append(
            f"better than {of_source:.1%} of what competes of {explanation.source}, than "
            f"{of_group:.1%} of {explanation.source_group}"
        )
    if explanation.cut is not None and 0 <= explanation.cut.quality_cut <= FULL_SCALE:
        lines.append(f"the cut of {explanation.source}: {_points(explanation.cut.quality_cut)}")
    lines.append(f"{one.title}: {one.made_from}")
    if explanation.student_id:
        rubric = f", rubric {explanation.rubric_id}" if explanation.rubric_id else ""
        lines.append(f"{explanation.source_group}: student {explanation.student_id}{rubric}")
    return lines


def _score(found: Explanation) -> str:
    chosen = found.selection.settings
    if not chosen.temperature or found.tie_hash is None:
        return str(chosen.score)
    added = chosen.temperature * gumbel(found.tie_hash) / POINT
    return (
        f"{chosen.score} and noise, of {added:+.3f} points at temperature {chosen.temperature:g}, "
        f"on a scale from 0 to {FULL_SCALE:,}"
    )


def _points(thousandths: int | None) -> str:
    return "none" if thousandths is None else f"{thousandths / POINT:.3f}"
