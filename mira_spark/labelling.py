"""From the judge's answers on a rubric to labels: which documents, which split, what was said."""

import hashlib
import json
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field


class LabellingSettings(BaseModel):
    """How many documents the judge labels. Shares are drawn by hash of doc_id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    documents_per_source: int = Field(100_000, ge=1)
    validation_share: float = Field(0.1, gt=0, lt=1)
    repeat_share: float = Field(0.05, ge=0, le=1)
    seed: int = 0


@dataclass(frozen=True)
class Scores:
    """What one answer says, in slot order; a score is None where the dimension does not apply."""

    scores: list[int | None]
    reasons: list[str | None]


def parse_scores(raw_response: str, slots: int) -> Scores:
    """The scores of a labelling answer; ValueError says what is wrong with one that is not as
    asked: every slot once, an integer from 0 to 10 or null, nothing clamped, nothing guessed."""
    try:
        rows = json.loads(raw_response)["answers"]
        by_slot = {row["slot"]: (row["score"], row["reason"]) for row in rows}
    except (json.JSONDecodeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a list of answers: {error!r:.200}") from error
    integers = all(type(slot) is int for slot in by_slot)
    if len(rows) != slots or set(by_slot) != set(range(slots)) or not integers:
        raise ValueError(f"{len(rows)} answers, expected each slot from 0 to {slots - 1} once")
    for slot, (score, reason) in by_slot.items():
        if reason is not None and not is_text(reason):
            raise ValueError(f"slot {slot}: reason {reason!r:.60} is not a text")
        if score is not None and (type(score) is not int or not 0 <= score <= 10):
            raise ValueError(f"slot {slot}: score {score!r:.20} is not an integer from 0 to 10")
    ordered = [by_slot[slot] for slot in range(slots)]
    return Scores([score for score, _ in ordered], [reason for _, reason in ordered])


def is_text(value: object) -> bool:
    """Whether a value of an answer is a string that UTF-8 can hold: no half of a character."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


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
