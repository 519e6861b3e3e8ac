"""What is off is said with its remedy, and nothing is said where nothing is."""

import re
from typing import Any

import pytest

from mira_spark.distillation.figures import LENGTH, STUDENT
from mira_spark.report.groups import GroupFigures, SourceFigures, Sums
from mira_spark.report.warnings import kept_lines, warning_lines

FINE = {"student_id": "s", "source_group": "group_a", "gate": "passed", "labels": 5_000,
        "borrowed_from": None}  # fmt: skip


USUAL = Sums(documents=1_000, tokens=9_000, kept_documents=5)


def lines(
    sums: Sums = USUAL,
    cut: int | None = 5_000,
    correlation: float | None = 0.2,
    **changes: Any,
) -> list[str]:
    groups = [GroupFigures("group_a", (SourceFigures("web", sums, cut),))]
    figures = [{"student_id": "s", "figure": LENGTH, "predictor": STUDENT, "value": correlation}]
    return warning_lines(groups, [FINE | changes], figures, {"s"})


def test_nothing_is_said_of_what_is_right() -> None:
    assert lines() == []
    assert lines(correlation=None) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cut": None}, "group_a has no scores: its 1,000 documents took no part .* mira status"),
        ({"sums": Sums(documents=9, tokens=90)}, "nothing is kept of web, 90 tokens: selection.fl"),
        ({"sums": Sums(1_000, 9, 1, 1, quarantined=11)}, "11 of the 1,000 .* mira scores retry"),
        ({"borrowed_from": "t"}, "group_a borrows the student of another group"),
        ({"gate": "forced"}, "the student of group_a did not pass its gate"),
        ({"labels": 299}, "the student of group_a learnt from 299 labels: labelling.doc"),
        ({"correlation": -0.5}, r"quality of group_a follows length \(correlation -0.50"),
    ],
)
def test_what_is_off_is_said_with_what_mends_it(changes: dict[str, Any], said: str) -> None:
    (line,) = lines(**changes)
    assert re.search(said, line)


def test_a_student_whose_scores_do_not_count_is_not_spoken_of() -> None:
    groups = [GroupFigures("group_a", (SourceFigures("web", Sums(1, 1, 1, 1), 5),))]
    assert warning_lines(groups, [FINE | {"gate": "forced"}], [], set()) == []


def test_documents_are_warned_of_where_a_language_a_size_or_a_repeat_is_lost() -> None:
    languages = [
        {"language": "fr", "documents": 10, "kept_documents": 0},
        {"language": "de", "documents": 10, "kept_documents": 1},
        {"language": "la", "documents": 9, "kept_documents": 0},
    ]
    large = [{"source": "books", "documents": 2, "tokens": 3_000_000}]
    said = kept_lines(languages, large, {"documents": 7, "tokens": 7_000})
    assert [line.split(":")[0] for line in said] == [
        "none of the 10 documents of language fr that were looked at is kept",
        "2 documents of books, 3,000,000 tokens, are too large to be selected",
        "7 of the selected documents, 7,000 tokens, repeat another of them",
    ]
    assert kept_lines([], [], {}) == kept_lines([], [], {"documents": 0, "tokens": 0}) == []
