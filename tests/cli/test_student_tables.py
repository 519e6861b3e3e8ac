"""What is shown of a student is what other programs get, in words."""

from typing import Any

from mira_spark.cli.student_figures import StudentWorth, show_worth
from mira_spark.process.plain_values import plain
from mira_spark.process.progress import console

STUDENT: dict[str, Any] = {
    "student_id": "mira_group_a/1-0123", "kind": "linear", "rule": "shrunk", "labels": 1_234,
    "held_out_rows": 1_000, "borrowed_from": None, "gate": "failed",
    "gate_reasons": ["gain is too low"], "next_doubling": 0.0314,
}  # fmt: skip
FIGURE = {"figure": "gain_40", "predictor": "student", "value": 0.823, "low": 0.765, "high": 0.861}
NOISE = {"kind": "words_shuffled", "pairs": 1_500, "auc": 0.9, "auc_low": None, "auc_high": None}
CELL = {"source": None, "dimension": "clarity", "rows": 2_000, "counts": True, "judged_mean": 5.0,
        "slope": 0.5, "mae": None, "spearman": 0.25}  # fmt: skip
WORTH = StudentWorth(STUDENT, [FIGURE], [NOISE], [CELL])


def test_a_student_is_shown_with_its_figures_noise_and_cells() -> None:
    with console.capture() as capture:
        show_worth(WORTH)
    lines = [" ".join(line.split()) for line in capture.get().splitlines()]
    assert lines[:4] == [
        "mira_group_a/1-0123 linear, rule shrunk",
        "from 1,234 labels, measured on 1,000 that it did not learn from",
        "gate: failed",
        "gain is too low",
    ]
    assert "gain at 40% of the tokens 0.82" in lines
    assert "twice the labels would add about 0.031 to the gain at 40%" in lines
    assert "words_shuffled 1,500 0.90" in lines
    assert "all clarity 2,000 yes 5.00 0.50 0.25" in lines


def test_a_student_without_figures_is_shown_without_tables() -> None:
    with console.capture() as capture:
        show_worth(StudentWorth(STUDENT | {"next_doubling": None}, [], [], []))
    assert len(capture.get().splitlines()) == 4


def test_other_programs_get_numbers() -> None:
    answer = plain(WORTH)
    assert answer == {"student": STUDENT, "figures": [FIGURE], "noise": [NOISE], "cells": [CELL]}
