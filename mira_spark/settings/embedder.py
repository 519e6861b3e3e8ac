"""Which embedder turns texts into vectors, for grouping and for discovery."""

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mira_spark.errors import ConfigError, joined
from mira_spark.settings.corpus import GroupingSettings
from mira_spark.settings.secrets import FORMS, is_reference
from mira_spark.settings.urls import checked_url


class EmbedderSettings(BaseModel):
    """`hashing` counts hashed words: offline, and blind to two wordings of one thing. `encoder` is
    a model on this machine, `openai` the /v1/embeddings endpoint of a server, which is asked under
    the judge's prices, caps, pacing, journal and licences."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["hashing", "encoder", "openai"] = "hashing"
    model: Annotated[str, Field(min_length=1)] | None = None
    """encoder: a folder with config.json, safetensors and tokenizer.json, or a hub id; openai: the
    server's name for it."""
    max_tokens: int = Field(512, ge=16, le=131_072)
    """encoder: of a longer text the begin, the middle and the end are read."""
    max_characters: int = Field(6_000, ge=16)
    """openai: of a longer text the begin, the middle and the end are sent."""
    url: str | None = None
    """openai: of the API, usually ending in /v1."""
    hosts: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """openai: what `url` may name."""
    secret: str = "env:OPENAI_API_KEY"
    """openai: where the key is: `env:NAME`, `databricks:SCOPE/KEY` or `none`."""
    dimensions: int | None = Field(None, ge=1, le=65_536)
    """openai: numbers of a vector, for models that take it as a parameter; None: not sent."""
    timeout_s: float = Field(120, gt=0)
    """openai: of a call."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        # Here, not field by field: the message of a field would show the value, maybe a key.
        if problems := list(self._problems()):
            raise ValueError(joined(problems))
        return self

    def _problems(self) -> Iterator[str]:
        if self.kind == "encoder" and self.model is None:
            yield "model: is needed with kind: encoder, a folder or a hub id"
        if self.kind == "openai" and self.model is None:
            yield "model: is needed with kind: openai"
        if self.kind == "openai" and self.url is None:
            yield "url: is needed with kind: openai, usually ending in /v1"
        if self.url is not None:
            try:
                checked_url(self.url, self.hosts)
            except ConfigError as error:
                yield str(error)
        if not is_reference(self.secret):
            yield f"secret: should be {FORMS}; never the key itself"


class Grouping(NamedTuple):
    """How sources are grouped: the section `grouping`, and the embedder they are compared by."""

    settings: GroupingSettings
    embedder: EmbedderSettings = EmbedderSettings()
