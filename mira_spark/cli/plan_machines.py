"""What `mira plan` prints of machines: distillation, scoring, and what tables grow by."""

from collections.abc import Iterable, Sequence

from mira_spark.cli.plan_answer import DeviceWork, PlannedUnits
from mira_spark.process.progress import say, show_table
from mira_spark.scoring import sizes
from mira_spark.scoring.sizes import TableSize
from mira_spark.students.rates import CONFIGURED


def show_training(works: Sequence[DeviceWork], has_prices: bool) -> None:
    """A line for each group and rate: what one device takes to learn from all its labels."""
    headings = ("group", "student", "rate", "labels", "M tokens", *_headings(has_prices))
    cells = [(work.source_group or "", *_cells(work, has_prices)) for work in works]
    if cells:
        show_table(headings, cells, texts=3, title="Distillation, where a group's student is stale")
        say(
            "labels with spoilt copies; tokens over all epochs, of documents as long as the "
            "corpus' mean; hours of one device, one group after the other"
        )
        _say_unknown(works, "training_tokens_per_second")


def show_scoring(works: Sequence[DeviceWork], has_prices: bool, within_hours: float | None) -> None:
    """A line for each kind of student and rate: what one device takes, and how many executors are
    done in `within_hours`."""
    headings = ["student", "rate", "documents", "M tokens", *_headings(has_prices)]
    cells = [_cells(work, has_prices) for work in works]
    if within_hours is not None:
        headings.append(f"in {within_hours:g} h")
        for row, work in zip(cells, works, strict=True):
            row.append("" if work.executors is None else f"{work.executors:,}")
    show_table(headings, cells, texts=2, title="Scoring")
    say("tokens that are read, at most; hours of one device: a core, a GPU or a server")
    _say_unknown(works, "tokens_per_second")


def say_units(planned: PlannedUnits, within_hours: float | None) -> None:
    """How many units there are; where a deadline was asked for, how many devices can be busy at
    once."""
    mean = round(planned.tokens / max(1, planned.units))
    say(f"units: {planned.units:,}, each one commit, of {mean:,} tokens in the mean")
    if within_hours is not None and planned.most_tasks is not None:
        say(
            f"in {within_hours:g} h: executors that are done in time; no more than "
            f"{planned.most_tasks:,} tasks are at work at once, those of two units: a larger "
            "scoring.unit_tokens lets more work"
        )


def show_tables(rows: Sequence[TableSize]) -> None:
    """A line for each table."""
    cells = [(row.table, f"{row.rows:,}", f"{row.bytes / 1e9:,.3f}") for row in rows]
    show_table(("table", "rows", "GB"), cells, texts=1, title="Tables grow by")
    say(
        f"rows at most; bytes a row as measured {sizes.ROWS_MEASURED_ON} in Parquet, texts of "
        "selected_documents as they are, uncompressed"
    )


def _headings(has_prices: bool) -> tuple[str, ...]:
    return ("tokens/s", "hours", *(["dollars"] if has_prices else []))


def _cells(work: DeviceWork, has_prices: bool) -> list[str]:
    """From the student on; blank where no rate is known."""
    place = "" if work.rate == CONFIGURED else f" on {work.device}"
    rate = "not known" if work.rate is None else f"{work.rate}{place}"
    speed = "" if work.tokens_per_second is None else f"{work.tokens_per_second:,.0f}"
    counts = [f"{work.texts:,}", _digits(work.tokens / 1e6), speed, _digits(work.hours)]
    dollars = [_digits(work.dollars)] if has_prices else []
    return [f"{work.student} {work.model}".strip(), rate, *counts, *dollars]


def _digits(number: float | None) -> str:
    """Two digits behind the point, of what is large none."""
    if number is None:
        return ""
    return f"{number:,.0f}" if number >= 1_000 else f"{number:,.2f}"


def _say_unknown(works: Iterable[DeviceWork], setting: str) -> None:
    for kind in sorted({work.student for work in works if work.rate is None}):
        say(f"{kind}: no rate was measured, plan.{setting}: {{{kind}: …}} says one")
