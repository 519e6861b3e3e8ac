"""What is asked of a judge and what comes back. Nothing here knows Spark or a provider."""

from dataclasses import dataclass
from typing import Literal, Protocol

Purpose = Literal["discover", "label", "repeat", "canary"]
Outcome = Literal["answered", "invalid", "refused", "truncated", "failed"]


@dataclass(frozen=True)
class Anchor:
    """One slot of a rubric: a dimension of quality with its name and one-sentence definition."""

    slot: int
    name: str
    definition: str


@dataclass(frozen=True)
class Request:
    """One question about one document.

    `document` is what the judge sees of it: at most three windows, joined by `prompts.WINDOW_MARK`.
    `anchors` is empty in discovery and the whole rubric, in slot order, in labelling.
    `messages` is the rendered prompt, (role, content) pairs, constant part first.
    """

    call_key: str
    purpose: Purpose
    doc_id: str
    source_group: str
    document: str
    anchors: tuple[Anchor, ...]
    messages: tuple[tuple[str, str], ...]
    replicate: int = 0


@dataclass(frozen=True)
class Answer:
    """What the judge said, before anything is read out of it.

    `raw_response` is the JSON text the judge returned: in discovery
    `{"dimensions": [{"name", "score", "reason"}]}`, in labelling
    `{"answers": [{"slot", "score", "reason"}]}` with score 0-10 or null (does not apply).
    """

    raw_response: str
    outcome: Outcome = "answered"
    reason: str | None = None
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    attempts: int = 1
    latency_ms: int = 0


class Judge(Protocol):
    """A judge of documents."""

    name: str
    """`provider:model`, as written to the ledger."""

    async def ask(self, request: Request) -> Answer:
        """The judge's answer; a failure of the judge is an answer with another outcome."""
        ...
