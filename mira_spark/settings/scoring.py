"""How documents are scored."""

from pydantic import BaseModel, ConfigDict, Field


class ScoringSettings(BaseModel):
    """`unit_tokens`: what one commit scores. Over `max_quarantined` (a share of the documents) the
    step ends degraded, its data whole. A worker that is busy with one batch for longer than
    `hung_after_s` is ended. `cores_per_task` and `gpus_per_task` ask Spark for a resource profile.
    `batch_tokens` and `compile`: see `students.protocol.Batching`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit_tokens: int = Field(2_000_000_000, ge=1)
    max_quarantined: float = Field(0.001, ge=0, le=1)
    hung_after_s: float = Field(900, gt=0)
    cores_per_task: int | None = Field(None, ge=1)
    gpus_per_task: float | None = Field(None, gt=0, le=1)
    batch_tokens: int | None = Field(None, ge=1)
    compile: bool = False
