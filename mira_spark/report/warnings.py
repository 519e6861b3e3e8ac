"""What is off with a selection, each with what mends it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mira_spark.distillation.figures import LENGTH, STUDENT
from mira_spark.report.groups import GroupFigures, ReportRow, by

MOST_LENGTH = 0.5
"""A correlation of quality with length, within source, from which on it is said."""
MOST_QUARANTINED = 0.01
FEW_LABELS = 300
FEWEST_OF_LANGUAGE = 10
"""So few documents of a language may all be out by chance."""


def warning_lines(
    groups: Sequence[GroupFigures],
    students: Sequence[ReportRow],
    student_figures: Sequence[ReportRow],
    counting: set[Any],
) -> list[str]:
    """Sentences, the gravest first: what is missing or kept nothing of, then what a quality cannot
    be trusted in. `counting` are the students whose scores the selection used."""
    used = [student for student in students if student["student_id"] in counting]
    return [
        *_unscored(groups),
        *_dropped(groups),
        *_quarantined(groups),
        *_students(used),
        *_lengths(used, by(student_figures, "student_id")),
    ]


def kept_lines(
    languages: Sequence[ReportRow], oversized: Sequence[ReportRow], repeats: ReportRow
) -> list[str]:
    """Sentences about the documents themselves.

    `languages`: of each that documents name in their metadata, `language`, and of those looked at
    `documents` and `kept_documents`. `oversized`: by source, `documents` and `tokens` of those too
    large to be selected. `repeats`: `documents` and `tokens` among the selected that repeat
    another selected one, or empty where it was not looked for.
    """
    lines = [
        f"none of the {row['documents']:,} documents of language {row['language']} that were "
        "looked at is kept: read some of decisions, and give their sources selection.floors"
        for row in languages
        if row["documents"] >= FEWEST_OF_LANGUAGE and not row["kept_documents"]
    ]
    lines += [
        f"{row['documents']:,} documents of {row['source']}, {row['tokens']:,} tokens, are too "
        "large to be selected: selection.max_document_share admits more"
        for row in oversized
    ]
    if repeats.get("documents"):
        lines.append(
            f"{repeats['documents']:,} of the selected documents, {repeats['tokens']:,} tokens, "
            "repeat another of them: selection.duplicates: near leaves them out"
        )
    return lines


def _unscored(groups: Sequence[GroupFigures]) -> Iterator[str]:
    for group in groups:
        if not group.cuts:
            yield (
                f"{group.name} has no scores: its {group.sums.documents:,} documents took no part "
                "in the selection. mira status says which step is to be run"
            )


def _dropped(groups: Sequence[GroupFigures]) -> Iterator[str]:
    for group in groups:
        for source in group.sources:
            if source.cut is not None and not source.sums.kept_documents:
                yield (
                    f"nothing is kept of {source.name}, {source.sums.tokens:,} tokens: "
                    f"selection.floors keeps a share of it, e.g. floors: {{{source.name}: 1%}}"
                )


def _quarantined(groups: Sequence[GroupFigures]) -> Iterator[str]:
    for group in groups:
        for source in group.sources:
            sums = source.sums
            if sums.quarantined > MOST_QUARANTINED * max(1, sums.documents):
                yield (
                    f"{sums.quarantined:,} of the {sums.documents:,} documents of {source.name} "
                    "could not be scored: scores.reason says why, mira scores retry scores them "
                    "again"
                )


def _students(used: Sequence[ReportRow]) -> Iterator[str]:
    for student in used:
        group = student["source_group"]
        if student["borrowed_from"]:
            yield (
                f"{group} borrows the student of another group, which was not measured on it: "
                "labelling.documents_per_source and labelling.documents_per_domain give more labels"
            )
        elif student["gate"] == "forced":
            yield f"the student of {group} did not pass its gate and scores because it was forced"
        elif student["labels"] < FEW_LABELS:
            yield (
                f"the student of {group} learnt from {student['labels']:,} labels: "
                "labelling.documents_per_source gives more"
            )


def _lengths(
    used: Sequence[ReportRow], figures: Mapping[Any, Sequence[ReportRow]]
) -> Iterator[str]:
    for student in used:
        for row in figures.get(student["student_id"], ()):
            if row["figure"] == LENGTH and row["predictor"] == STUDENT:
                value = row["value"]
                if value is not None and abs(value) >= MOST_LENGTH:
                    yield (
                        f"the quality of {student['source_group']} follows length (correlation "
                        f"{value:.2f} within source): look at the judge's own beside it, and at "
                        "the documents at both ends"
                    )
