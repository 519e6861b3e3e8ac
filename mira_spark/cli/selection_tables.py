"""What commands about selections print: lists, cuts, differences, why a document is in one."""

from mira_spark.cli.selection_answers import (
    CutSelection,
    Difference,
    DocumentExplanation,
    ExportAnswer,
    Selections,
    SelectionSummary,
)
from mira_spark.lake.scale import FULL_SCALE, POINT
from mira_spark.process.progress import say, show_table
from mira_spark.selection.diff import Moved
from mira_spark.selection.explanation_wording import Explanation, explanation_line
from mira_spark.selection.gumbel import gumbel


def show_selections(found: Selections) -> None:
    """A line for each, and what of them can be read no more."""
    rows = [
        (
            one.name, one.selection_id, one.settings.policy, one.settings.budget,
            f"{one.selected_documents:,} documents, {one.selected_tokens:,} tokens",
            f"{one.created_at:%Y-%m-%d %H:%M}", "no" if one.lost else "yes",
        )
        for one in found.selections
    ]  # fmt: skip
    show_table(("name", "id", "policy", "budget", "kept", "made", "readable"), rows)
    for one in found.selections:
        if one.lost:
            say(one.lost)


def show_selection(found: CutSelection) -> None:
    """Its settings and versions, and where each source is cut."""
    for line in _selection_lines(found.selection):
        say(line)
    headings = ("group", "source", "student", "cut", "kept documents", "of", "kept tokens", "of",
                "quarantined", "set aside")  # fmt: skip
    rows = []
    for row in found.cutoffs:
        cut = row["quality_cut"]
        shown = "all" if cut < 0 else "none" if cut > FULL_SCALE else f"{cut / POINT:.3f}"
        counts = ("kept_documents", "total_documents", "kept_tokens", "total_tokens",
                  "quarantined_documents", "set_aside_documents")  # fmt: skip
        names = (row["source_group"], row["source"], row["student_id"], shown)
        rows.append((*names, *(f"{row[count]:,}" for count in counts)))
    show_table(headings, rows, texts=3)
    for line in filter(None, (found.selection.lost, found.unscored)):
        say(line)


def _selection_lines(one: SelectionSummary) -> list[str]:
    versions = ", ".join(f"{name} version {version}" for name, version in one.versions.items())
    lines = [
        f"{_title(one)}, made {one.created_at:%Y-%m-%d %H:%M}",
        f"{one.selected_documents:,} documents of {one.selected_tokens:,} tokens, budget "
        f"{one.budget_tokens:,} ({one.settings.budget}), policy {one.settings.policy}",
        f"made from {versions}, seed {one.settings.seed}",
        f"settings: {one.settings.model_dump_json(exclude_defaults=True)}",
    ]
    return [*lines, f"digest of its ids: {one.digest}"] if one.digest else lines


def _title(one: SelectionSummary) -> str:
    return f"selection {one.name} ({one.selection_id})"


def show_difference(found: Difference) -> None:
    """What is only in A, only in B, and in both, by source and by reason."""
    say(f"A: {_title(found.a)}; B: {_title(found.b)}")
    rows = [*map(_moved_row, found.moved), None, *map(_moved_row, found.totals)]
    show_table(("source", "", "reason", "documents", "tokens"), rows, texts=3)


def _moved_row(m: Moved) -> tuple[str, ...]:
    return m.source, m.side, m.reason, f"{m.documents:,}", f"{m.tokens:,}"


def show_document(found: DocumentExplanation) -> None:
    """Why a document is in a selection or not, by which scores and versions."""
    show_explanation(found.explanation)
    if found.unscored:
        say(found.unscored)


def show_export(done: ExportAnswer, shown_as: str) -> None:
    """What is in the folder, which people call `shown_as`."""
    one = done.export
    say(
        f"{one.documents:,} documents of {one.tokens:,} tokens are in {one.files:,} files in "
        f"{shown_as}; {one.found:,} of the files were there"
    )
    if done.unscored:
        say(done.unscored)


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
