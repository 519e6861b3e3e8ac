"""How a judge is asked for discovery and for labelling: which model, under which prompts, at which
price; what identifies answers to questions put in one way."""

import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from mira_spark.corpus.groups import current_grouping_id, source_groups
from mira_spark.judges import defence, prompts
from mira_spark.judges.bedrock import BedrockJudge
from mira_spark.judges.calls import secret
from mira_spark.judges.calls.prices import price_of
from mira_spark.judges.heuristic.judge import HeuristicJudge
from mira_spark.judges.openai_compatible import OpenAIJudge
from mira_spark.judges.prompts import Prompts
from mira_spark.judges.protocol import Judge
from mira_spark.lake.tables import Lakehouse
from mira_spark.rubrics import current
from mira_spark.settings.embedder import Grouping
from mira_spark.settings.judge import JudgeSettings, ModelSettings, Price
from mira_spark.settings.rubrics import DiscoverySettings
from mira_spark.settings.urls import host_of

Task = Literal["discovery", "labelling"]
TASKS: tuple[Task, ...] = ("discovery", "labelling")
FREE = Price(input=Decimal(0), output=Decimal(0), read_on=date.min)
SALT = "mira.boundary_salt"
"""The property of `judge_calls` that holds the salt of the boundaries, in hex digits."""


@dataclass(frozen=True)
class Form:
    """How the questions of one task are put: the prompts, whose judge, the salt of the
    boundaries, the generation of the labels, and the length of an excerpt's windows. Equal forms
    put equal questions."""

    task: Task
    judge: Judge
    prompts: Prompts
    salt: bytes
    generation: int
    window_tokens: int


def task_model(settings: JudgeSettings, task: Task) -> ModelSettings:
    """Who is asked: the judge, or another one set for labelling."""
    return settings.labelling or settings if task == "labelling" else settings


def judge_name(model: ModelSettings) -> str:
    """`provider:model`, as in `judge_calls`, without opening the judge."""
    return HeuristicJudge.name if model.kind == "heuristic" else f"{model.kind}:{model.model}"


def asking_id(judge: JudgeSettings, task: Task, generation: int) -> str:
    """16 hex digits of what decides a judge's answers besides the document and the rubric: the
    model, its sampling, the prompt, the length of an excerpt, the defence, and the generation of
    labels (0 for a discovery). Caps, prices and pacing do not."""
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


def discovery_asking_id(discovery: DiscoverySettings, judge: JudgeSettings) -> str:
    """16 hex digits of what decides a judge's answers in a discovery: its `asking_id`, and where it
    has a merge and a pilot their prompts."""
    named = asking_id(judge, "discovery", generation=0)
    if discovery.selection == "paper":
        return named
    loaded = prompts.load(judge.prompts)
    content = json.dumps([named, loaded.merge, loaded.label])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def discoveries(
    lake: Lakehouse, grouping: Grouping, discovery: DiscoverySettings, judge: JudgeSettings
) -> dict[str, str]:
    """Group to the id of its discovery under these settings. InputError before there are groups."""
    groups = source_groups(lake, grouping).values()
    return current.discovery_ids(
        groups,
        current_grouping_id(lake, grouping),
        discovery,
        discovery_asking_id(discovery, judge),
    )


def open_judge(model: ModelSettings, licenses: Sequence[str]) -> Judge:
    """The judge; ConfigError when its key, library or address is not there. Nothing is sent."""
    if model.kind == "openai":
        return OpenAIJudge(model, secret.read(model.secret, os.environ), licenses)
    if model.kind == "bedrock":
        return BedrockJudge(model, licenses)
    return HeuristicJudge()


def check_judges(judge: JudgeSettings) -> None:
    """ConfigError when a judge could not be asked: no key, library, address, price or prompt.
    Nothing is sent."""
    prompts.load(judge.prompts)
    for task in TASKS:
        model = task_model(judge, task)
        open_judge(model, judge.licenses)
        model_price(judge, model)


def open_form(lake: Lakehouse, settings: JudgeSettings, task: Task, generation: int) -> Form:
    """The form of a task's questions, with the salt of this installation (made at first use);
    `generation` is that of the labels, 0 for a discovery."""
    judge = open_judge(task_model(settings, task), settings.licenses)
    salt = lake.properties("judge_calls").get(SALT)
    if salt is None:
        salt = secrets.token_hex(16)
        lake.set_properties("judge_calls", {SALT: salt})
    loaded = prompts.load(settings.prompts)
    return Form(task, judge, loaded, bytes.fromhex(salt), generation, settings.window_tokens)


def model_price(judge: JudgeSettings, model: ModelSettings) -> Price:
    """What the model costs; nothing for the heuristic judge. ConfigError when `judge.prices` does
    not say."""
    is_paid = model.kind != "heuristic"
    return price_of(model.model or "", judge.prices) if is_paid else FREE
