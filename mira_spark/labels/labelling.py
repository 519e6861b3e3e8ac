"""Which documents are labelled twice, and what all labels of one student have in common."""

import hashlib
from collections.abc import Mapping

from mira_spark.corpus.draws import draw
from mira_spark.rubrics.rubric import Rubric
from mira_spark.settings.labels import LabellingSettings


def labelling_id(rubric_id: str, asking_id: str) -> str:
    """16 hex digits of what all labels of one student have in common: the rubric and how its
    judge was asked (`forms.asking_id`). Labels of two ids are never mixed."""
    return hashlib.sha256(f"{rubric_id}\x00{asking_id}".encode()).hexdigest()[:16]


def labelling_ids(rubrics: Mapping[str, Rubric], asking_id: str) -> dict[str, str]:
    """Group to the id that labels on its rubric carry."""
    return {g: labelling_id(rubric.rubric_id, asking_id) for g, rubric in rubrics.items()}


def is_spoilt(doc_id: str, settings: LabellingSettings) -> bool:
    """Whether a copy of the document, spoilt on purpose, is labelled too."""
    return draw(doc_id, "spoilt") < settings.spoilt_share


def is_repeated(doc_id: str, settings: LabellingSettings) -> bool:
    """Whether the document is asked about a second time, to measure the judge against itself."""
    return draw(doc_id, "repeat") < settings.repeat_share
