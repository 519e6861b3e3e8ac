"""Which judge answers, and how much of a document it is shown."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class JudgeSettings(BaseModel):
    """`heuristic` is the offline stand-in: it measures, it does not read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["heuristic"] = "heuristic"
    window_tokens: int = Field(1_000, ge=16, le=100_000)
