"""A group's rubric as the judge and the student see it."""

from dataclasses import dataclass

from mira_spark.judges.protocol import Anchor


@dataclass(frozen=True)
class Rubric:
    """The approved dimensions of one group, in slot order."""

    rubric_id: str
    source_group: str
    anchors: tuple[Anchor, ...]
