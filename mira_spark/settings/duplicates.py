"""Which documents are near-duplicates."""

from pydantic import BaseModel, ConfigDict, Field

from mira_spark.settings.types import Seed


class DuplicatesSettings(BaseModel):
    """Two texts are near when the share of shingles, runs of so many `words`, that both have among
    those that either has is at least `similarity`. `seed` draws other hashes to find them by."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    similarity: float = Field(0.7, ge=0.5, le=1)
    words: int = Field(8, ge=5, le=8)
    seed: Seed = 0
