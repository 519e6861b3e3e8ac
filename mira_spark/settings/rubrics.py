"""How a group's rubric is discovered."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mira_spark.settings.types import Seed

MAX_DIMENSIONS = 15
MAX_CANDIDATES = 40
AnchorSelection = Literal["separating", "paper"]


class DiscoverySettings(BaseModel):
    """How many documents are shown without a rubric, and which of the dimensions named there become
    slots. `paper`: the commonest. `separating`: of the `candidates` commonest, merged by the judge
    where they mean the same, those that tell the `pilot_documents` of a group apart. `same_above`
    is the cosine above which two anchors are the same; with `require_approval` labelling waits
    until a person has signed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents_per_group: int = Field(300, ge=1)
    documents_per_domain: int = Field(3, ge=1)
    dimensions: int = Field(15, ge=3, le=MAX_DIMENSIONS)
    selection: AnchorSelection = "paper"
    candidates: int = Field(25, ge=3, le=MAX_CANDIDATES)
    pilot_documents: int = Field(100, ge=20, le=10_000)
    same_above: float = Field(0.92, gt=0, le=1)
    require_approval: bool = False
    seed: Seed = 0

    @model_validator(mode="after")
    def _enough_candidates(self) -> Self:
        if self.selection == "separating" and self.candidates < self.dimensions:
            raise ValueError(
                f"candidates: {self.candidates} are fewer than dimensions, {self.dimensions}: "
                "set as many or more, or selection: paper"
            )
        return self

    @property
    def anchors(self) -> int:
        """The most anchors that are looked for among the dimensions named."""
        return self.candidates if self.selection == "separating" else self.dimensions

    def deciding(self) -> dict[str, object]:
        """What of this decides a rubric, as JSON values."""
        chosen = self.model_dump(mode="json", exclude={"require_approval"})
        if self.selection == "paper":  # its discoveries have the id they always had
            for name in ("selection", "candidates", "pilot_documents"):
                del chosen[name]
        return chosen
