"""Which judge answers, where, and how much of a document it is shown."""

from datetime import date
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mira_spark.errors import ConfigError, joined
from mira_spark.settings.secrets import FORMS, is_reference
from mira_spark.settings.types import LocalPath, RootFolder, Seed, Usd, spelt
from mira_spark.settings.urls import checked_url

_Name = Annotated[str, Field(min_length=1)]
Parameter = Literal["max_tokens", "temperature", "seed", "response_format"]
ParameterName = Annotated[
    str, spelt("[A-Za-z][A-Za-z0-9_]{0,63}", "1 to 64 letters, digits and _, a letter first")
]
TAKEN = {"model", "messages", "n", "stream"}
"""Names that no parameter can be sent under."""


class ModelSettings(BaseModel):
    """One model and how it is asked. `heuristic` is the offline stand-in: it measures, it does
    not read. `secret` refers to the key of an `openai` server: `env:NAME`, `databricks:SCOPE/KEY`
    or `none`; `bedrock` finds its own by `profile`. `hosts` is the list of what `url` may name.
    `parameters` maps those of ours that an `openai` server calls otherwise to its names for them,
    and to null what is not to be sent to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["heuristic", "openai", "bedrock"] = "heuristic"
    model: _Name | None = None
    url: str | None = None
    hosts: tuple[_Name, ...] = ()
    secret: str = "env:OPENAI_API_KEY"
    region: _Name | None = None
    profile: _Name | None = None
    temperature: float | None = Field(0.0, ge=0, le=2)
    seed: Seed | None = None
    max_output_tokens: int = Field(2_000, ge=1)
    answer_format: Literal["json_schema", "json_object"] = "json_schema"
    parameters: dict[Parameter, ParameterName | None] = {}
    timeout_s: float = Field(120, gt=0)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        # Here, not field by field: the message of a field would show the value, maybe a key.
        if problems := list(self._problems()):
            raise ValueError(joined(problems))
        return self

    def _problems(self) -> list[str]:
        problems = []
        if self.kind != "heuristic" and self.model is None:
            problems.append(f"model: is needed with kind: {self.kind}")
        if self.kind == "openai" and self.url is None:
            problems.append("url: is needed with kind: openai, usually ending in /v1")
        if self.kind == "bedrock" and self.seed is not None:
            problems.append("seed: bedrock knows none; leave it out")
        if self.kind == "bedrock" and self.parameters:
            problems.append("parameters: bedrock knows none; leave them out")
        problems += self._problems_of_parameters()
        if self.url is not None:
            try:
                checked_url(self.url, self.hosts)
            except ConfigError as error:
                problems.append(str(error))
        if not is_reference(self.secret):
            problems.append(f"secret: should be {FORMS}; never the key itself")
        return problems

    def _problems_of_parameters(self) -> list[str]:
        names = {name: name for name in get_args(Parameter)} | dict(self.parameters)
        sent = [name for name in names.values() if name is not None]
        problems = []
        if names["max_tokens"] is None:
            problems.append(
                "parameters.max_tokens: should not be null, it bounds what a call costs"
            )
        if clash := sorted({name for name in sent if name in TAKEN or sent.count(name) > 1}):
            problems.append(f"parameters: {', '.join(clash)} would be sent twice; use other names")
        return problems


class Price(BaseModel):
    """US dollars per million tokens; `read_on` is the day the price list was read.

    `cached_input` null: cached tokens cost what the others do.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Usd
    cached_input: Usd | None = None
    output: Usd
    read_on: date


class Caps(BaseModel):
    """The most that may be spent, in US dollars and in tokens (input and output together)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    usd: Usd | None = None
    tokens: int | None = Field(None, ge=0)


class BudgetSettings(BaseModel):
    """The caps. A day is a day of UTC; `per_source` holds for each source over all runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_run: Caps = Caps()
    per_day: Caps = Caps()
    per_source: Caps = Caps()


class PacingSettings(BaseModel):
    """`in_flight`: the most calls at once. A question is tried at most `attempts` times, and no try
    begins later than `seconds` after its first.

    Before the next try a wait is drawn from 0 to `base_s` doubled each time, at most `cap_s`; a
    server's Retry-After counts up to `retry_after_cap_s`. `retry_share`: retries per first call,
    beyond the first ten. The first failure after an outage of more than `seconds` ends the step.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    in_flight: int = Field(64, ge=1, le=1024)
    attempts: int = Field(6, ge=1, le=100)
    seconds: float = Field(900, gt=0)
    base_s: float = Field(1.0, ge=0)
    cap_s: float = Field(60.0, ge=0)
    retry_after_cap_s: float = Field(600, ge=0)
    retry_share: float = Field(0.1, ge=0, le=1)


class JudgeSettings(ModelSettings):
    """The judge, and what is set around it. `labelling` is another model for labelling than for
    discovery; `prompts` a folder with the user's own; `journal` a file on a local disk (null:
    `judge.sqlite` in the driver's folder); `licenses` those that may be sent (empty: all).
    `unreadable_in_a_row`: so many new answers in a row that cannot be used stop the step, at its
    start or later; answers that were there before do not count."""

    window_tokens: int = Field(1_000, ge=16, le=100_000)
    labelling: ModelSettings | None = None
    prompts: RootFolder | None = None
    journal: LocalPath | None = None
    licenses: tuple[_Name, ...] = ()
    reasks: int = Field(1, ge=0)
    unreadable_in_a_row: int = Field(20, ge=1)
    prices: dict[str, Price] = {}
    budget: BudgetSettings = BudgetSettings()
    pacing: PacingSettings = PacingSettings()
