"""What other budgets would keep, for the report's slider: the figures of `mira what-if`."""

from collections.abc import Iterator
from typing import Any

from mira_spark.errors import InputError
from mira_spark.selection.frontier import BudgetAnswer, alternatives, budget_answer, competing_bins
from mira_spark.selection.histogram import Bins
from mira_spark.settings.selection import SelectionSettings

PERCENTS = range(1, 101)


def budget_rows(
    found: Bins, chosen: SelectionSettings, corpus_tokens: int
) -> Iterator[dict[str, Any]]:
    """A row for each budget of PERCENTS of the corpus' tokens under the selection's own policy,
    `kept` by source as (documents, tokens); percents that its floors, caps or shares do not admit
    are absent. `mean_quality` is in thousandths of a point, None where the selection is by another
    score or with noise."""
    by_quality = chosen.score == "quality" and not chosen.temperature
    competing = competing_bins(found, chosen)
    for percent in PERCENTS:
        (asked,) = alternatives(chosen, f"{percent}%", chosen.policy)
        try:
            answer = budget_answer(asked, found, competing, corpus_tokens)
        except InputError:
            continue
        yield _row(percent, answer, by_quality)


def _row(percent: int, answer: BudgetAnswer, by_quality: bool) -> dict[str, Any]:
    kept = {
        line.source: (line.kept.documents, line.kept.tokens)
        for line in answer.lines
        if line.source is not None
    }
    mean = answer.lines[-1].kept.mean_quality if by_quality else None
    return {
        "percent": percent,
        "budget_tokens": answer.budget_tokens,
        "mean_quality": mean,
        "kept": kept,
    }
