"""The judge as the steps use it: sampled documents become requests, and a desk asks them, with the
ledger in `judge_calls` behind it."""

import contextlib
import hashlib
import json
import os
import random
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal, TypeVar

from pyspark.sql import Column, DataFrame, Row, functions as F

from mira_spark.corpus import sampling
from mira_spark.corpus.excerpts import CHARACTERS_PER_TOKEN
from mira_spark.corpus.grouping import grouping_id
from mira_spark.corpus.groups import source_groups
from mira_spark.judges import defence, prompts
from mira_spark.judges.bedrock import BedrockJudge
from mira_spark.judges.calls import secret
from mira_spark.judges.calls.desk import Desk
from mira_spark.judges.calls.journal import Journal
from mira_spark.judges.calls.journal_file import CallRow
from mira_spark.judges.calls.ledger import Ledger
from mira_spark.judges.calls.pacing import Pacer
from mira_spark.judges.calls.prices import price_of
from mira_spark.judges.calls.spending import Budget
from mira_spark.judges.heuristic.judge import HeuristicJudge
from mira_spark.judges.openai_compatible import OpenAIJudge
from mira_spark.judges.prompts import Prompts
from mira_spark.judges.protocol import Answer, Judge, Purpose, Request
from mira_spark.labels import judge_calls
from mira_spark.lake.tables import Lakehouse
from mira_spark.rubrics import current
from mira_spark.rubrics.rubric import Rubric
from mira_spark.settings.corpus import GroupingSettings
from mira_spark.settings.judge import BudgetSettings, JudgeSettings, ModelSettings, Price
from mira_spark.settings.rubrics import DiscoverySettings
from mira_spark.settings.urls import host_of

Task = Literal["discovery", "labelling"]
TASKS: tuple[Task, ...] = ("discovery", "labelling")
_T = TypeVar("_T")

REPLICATES: dict[Purpose, int] = {"repeat": 1}
"""The replicate number of a first asking, 0 where not named; asked again it grows by 2."""
FREE = Price(input=Decimal(0), output=Decimal(0), read_on=date.min)
SALT = "mira.boundary_salt"


@dataclass(frozen=True)
class Form:
    """How the questions of one task are put: the prompts, whose judge, the salt of the
    boundaries, and the generation of the labels. Equal forms put equal questions."""

    task: Task
    judge: Judge
    prompts: Prompts
    salt: bytes
    generation: int


@dataclass(frozen=True)
class Labelling:
    """The labelling of one group: on which rubric, how it is asked, and at which desk."""

    labelling_id: str
    rubric: Rubric
    form: Form
    desk: Desk


def task_model(settings: JudgeSettings, task: Task) -> ModelSettings:
    """Who is asked: the judge, or another one set for labelling."""
    return settings.labelling or settings if task == "labelling" else settings


def judge_name(model: ModelSettings) -> str:
    """`provider:model`, as in the ledger, without opening the judge."""
    return HeuristicJudge.name if model.kind == "heuristic" else f"{model.kind}:{model.model}"


def asking_id(judge: JudgeSettings, task: Task, generation: int = 0) -> str:
    """16 hex digits of what decides a judge's answers besides the document and the rubric: the
    model, its sampling, the prompt, the windows, the defence, and the generation of labels (0 for
    a discovery). Caps, prices and pacing do not."""
    model = task_model(judge, task)
    loaded = prompts.load(judge.prompts)
    parts: dict[str, object] = {
        "judge": judge_name(model),
        "host": host_of(model.url) if model.url else model.region,
        "sampling": [model.temperature, model.seed, model.max_output_tokens, model.answer_format],
        "prompt": loaded.label if task == "labelling" else loaded.discover,
        "window_tokens": judge.window_tokens,
        "defence": defence.DEFENCE_VERSION,
        "generation": generation,
    }
    if renamed := {ours: name for ours, name in model.parameters.items() if name != ours}:
        parts["parameters"] = renamed
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def discoveries(
    lake: Lakehouse, grouping: GroupingSettings, discovery: DiscoverySettings, judge: JudgeSettings
) -> dict[str, str]:
    """Group to the id of its discovery under these settings. InputError before there are groups."""
    groups = source_groups(lake, grouping).values()
    return current.discovery_ids(
        groups, grouping_id(grouping), discovery, asking_id(judge, "discovery")
    )


def open_judge(model: ModelSettings, licenses: Sequence[str]) -> Judge:
    """The judge; ConfigError when its key, library or address is not there. Nothing is sent."""
    if model.kind == "openai":
        return OpenAIJudge(model, secret.read(model.secret, os.environ), licenses)
    if model.kind == "bedrock":
        return BedrockJudge(model, licenses)
    return HeuristicJudge()


def check(judge: JudgeSettings) -> None:
    """ConfigError when a judge could not be asked: no key, library, address, price or prompt.
    Nothing is sent."""
    prompts.load(judge.prompts)
    for task in TASKS:
        model = task_model(judge, task)
        open_judge(model, judge.licenses)
        model_price(judge, model)


def open_form(lake: Lakehouse, settings: JudgeSettings, task: Task, generation: int = 0) -> Form:
    """The form of a task's questions, with the salt of this installation (made at first use)."""
    judge = open_judge(task_model(settings, task), settings.licenses)
    salt = lake.properties("judge_calls").get(SALT)
    if salt is None:
        salt = secrets.token_hex(16)
        lake.set_properties("judge_calls", {SALT: salt})
    loaded = prompts.load(settings.prompts)
    return Form(task, judge, loaded, bytes.fromhex(salt), generation)


def sendable(documents: DataFrame, judge: JudgeSettings, task: Task) -> DataFrame:
    """The documents that may be shown to the task's judge; the heuristic one sends nothing."""
    if task_model(judge, task).kind == "heuristic":
        return documents
    allowed = documents.filter(F.col("sendable"))
    licenses = judge.licenses
    return allowed.filter(F.col("license").isin(list(licenses))) if licenses else allowed


def excerpt_of_text(window_tokens: int) -> Column:
    """What a judge sees of the column `text`."""
    return sampling.excerpt_column(F.col("text"), window_tokens)


def with_excerpts(documents: DataFrame, window_tokens: int) -> DataFrame:
    """`document` is what the judge sees of the text, cut before it travels; `unseen_share` is the
    share of the text outside it, 0 to 1."""
    window = excerpt_of_text(window_tokens)
    size = 3 * window_tokens * CHARACTERS_PER_TOKEN
    unseen = F.greatest(F.lit(0.0), 1 - F.lit(size) / F.greatest(F.length("text"), F.lit(1)))
    columns = ("doc_id", "source", "content_hash", "sendable", "license")
    return documents.select(*columns, window.alias("document"), unseen.alias("unseen_share"))


def request(
    row: Row, form: Form, purpose: Purpose, source_group: str, rubric: Rubric | None = None
) -> Request:
    """The question about one row of `with_excerpts`; with a rubric a labelling, else a
    discovery."""
    anchors = rubric.anchors if rubric else ()
    anchors = anchors[::-1] if purpose == "reversed" else anchors
    document = defence.normalised(row["document"])
    code = defence.boundary(document, form.salt)
    new = Request(
        call_key="",
        purpose=purpose,
        doc_id=row["doc_id"],
        source_group=source_group,
        document=document,
        anchors=anchors,
        messages=prompts.messages(form.prompts, document, code, anchors),
        source=row["source"],
        rubric_id=rubric.anchors_id if rubric else None,
        code=code,
        sendable=row["sendable"],
        license=row["license"],
    )
    return as_replicate(new, form, REPLICATES.get(purpose, 0))


def as_replicate(request: Request, form: Form, replicate: int) -> Request:
    """The same question under another replicate number, which is another answer."""
    schema = prompts.schema(request.anchors)
    identity = form.judge.identity
    if form.generation:
        identity = {**identity, "generation": form.generation}
    key = prompts.call_key(identity, request.messages, schema, request.rubric_id, replicate)
    return replace(request, call_key=key, replicate=replicate)


@contextlib.contextmanager
def open_desk(
    lake: Lakehouse, settings: JudgeSettings, folder: Path, form: Form, run_id: str
) -> Iterator[Desk]:
    """The desk of one run of a step: journal, budget and pacing around the form's judge; the
    journal is in the folder where the settings name none.

    What an earlier driver left in its journal is in `judge_calls` when the block begins. Raises
    ConfigError for a model without a price.
    """
    model = task_model(settings, form.task)
    path = settings.journal or folder.absolute() / "judge.sqlite"
    with contextlib.ExitStack() as stack:

        def sink(opening: str, batch: int, rows: Sequence[CallRow], again: bool) -> None:
            # What was paid for is kept, whoever asks from now on: the claim is looked at after.
            judge_calls.append(replace(lake, claim=None), rows, run_id, (opening, batch), again)
            if lake.claim is not None:
                lake.claim.check()

        journal = stack.enter_context(Journal(path, sink))
        clock = lake.clock("judge_calls", "answered_at")
        budget = _budget(
            lake, settings.budget, form.judge.name, model_price(settings, model), run_id, clock
        )
        pacer = Pacer(settings.pacing, random.Random())
        most_unreadable = settings.unreadable_in_a_row
        desk = Desk(form.judge, journal, budget, pacer, run_id, clock, most_unreadable)
        yield stack.enter_context(desk)


def ledger(
    lake: Lakehouse,
    form: Form,
    source_group: str,
    rubric_id: str | None,
    parse: Callable[[Request, str], _T],
    reasks: int,
) -> Ledger[_T]:
    """The ledger of one group's discovery (no rubric) or labelling, over `judge_calls`."""

    def known(keys: Sequence[str]) -> Mapping[str, Answer]:
        return judge_calls.answers(lake, source_group, rubric_id, keys)

    def next_replicate(request: Request) -> Request:
        return as_replicate(request, form, request.replicate + 2)

    return Ledger(known, parse, next_replicate, reasks)


def with_another_asking(lake: Lakehouse, judge: JudgeSettings) -> JudgeSettings:
    """Settings under which each unreadable answer is asked for once more than ever before."""
    reasks = judge_calls.highest_replicate(lake) // 2 + 1
    return judge.model_copy(update={"reasks": reasks})


def model_price(judge: JudgeSettings, model: ModelSettings) -> Price:
    """What the model costs; ConfigError when nobody said."""
    is_paid = model.kind != "heuristic"
    return price_of(model.model or "", judge.prices) if is_paid else FREE


def _budget(
    lake: Lakehouse,
    caps: BudgetSettings,
    judge: str,
    rate: Price,
    run_id: str,
    clock: Callable[[], datetime],
) -> Budget:
    """The caps with what the ledger says was spent."""
    if caps == BudgetSettings():
        return Budget(caps, rate)  # no caps, nothing to add up
    spent = judge_calls.spent(lake, run_id, clock().date())
    largest = judge_calls.largest_output(lake, judge)
    return Budget(caps, rate, *spent, largest, today=lambda: clock().date())
