"""Budgets and policies side by side: what is asked, and the sums over groups and all."""

import pytest

from mira_spark.cli import what_if
from mira_spark.errors import InputError
from mira_spark.process.progress import console
from mira_spark.selection.frontier import BudgetAnswer, Line, alternatives, answers, summed
from mira_spark.selection.what_if import Kept
from mira_spark.settings.selection import SelectionSettings
from tests.counting import counted_bins

BINS = counted_bins(
    ("s/1", "x", "web", 9000, None, 4, 40),
    ("s/1", "x", "web", 7000, None, 2, 20),
    ("s/1", "x", "books", 7000, None, 10, 60),
    ("s/2", "y", "chat", 5000, None, 3, 30),
    ("s/2", "y", "chat", None, None, 1, 50),
)


def test_every_budget_is_asked_under_every_policy() -> None:
    found = alternatives(SelectionSettings(seed=3), "10%, 2_500", "group,source")
    assert [(s.budget, s.policy, s.seed) for s in found] == [
        ("10%", "group", 3), ("10%", "source", 3), ("2_500", "group", 3), ("2_500", "source", 3),
    ]  # fmt: skip


def test_all_that_cannot_be_asked_is_named_at_once() -> None:
    with pytest.raises(InputError) as error:
        alternatives(SelectionSettings(), "10%,most,101%", "group,best")
    lines = str(error.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "--policy best", "--budget most", "--budget 101%",
    ]  # fmt: skip


def test_lines_are_groups_sources_and_all_in_sum() -> None:
    """100 of 200 tokens, shared by tokens of the candidates (120 and 30): 80 and 20."""
    chosen = SelectionSettings(budget="50%")
    (found,) = answers(BINS, [chosen], BINS.tokens)
    assert (found.chosen, found.budget_tokens) == (chosen, 100)
    names = [(line.source_group, line.source) for line in found.lines]
    assert names == [("x", None), ("x", "books"), ("x", "web"), ("y", None), ("y", "chat"),
                     (None, None)]  # fmt: skip
    tokens = [line.kept.tokens for line in found.lines]
    assert tokens == [80, 30, 50, 20, 20, 100]
    assert tokens[0] + found.lines[0].more_tokens == 120
    assert [line.total_tokens for line in found.lines] == [120, 60, 60, 80, 80, 200]
    assert found.lines[-1].kept.documents + found.lines[-1].more_documents == 19


def test_together_weighs_by_documents_and_has_the_lowest_cut() -> None:
    parts = [Kept(1, 10, 9000.0, 8000), Kept(3, 5, 5000.0, 4000), Kept(0, 0, None, None)]
    assert summed(parts) == Kept(4, 15, 6000.0, 4000)
    assert summed([Kept(0, 0, None, None)]) == Kept(0, 0, None, None)


def test_the_table_shows_what_more_tokens_would_add() -> None:
    line = Line(None, None, Kept(4, 1_500, 6250.0, None), 3_000, 2, 1_000)
    with console.capture() as capture:
        what_if._show_answer(BudgetAnswer(SelectionSettings(), 2_000, [line], 1.5))
    shown = capture.get()
    assert "2,000 tokens; the mix has 1.50 bits" in shown
    cells = [cell for cell in shown.strip().splitlines()[-1].split("  ") if cell.strip()]
    assert [cell.strip() for cell in cells] == [
        "all", "4", "1,500", "50.0%", "6.25", "all fits", "+2", "+1,000",
    ]  # fmt: skip
