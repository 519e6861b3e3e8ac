"""What `mira plan` prints of the judge: what it is still to be asked, and what its labels can
decide."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from mira_spark.cli.plan_answer import PlannedCalls
from mira_spark.embedders.cost import EmbeddingEstimate
from mira_spark.labels.call_estimates import LATENCY_S, OUTPUT_TOKENS_PER_DIMENSION
from mira_spark.labels.discovery_sample import shown_line
from mira_spark.labels.planning import LabelRows, ShownRows
from mira_spark.process.progress import say, show_table

SUPPOSED_SPEARMAN = 0.5


def show_calls(estimates: Sequence[PlannedCalls]) -> None:
    """A line per task and group, the sum of them, and what the figures rest on."""
    headings = ("for", "group", "judge", "calls", "input tokens", "cached", "output tokens",
                "dollars", "cached", "hours")  # fmt: skip
    rows = [(e.kind, e.source_group, e.judge, *_figures([e])) for e in estimates]
    if len(estimates) > 1:
        rows.append(("together", "", "", *_figures(estimates)))
    show_table(headings, rows, texts=3)
    if not estimates or not sum(e.calls for e in estimates):
        say("nothing is left to ask")
        return
    say("dollars without and with the provider's prompt cache; tokens are characters / 4")
    if not all(e.is_observed for e in estimates):
        say(
            f"where no answer was seen yet: {OUTPUT_TOKENS_PER_DIMENSION} output tokens for a "
            f"dimension and {LATENCY_S:g} seconds for a call are assumed"
        )


def show_embeddings(estimates: Sequence[EmbeddingEstimate]) -> None:
    """A line for each part of the work of an endpoint that embeds."""
    for one in estimates:
        say(
            f"embeddings for {one.task}: {one.texts:,} texts, {one.tokens:,} tokens, "
            f"{one.dollars:,.2f} dollars"
        )


def _figures(estimates: Sequence[PlannedCalls]) -> list[str]:
    counts = [
        sum(e.calls for e in estimates),
        sum(e.input_tokens for e in estimates),
        sum(e.cached_tokens for e in estimates),
        sum(e.output_tokens for e in estimates),
    ]
    dollars = [sum(e.dollars for e in estimates), sum(e.dollars_cached for e in estimates)]
    hours = sum(e.hours for e in estimates)
    return [*(f"{n:,}" for n in counts), *(f"{d:,.2f}" for d in dollars), f"{hours:.2f}"]


def show_shown_rows(rows: Sequence[ShownRows]) -> None:
    """A line per group that is still to be discovered: how many documents of each source its judge
    is shown, and where that is too few."""
    for group, of_group in groupby(rows, key=lambda row: row.source_group):
        shown = {row.source: row.shown for row in of_group}
        say(shown_line(group, list(shown), shown))


def show_label_rows(
    rows: Sequence[LabelRows], few_labels: int, next_doublings: Mapping[str, float]
) -> None:
    """A line per source and one per group: how many labels there are and will be, and what so many
    can decide. `next_doublings` is what twice the labels would add to a group's gain, where its
    learning curve was measured."""
    cells: list[Sequence[str] | None] = []
    for group, of_group in groupby(rows, key=lambda row: row.source_group):
        sources = list(of_group)
        total = LabelRows(
            group, "all", sum(s.planned for s in sources), sum(s.labelled for s in sources)
        )
        cells += [(*_counts(source), "") for source in sources]
        more = next_doublings.get(group)
        cells += [(*_counts(total), "" if more is None else f"{more:+.3f}"), None]
        if total.planned < few_labels:
            say(
                f"{group}: {total.planned:,} labels are fewer than distillation.few_labels "
                f"({few_labels:,}): it may have to borrow a student; "
                "labelling.documents_per_source and labelling.documents_per_domain give more"
            )
    headings = ("group", "source", "labels planned", "there", "Spearman known to", "twice adds")
    show_table(headings, cells[:-1], texts=2, title="Labels")
    say(
        "of different texts; Spearman with the verdict would be known so well at about "
        f"{SUPPOSED_SPEARMAN:g}, were documents independent; twice the labels would add so much to "
        "the gain at 40% of the tokens"
    )


def _counts(row: LabelRows) -> tuple[str, ...]:
    error = _spearman_error(row.planned)
    known = "nothing" if error is None else f"± {error:.2f}"
    return row.source_group, row.source, f"{row.planned:,}", f"{row.labelled:,}", known


def _spearman_error(rows: int) -> float | None:
    """Half of the 95 % interval (Bonett and Wright 2000); None where it is as wide as the scale."""
    if rows < 4:
        return None
    error: float = 1.96 * ((1 + SUPPOSED_SPEARMAN**2 / 2) / (rows - 3)) ** 0.5
    return error if error < 1 else None
