"""What the judge labels."""

from pydantic import BaseModel, ConfigDict, Field

from mira_spark.settings.types import Seed


class LabellingSettings(BaseModel):
    """How many documents the judge labels. Shares are drawn by hash of doc_id.

    Of `spoilt_share` of the documents a copy that was spoilt on purpose is labelled too: what a
    student learns of text that only looks like its source. `repeat_share` of the documents and up
    to `reversed_documents` of a group are asked again, the latter with the rubric reversed.
    `canaries` documents of a group are asked before the first question of a run; a mean shift over
    `max_shift` points stops it. A new `generation` labels everything anew.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents_per_source: int = Field(100_000, ge=1)
    documents_per_domain: int = Field(1_000, ge=1)
    repeat_share: float = Field(0.05, ge=0, le=1)
    reversed_documents: int = Field(50, ge=0)
    spoilt_share: float = Field(0.1, ge=0, le=1)
    canaries: int = Field(10, ge=0)
    max_shift: float = Field(0.3, gt=0)
    generation: int = Field(0, ge=0)
    seed: Seed = 0
