"""What `mira plan` answers: what is still to be done, by the fields that other programs get."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from mira_spark.corpus.corpus_size import CorpusSize
from mira_spark.embedders.cost import EmbeddingEstimate
from mira_spark.labels.call_estimates import CallEstimate
from mira_spark.labels.planning import LabelRows, ShownRows
from mira_spark.scoring import sizes
from mira_spark.scoring.sizes import ScoringSize, TableSize, TrainingSize
from mira_spark.settings.plan import PlanSettings
from mira_spark.settings.students import StudentKind
from mira_spark.students.rates import Rate

Rates = Mapping[StudentKind, Sequence[Rate]]
"""Those known of each kind; of some none."""


@dataclass(frozen=True)
class PlannedCalls:
    """Of one kind in one group: dollars without and with the provider's prompt cache;
    `is_observed` says that earlier answers told how long answers are and take."""

    kind: str
    source_group: str
    judge: str
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    dollars: Decimal
    dollars_cached: Decimal
    hours: float
    is_observed: bool


@dataclass(frozen=True)
class DeviceWork:
    """What one device takes for the texts of a group or of all, at one rate: labels or documents,
    and the tokens it reads of them. `rate` says where the rate is from; it and what follows from it
    are None where no rate is known, `dollars` also without a price, `executors` without a
    deadline."""

    source_group: str | None
    student: str
    model: str
    texts: int
    tokens: int
    rate: str | None = None
    device: str | None = None
    tokens_per_second: float | None = None
    hours: float | None = None
    dollars: float | None = None
    executors: int | None = None


@dataclass(frozen=True)
class PlannedUnits:
    """Of scoring, each one commit; `most_tasks` can be at work at once, None without a deadline."""

    units: int
    tokens: int
    most_tasks: int | None


@dataclass(frozen=True)
class Plan:
    """What is still to do of a corpus, or of one that is supposed. `next_doublings` is what twice
    the labels would add to a group's gain, `without_group` the sources that are not counted."""

    corpus: CorpusSize
    is_supposed: bool
    calls: list[PlannedCalls]
    training: list[DeviceWork]
    scoring: list[DeviceWork]
    within_hours: float | None
    units: PlannedUnits
    tables: list[TableSize]
    embeddings: Sequence[EmbeddingEstimate] = ()
    shown: Sequence[ShownRows] = ()
    labels: Sequence[LabelRows] = ()
    next_doublings: Mapping[str, float] | None = None
    without_group: Sequence[str] = ()


def planned_calls(estimates: Iterable[CallEstimate]) -> list[PlannedCalls]:
    """Of each estimate."""
    return [
        PlannedCalls(
            e.kind,
            e.source_group,
            e.judge,
            e.calls,
            e.input_tokens,
            e.cached_tokens,
            e.output_tokens,
            e.dollars(caching=False),
            e.dollars(caching=True),
            e.hours,
            e.is_observed,
        )
        for e in estimates
    ]


def training_work(
    rows: Iterable[TrainingSize], rates: Rates, settings: PlanSettings, bytes_per_token: float
) -> list[DeviceWork]:
    """A line for each group that learns anew and each rate."""
    return [
        _device_work(row.source_group, row.kind, row.labels, row.tokens, rate, settings,
                     bytes_per_token)
        for row in rows if row.tokens
        for rate in rates[row.kind] or (None,)
    ]  # fmt: skip


def scoring_work(
    rows: Iterable[ScoringSize],
    rates: Rates,
    settings: PlanSettings,
    bytes_per_token: float,
    within_hours: float | None,
) -> list[DeviceWork]:
    """A line for each kind of student and each rate; with the executors done in `within_hours`."""
    return [
        _device_work(None, row.kind, row.documents, row.tokens, rate, settings, bytes_per_token,
                     within_hours)
        for row in rows
        for rate in rates[row.kind] or (None,)
    ]  # fmt: skip


def _device_work(
    source_group: str | None,
    kind: StudentKind,
    texts: int,
    tokens: int,
    rate: Rate | None,
    settings: PlanSettings,
    bytes_per_token: float,
    within_hours: float | None = None,
) -> DeviceWork:
    if rate is None:
        return DeviceWork(source_group, kind, "", texts, tokens)
    hours = sizes.device_hours(tokens, rate, bytes_per_token)
    price = settings.dollars_per_device_hour.get(kind)
    devices = settings.devices_per_executor.get(kind, 1)
    executors = None if within_hours is None else sizes.executors(hours, within_hours, devices)
    return DeviceWork(
        source_group,
        kind,
        rate.model,
        texts,
        tokens,
        rate.origin,
        rate.device,
        rate.tokens_per_second(bytes_per_token),
        hours,
        None if price is None else hours * price,
        executors,
    )


def planned_units(
    units: int, tokens: int, bytes_per_token: float, within_hours: float | None
) -> PlannedUnits:
    """The units that these `tokens`, read or not, come to; where a deadline was asked for, how many
    tasks can be at work at once."""
    if within_hours is None or not units:
        return PlannedUnits(units, tokens, None)
    return PlannedUnits(units, tokens, sizes.most_tasks(tokens, units, bytes_per_token))
