"""Which students are trained, when one may be believed, and where they are registered."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mira_spark.errors import ConfigError, joined
from mira_spark.settings.secrets import FORMS, is_reference
from mira_spark.settings.types import NAME, RootFolder, Seed, spelt
from mira_spark.settings.urls import checked_url

Rule = Literal["shrunk", "paper"]
StudentKind = Literal["linear", "encoder", "generative", "served"]


class ServedSettings(BaseModel):
    """An OpenAI-compatible server with a model that writes scores, and how it is asked.

    `hosts` is the list of what `url` may name, `secret` refers to the key: `env:NAME`, or `none`.
    A model with a prompt of its own has it in `prompt`: `$document` stands for the document, and
    the answer that follows must begin with the scores, separated by commas.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = ""
    hosts: tuple[str, ...] = ()
    model: str = ""
    secret: str = "none"
    prompt: Annotated[str, spelt(r"(?s).*\$document.*", "a text with $document")] | None = None
    max_characters: int = Field(8_000, ge=64)
    """Characters of a document that are sent; of a longer one the begin, middle and end."""
    documents_at_once: int = Field(16, ge=1, le=1_000)
    timeout_s: float = Field(120, gt=0)
    pause_s: float = Field(0.5, ge=0)
    """Before the second attempt; twice as long before the third."""

    @model_validator(mode="after")
    def _without_key(self) -> Self:
        # Here, not by field: the message of a field would show the value, maybe a key.
        if not is_reference(self.secret):
            raise ValueError(f"secret: should be {FORMS}; never the key itself")
        return self


class LinearSettings(BaseModel):
    """How a linear student is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bits: int = Field(18, ge=10, le=24)
    """The table has 2**bits rows of 64 bytes; with 2,400 labels 20 ranked no better than 18."""
    ridge: float = Field(0.5, gt=0)
    """Penalty on weights; 0.3 to 1 measured alike, 1 to 3 better on very noisy labels."""
    passes: int = Field(24, ge=1, le=100)
    """Passes over the hashed labels; 24 come to the exact solution."""
    dtype: Literal["F32", "F16"] = "F32"
    """Of the weights in the artefact; in memory they are float32."""
    byte_grams: bool = False
    """Byte 4-grams are features too, beside words and pairs of words."""


class EncoderSettings(BaseModel):
    """Which encoder, and how it is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = ""
    """A folder with config.json, model.safetensors and tokenizer.json, or a hub id."""
    frozen: bool = True
    """Only the heads are fitted: one pass over the texts, practical on a CPU."""
    max_tokens: int = Field(512, ge=16)
    """Of a longer document the begin, the middle and the end are read."""
    epochs: int = Field(3, ge=1, le=100)
    learning_rate: float = Field(2e-5, gt=0)
    tokens_per_step: int = Field(16_384, ge=1)
    """Gradients are summed over so many tokens, padding not counted, before a step."""
    patience: int = Field(1, ge=0)
    """Epochs without a better loss on the rows kept aside before the training ends."""
    seed: Seed = 0


class GenerativeSettings(BaseModel):
    """Which causal language model, and how it is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = ""
    """A folder with config.json, safetensors and tokenizer.json, or a hub id."""
    max_tokens: int = Field(2_048, ge=16, le=131_072)
    """Tokens of a document that are shown; of a longer one the begin, middle and end."""
    epochs: int = Field(3, ge=1)
    learning_rate: float = Field(1e-5, gt=0, le=1)
    """The highest, after warm-up; it falls to 0 as a cosine."""
    tokens_per_step: int = Field(65_536, ge=1)
    """Tokens of one step of the optimiser, prompts included; a step has at least one document."""
    seed: Seed = 0
    """Of the documents' order and of dropout; on a CPU the same seed gives the same weights."""


class DistillationSettings(BaseModel):
    """Which kind of student, how it is trained, and when anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: StudentKind = "linear"
    linear: LinearSettings = LinearSettings()
    encoder: EncoderSettings = EncoderSettings()
    generative: GenerativeSettings = GenerativeSettings()
    served: ServedSettings = ServedSettings()
    """A scorer behind a server: nothing is trained; it is calibrated, measured and gated."""
    few_labels: int = Field(300, ge=0)
    """With fewer labels a group whose own student fails the gate, and that has no champion, borrows
    the champion of the group most like it; 0: no group borrows."""
    retrain_after: float = Field(0.1, ge=0)
    """Share by which labels must grow before their student is stale."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        models = {"encoder": self.encoder.model, "generative": self.generative.model}
        if not models.get(self.kind, "any"):
            raise ValueError(
                f"{self.kind}.model: is needed with kind: {self.kind}, a folder or a hub id"
            )
        if self.kind == "served" and (problems := list(_unusable(self.served))):
            raise ValueError(joined(f"served.{problem}" for problem in problems))
        return self


def _unusable(server: ServedSettings) -> Iterator[str]:
    """Why the server could not be asked."""
    if not server.model:
        yield "model: is needed with kind: served, the server's name for it"
    try:
        checked_url(server.url, server.hosts)
    except ConfigError as error:
        yield str(error)
    if not is_reference(server.secret):
        yield f"secret: should be {FORMS}; never the key itself"


class QualitySettings(BaseModel):
    """How a document's scores become one quality; only what the rule names applies to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Rule = "shrunk"
    """`shrunk`: every score counts as far as it has followed the judge in its source. `paper`: the
    trimmed mean of the scores that pass the bounds below."""
    max_mae_points: float = Field(1.0, gt=0, le=10)
    """paper: a score counts where it errs by less than this."""
    min_spearman: float = Field(0.3, ge=-1, le=1)
    """paper: a score counts where it ranks at least this well."""
    min_rows: int = Field(30, ge=2)
    """paper: with fewer rows the figures of the group decide."""
    min_slots: int = Field(3, ge=1)
    """paper: a source of whose scores fewer count uses the group's."""


class RegistrySettings(BaseModel):
    """Where students are registered: `<prefix>_<group>` (Unity Catalog: catalog.schema.prefix).

    `tracking_uri` None: the platform's own MLflow, or SQLite in the driver's folder with its files
    in the shared one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tracking_uri: str | None = None
    experiment: str = Field("mira_spark", min_length=1)
    prefix: Annotated[
        str,
        spelt(
            rf"({NAME}\.){{0,2}}{NAME}", "a name or catalog.schema.name, of a to z, 0 to 9 and _"
        ),
    ] = "mira"


class Registry(NamedTuple):
    """Where students are registered, with what the section leaves to its defaults: the shared
    folder, the driver's own, and whether the session is local."""

    settings: RegistrySettings
    folder: RootFolder
    driver_files: Path
    is_local: bool
