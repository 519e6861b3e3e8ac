"""Which baselines are computed, for selections to be compared with."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mira_spark.settings.corpus import InputSettings
from mira_spark.settings.types import Name


class TargetSettings(InputSettings):
    """What a target set is read from: an input as any other, whose name and source mean nothing."""

    name: Name = "target"
    source: str | None = "target"


class DsirSettings(BaseModel):
    """Documents are scored by how much likelier they are in the target set than in the corpus."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: TargetSettings


class PerplexitySettings(BaseModel):
    """Documents are scored by how well a language model predicts them: one of n-grams, of at most
    `order` words, that is trained on the target set, or a causal `model`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: TargetSettings | None = None
    order: int = Field(3, ge=1, le=6)
    model: Annotated[str, Field(min_length=1)] | None = None
    """A folder with config.json, safetensors and tokenizer.json, or a hub id."""
    max_tokens: int = Field(2_048, ge=64, le=131_072)
    """model: tokens of a document that are read, from its beginning."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.target is None) == (self.model is None):
            raise ValueError("target: either it (for n-grams) or model is needed, and not both")
        return self


class EducationalSettings(BaseModel):
    """Documents are scored by a sequence-classification model with one output."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    """A folder with config.json, safetensors and tokenizer.json, or a hub id."""
    max_tokens: int = Field(512, ge=64, le=131_072)
    """Tokens of a document that are read, from its beginning."""


class BaselinesSettings(BaseModel):
    """None and false: not computed. `heuristics` is the mean of what the heuristic judge measures,
    a stand-in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dsir: DsirSettings | None = None
    perplexity: PerplexitySettings | None = None
    heuristics: bool = False
    educational: EducationalSettings | None = None

    @property
    def sections(self) -> dict[str, "Section"]:
        """Of the baselines that are to be computed, by name."""
        return {name: section for name, section in iter(self) if section}


Section = DsirSettings | PerplexitySettings | EducationalSettings | bool
