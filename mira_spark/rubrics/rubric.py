"""A group's rubric and what it is known by: as people sign it, and as a judge is asked."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from mira_spark.judges.protocol import Anchor
from mira_spark.lake.scale import WEIGHT

MIN_DIMENSIONS = 3
"""The fewest of a rubric."""


@dataclass(frozen=True)
class Rubric:
    """The approved dimensions of one group, in slot order."""

    rubric_id: str
    source_group: str
    anchors: tuple[Anchor, ...]

    @property
    def anchors_id(self) -> str:
        """The id of what a judge is asked: that of this rubric with all weights 1."""
        return anchors_id(self.source_group, self.anchors)

    @property
    def weights(self) -> tuple[int, ...]:
        """What each slot counts in a verdict, in thousandths."""
        return tuple(anchor.weight for anchor in self.anchors)


def rubric_id(source_group: str, anchors: Sequence[Anchor]) -> str:
    """16 hex digits of SHA-256 of what is signed: the group, and each slot's name, definition, part
    and weight. One byte more is another rubric; with all weights 1 it is the `anchors_id`."""
    weights = [a.weight for a in sorted(anchors, key=lambda a: a.slot)]
    if all(weight == WEIGHT for weight in weights):
        return anchors_id(source_group, anchors)
    return _digest([source_group, _anchor_contents(anchors), weights])


def anchors_id(source_group: str, anchors: Sequence[Anchor]) -> str:
    """16 hex digits of SHA-256 of what a judge is asked: the group, and each slot's name,
    definition and part. Under it answers are known, whatever the weights."""
    return _digest([source_group, _anchor_contents(anchors)])


def _anchor_contents(anchors: Sequence[Anchor]) -> list[tuple[object, ...]]:
    ordered = sorted(anchors, key=lambda a: a.slot)
    return [(a.slot, a.name, a.definition, *([a.part] if a.part else [])) for a in ordered]


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
