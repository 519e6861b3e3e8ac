"""The rows of `rubrics` that a discovery gives: the slots of its rubric, and its candidates."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from mira_spark.rubrics import discovery
from mira_spark.rubrics.discovery import Anchored
from mira_spark.rubrics.rubric import rubric_id
from mira_spark.rubrics.separation import Separation

CANDIDATE = "candidate"
"""The status of a row that is no slot of any rubric."""


@dataclass(frozen=True)
class Candidate:
    """A dimension that a discovery found: in how much of two halves it was found again, the names
    merged into it, and what a pilot says of it, where there was one. It becomes a slot unless that
    has a reason against it."""

    anchored: Anchored
    stability: float
    merged: tuple[str, ...] = ()
    separation: Separation | None = None

    @property
    def is_slot(self) -> bool:
        """Whether it becomes one."""
        return self.separation is None or self.separation.reason is None


def rubric_rows(
    source_group: str, discovery_id: str, candidates: Sequence[Candidate], is_signed: bool
) -> list[dict[str, object]]:
    """The rows of `rubrics` but for the coverage. Slots are numbered in the order of the
    candidates; those that are none have the discovery's id in place of a rubric's, so that no
    reader of a rubric meets them."""
    taken = [c for c in candidates if c.is_slot]
    left_out = [c for c in candidates if not c.is_slot]
    slots = discovery.slots([c.anchored for c in taken])
    others = discovery.slots([c.anchored for c in left_out])
    of_rubric = {
        "rubric_id": rubric_id(source_group, slots),
        "status": "approved" if is_signed else "draft",
        "approved_by": "automatic" if is_signed else None,
        "approved_at": datetime.now(UTC) if is_signed else None,
    }
    of_none = {"rubric_id": discovery_id, "status": CANDIDATE}
    constant = {"source_group": source_group, "discovery_id": discovery_id}
    return [
        *(constant | of_rubric | vars(s) | _figures(c) for s, c in zip(slots, taken, strict=True)),
        *(
            constant | of_none | vars(s) | _figures(c)
            for s, c in zip(others, left_out, strict=True)
        ),
    ]


def _figures(candidate: Candidate) -> dict[str, object]:
    a = candidate.anchored
    return {
        "anchor_doc_id": a.anchor.doc_id,
        "anchor_point": a.anchor.point,
        "cluster_size": a.cluster_size,
        "document_share": a.document_share,
        "source_shares": a.source_shares,
        "score_sd": a.score_sd,
        "stability": candidate.stability,
        "merged": list(candidate.merged) or None,
        **(asdict(candidate.separation) if candidate.separation else {}),
    }
