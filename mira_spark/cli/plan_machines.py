"""What `mira plan` prints of machines: distillation, scoring, and what tables grow by."""

from collections.abc import Iterable, Mapping, Sequence

from mira_spark.process.progress import say, show_table
from mira_spark.scoring import sizes
from mira_spark.scoring.sizes import ScoringSize, TableSize, TrainingSize
from mira_spark.settings.plan import PlanSettings
from mira_spark.settings.students import StudentKind
from mira_spark.students.rates import CONFIGURED, Rate

Rates = Mapping[StudentKind, Sequence[Rate | None]]
"""Those known of each kind; one None where none is."""


def show_training(
    rows: Sequence[TrainingSize], rates: Rates, settings: PlanSettings, bytes_per_token: float
) -> None:
    """A line for each group and rate: what one device takes to learn from all its labels."""
    trained = [row for row in rows if row.tokens]
    cells = [
        (row.source_group, *_student(row.kind, rate), f"{row.labels:,}", _digits(row.tokens / 1e6),
         *_machine(row.kind, row.tokens, rate, settings, bytes_per_token))
        for row in trained
        for rate in rates[row.kind]
    ]  # fmt: skip
    headings = ("group", "student", "rate", "labels", "M tokens", *_headings(settings))
    if cells:
        show_table(headings, cells, texts=3, title="Distillation, where a group's student is stale")
        say(
            "labels with spoilt copies; tokens over all epochs, of documents as long as the "
            "corpus' mean; hours of one device, one group after the other"
        )
        _say_unknown((row.kind for row in trained), rates, "training_tokens_per_second")


def show_scoring(
    rows: Sequence[ScoringSize],
    rates: Rates,
    settings: PlanSettings,
    bytes_per_token: float,
    within_hours: float | None,
) -> None:
    """A line for each kind of student and rate: what one device takes, and how many executors are
    done in `within_hours`."""
    cells = []
    for row in rows:
        for rate in rates[row.kind]:
            machine = _machine(row.kind, row.tokens, rate, settings, bytes_per_token)
            if within_hours is not None:
                machine.append(_executors(row, rate, settings, bytes_per_token, within_hours))
            counts = (f"{row.documents:,}", _digits(row.tokens / 1e6))
            cells.append((*_student(row.kind, rate), *counts, *machine))
    headings = ["student", "rate", "documents", "M tokens", *_headings(settings)]
    if within_hours is not None:
        headings.append(f"in {within_hours:g} h")
    show_table(headings, cells, texts=2, title="Scoring")
    say("tokens that are read, at most; hours of one device: a core, a GPU or a server")
    _say_unknown((row.kind for row in rows), rates, "tokens_per_second")


def say_units(units: int, tokens: int, bytes_per_token: float, within_hours: float | None) -> None:
    """How many units these `tokens`, read or not, come to; where a deadline was asked for, how many
    devices can be busy at once."""
    mean = round(tokens / max(1, units))
    say(f"units: {units:,}, each one commit, of {mean:,} tokens in the mean")
    if within_hours is not None and units:
        tasks = sizes.most_tasks(tokens, units, bytes_per_token)
        say(
            f"in {within_hours:g} h: executors that are done in time; no more than {tasks:,} tasks "
            "are at work at once, those of two units: a larger scoring.unit_tokens lets more work"
        )


def show_tables(rows: Sequence[TableSize]) -> None:
    """A line for each table."""
    cells = [(row.table, f"{row.rows:,}", f"{row.bytes / 1e9:,.3f}") for row in rows]
    show_table(("table", "rows", "GB"), cells, texts=1, title="Tables grow by")
    say(
        f"rows at most; bytes a row as measured {sizes.ROWS_MEASURED_ON} in Parquet, texts of "
        "selected_documents as they are, uncompressed"
    )


def _student(kind: StudentKind, rate: Rate | None) -> tuple[str, str]:
    if rate is None:
        return kind, "not known"
    place = "" if rate.origin == CONFIGURED else f" on {rate.device}"
    return f"{kind} {rate.model}".strip(), f"{rate.origin}{place}"


def _headings(settings: PlanSettings) -> tuple[str, ...]:
    return ("tokens/s", "hours", *(["dollars"] if settings.dollars_per_device_hour else []))


def _machine(
    kind: StudentKind,
    tokens: int,
    rate: Rate | None,
    settings: PlanSettings,
    bytes_per_token: float,
) -> list[str]:
    """Tokens a second and device-hours, and where any are set dollars; blank where not known."""
    dollars = settings.dollars_per_device_hour
    if rate is None:
        return ["", "", *([""] if dollars else [])]
    hours = sizes.device_hours(tokens, rate, bytes_per_token)
    price = dollars.get(kind)
    shown = [f"{rate.tokens_per_second(bytes_per_token):,.0f}", _digits(hours)]
    return [*shown, *(["" if price is None else _digits(hours * price)] if dollars else [])]


def _executors(
    row: ScoringSize,
    rate: Rate | None,
    settings: PlanSettings,
    bytes_per_token: float,
    within_hours: float,
) -> str:
    if rate is None:
        return ""
    hours = sizes.device_hours(row.tokens, rate, bytes_per_token)
    devices = settings.devices_per_executor.get(row.kind, 1)
    return f"{sizes.executors(hours, within_hours, devices):,}"


def _digits(number: float) -> str:
    """Two digits behind the point, of what is large none."""
    return f"{number:,.0f}" if number >= 1_000 else f"{number:,.2f}"


def _say_unknown(kinds: Iterable[StudentKind], rates: Rates, setting: str) -> None:
    for kind in sorted({kind for kind in kinds if None in rates[kind]}):
        say(f"{kind}: no rate was measured, plan.{setting}: {{{kind}: …}} says one")
