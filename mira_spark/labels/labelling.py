"""Which documents are labelled, which of them twice, and in which split a label is."""

import hashlib

from pydantic import BaseModel, ConfigDict, Field

from mira_spark.settings.types import Seed


class LabellingSettings(BaseModel):
    """How many documents the judge labels. Shares are drawn by hash of doc_id.

    `repeat_share` of the documents and up to `reversed_documents` of a group are asked again, the
    latter with the rubric reversed. `canaries` documents of a group are asked at every run; a mean
    shift over `max_shift` points stops it. A new `generation` labels everything anew.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents_per_source: int = Field(100_000, ge=1)
    documents_per_domain: int = Field(1_000, ge=1)
    validation_share: float = Field(0.1, gt=0, lt=1)
    repeat_share: float = Field(0.05, ge=0, le=1)
    reversed_documents: int = Field(50, ge=0)
    canaries: int = Field(10, ge=0)
    max_shift: float = Field(0.3, gt=0)
    generation: int = Field(0, ge=0)
    seed: Seed = 0


def labelling_id(rubric_id: str, asked_as: str) -> str:
    """16 hex digits of what all labels of one student have in common: the rubric and how its
    judge was asked (`judging.asked_as`). Labels of two ids are never mixed."""
    return hashlib.sha256(f"{rubric_id}\x00{asked_as}".encode()).hexdigest()[:16]


def share_of(doc_id: str, purpose: str) -> float:
    """A number in [0, 1) that is always the same for a document and purpose, and even over many."""
    digest = hashlib.sha256(f"{purpose}\x00{doc_id}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def split(doc_id: str, settings: LabellingSettings) -> str:
    """`train` or `validation`, by hash of the doc_id alone."""
    return "validation" if share_of(doc_id, "split") < settings.validation_share else "train"


def is_repeated(doc_id: str, settings: LabellingSettings) -> bool:
    """Whether the document is asked about a second time, to measure the judge against itself."""
    return share_of(doc_id, "repeat") < settings.repeat_share
