"""The desk at which a run of a step asks its judge; `judge_calls` has what is known and spent."""

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from mira_spark.judges.calls.desk import Desk
from mira_spark.judges.calls.journal import Journal
from mira_spark.judges.calls.journal_file import LARGEST_BATCH, CallRow
from mira_spark.judges.calls.ledger import Ledger
from mira_spark.judges.calls.pacing import Pacer
from mira_spark.judges.calls.spending import Spending
from mira_spark.judges.protocol import Answer, Judge, Request
from mira_spark.labels import forms, judge_calls
from mira_spark.labels.forms import Form
from mira_spark.labels.questions import as_replicate, with_shorter_excerpt
from mira_spark.lake.clock import clock_after
from mira_spark.lake.tables import Lakehouse
from mira_spark.rubrics.rubric import Rubric
from mira_spark.settings.judge import BudgetSettings, JudgeSettings, Price

PAID_ANSWERS = 64

_T = TypeVar("_T")


@dataclass(frozen=True)
class Labelling:
    """The labelling of one group: on which rubric, how it is asked, and at which desk."""

    labelling_id: str
    rubric: Rubric
    form: Form
    desk: Desk


def open_desk(
    lake: Lakehouse, settings: JudgeSettings, folder: Path, form: Form, run_id: str
) -> contextlib.AbstractContextManager[Desk]:
    """The desk of one run of a step around the form's judge, see `open_judge_desk`. Raises
    ConfigError for a model without a price."""
    price = forms.model_price(settings, forms.task_model(settings, form.task))
    return open_judge_desk(lake, settings, folder, form.judge, price, run_id)


@contextlib.contextmanager
def open_judge_desk(
    lake: Lakehouse,
    settings: JudgeSettings,
    folder: Path,
    judge: Judge,
    price: Price,
    run_id: str,
) -> Iterator[Desk]:
    """The desk of one run of a step: journal, spending and pacing around a judge; the journal is
    in the folder where the settings name none.

    What an earlier driver left in its journal is in `judge_calls` when the block begins.
    """
    path = settings.journal or folder.absolute() / "judge.sqlite"
    with contextlib.ExitStack() as stack:

        def sink(opening: str, batch: int, rows: Sequence[CallRow], again: bool) -> None:
            # What was paid for is kept, whoever asks from now on: the claim is looked at after.
            judge_calls.append(replace(lake, claim=None), rows, run_id, (opening, batch), again)
            if lake.claim is not None:
                lake.claim.check()

        journal = stack.enter_context(Journal(path, sink, _batch_size(judge)))
        clock = clock_after(lake, "judge_calls", "answered_at")
        spending = _spending(lake, settings.budget, judge.name, price, run_id, clock)
        pacer = Pacer(settings.pacing, random.Random())
        most_unreadable = settings.unreadable_in_a_row
        desk = Desk(judge, journal, spending, pacer, run_id, clock, most_unreadable)
        yield stack.enter_context(desk)


def ledger(
    lake: Lakehouse,
    form: Form,
    rubric_id: str | None,
    parse: Callable[[Request, str], _T],
    reasks: int,
) -> Ledger[_T]:
    """The ledger of a discovery (no rubric) or of labellings on a rubric, over `judge_calls`."""

    def known(keys: Sequence[str]) -> Mapping[str, Answer]:
        return judge_calls.answers(lake, rubric_id, keys)

    def next_replicate(request: Request) -> Request:
        return as_replicate(request, form, request.replicate + 2)

    def shorter(request: Request) -> Request:
        return with_shorter_excerpt(request, form)

    return Ledger(known, parse, next_replicate, reasks, shorter)


def with_another_asking(lake: Lakehouse, judge: JudgeSettings) -> JudgeSettings:
    """The settings with so many `reasks` that every question whose answers could not be read is
    asked once more, however often it was asked before."""
    reasks = judge_calls.highest_replicate(lake) // 2 + 1
    return judge.model_copy(update={"reasks": reasks})


def _batch_size(judge: Judge) -> int:
    """After how many answers they leave the journal, or after ten seconds: a driver's disk may be
    lost with all that it holds, and only answers of a free judge can be asked for again."""
    return LARGEST_BATCH if judge.max_output_tokens is None else PAID_ANSWERS


def _spending(
    lake: Lakehouse,
    caps: BudgetSettings,
    judge: str,
    price: Price,
    run_id: str,
    clock: Callable[[], datetime],
) -> Spending:
    """The caps with what `judge_calls` says was spent."""
    if caps == BudgetSettings():
        return Spending(caps, price)  # no caps, nothing to add up
    spent = judge_calls.spent(lake, run_id, clock().date())
    largest = judge_calls.largest_output(lake, judge)
    return Spending(caps, price, *spent, largest, today=lambda: clock().date())
