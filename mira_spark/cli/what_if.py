"""`mira what-if`: what budgets and policies would keep, as tables."""

from functools import partial

from mira_spark.corpus.groups import current_grouping_id, source_groups
from mira_spark.lake import leases
from mira_spark.lake.scale import POINT
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import note, say, show_table
from mira_spark.selection import candidates, histogram, unscored
from mira_spark.selection.frontier import MORE, BudgetAnswer, alternatives, answers
from mira_spark.selection.pinned import pinned_candidates, pinned_state
from mira_spark.settings.root import Settings


def show(lake: Lakehouse, settings: Settings, budgets: str, policies: str, run_id: str) -> None:
    """Print what the budgets and policies would keep."""
    answered, notes = budget_answers(lake, settings, budgets, policies, run_id)
    for answer in answered:
        _show_answer(answer)
    for line in notes:
        say(line)


def budget_answers(
    lake: Lakehouse, settings: Settings, budgets: str, policies: str, run_id: str
) -> tuple[list[BudgetAnswer], list[str]]:
    """What the budgets and policies, each divided by commas, would keep of the candidates there
    are now, and lines of what is not in it. Counts the candidates first, and says so, where no
    histogram of them stands. InputError for a budget or policy that is none."""
    chosen = settings.selection
    asked = alternatives(chosen, budgets, policies)
    candidates.check(chosen)
    state = pinned_state(
        lake, settings.source_grouping, settings.student_registry, chosen, settings.evaluation
    )
    bins = histogram.recorded_bins(lake, chosen, state)
    if bins is None:
        note("there is no histogram of these scores yet: it is counted and recorded")
        counted = partial(
            pinned_candidates,
            lake,
            current_grouping_id(lake, settings.source_grouping),
            chosen,
            state,
        )
        with leases.write_lease(lake, settings.session, histogram.WRITES) as claimed:
            bins = histogram.counted_bins(claimed, chosen, state, counted, run_id)
    groups = source_groups(lake, settings.source_grouping)
    left = unscored.count_unscored(lake, groups, state, bins)
    left.check(chosen)
    versions = "documents version {}, scores version {}".format(*state.versions)
    counted_from = f"from the histogram of {versions}; the documents at the cut are in proportion"
    return answers(bins, asked, left.corpus_tokens), [*left.lines(), counted_from]


def _show_answer(answer: BudgetAnswer) -> None:
    title = (
        f"{answer.chosen.budget} by {answer.chosen.policy}: a budget of "
        f"{answer.budget_tokens:,} tokens; the mix has {answer.entropy_bits:.2f} bits"
    )
    if answer.oversized:
        title += f"; {answer.oversized:,} oversized documents are set aside"
    by_quality = answer.chosen.score == "quality" and not answer.chosen.temperature
    mean = "mean quality" if by_quality else "mean score"
    headings = ("group", "source", "documents", "tokens", "kept", mean, "marginal",
                f"+{MORE / 1e9:g} B: documents", "tokens")  # fmt: skip
    rows = [
        (
            (line.source_group or "all") if line.source is None else "",
            line.source or "",
            f"{line.kept.documents:,}",
            f"{line.kept.tokens:,}",
            f"{line.kept.tokens / max(1, line.total_tokens):.1%}",
            _points(line.kept.mean_quality),
            _points(line.kept.marginal_quality, "all fits"),
            f"{line.more_documents:+,}",
            f"{line.more_tokens:+,}",
        )
        for line in answer.lines
    ]
    show_table(headings, rows, texts=2, title=title)


def _points(thousandths: float | None, none: str = "") -> str:
    return none if thousandths is None else f"{thousandths / POINT:.2f}"
