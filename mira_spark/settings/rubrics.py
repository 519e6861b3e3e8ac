"""How a group's rubric is discovered."""

from pydantic import BaseModel, ConfigDict, Field

from mira_spark.settings.types import Seed

MAX_DIMENSIONS = 15


class DiscoverySettings(BaseModel):
    """How many documents are shown without a rubric, and what makes two anchors the same; with
    `require_approval` labelling waits until a person has signed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents_per_group: int = Field(300, ge=1)
    documents_per_domain: int = Field(3, ge=1)
    dimensions: int = Field(15, ge=3, le=MAX_DIMENSIONS)
    same_above: float = Field(0.92, gt=0, le=1)
    require_approval: bool = False
    seed: Seed = 0
