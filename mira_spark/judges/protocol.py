"""What is asked of a judge and what comes back. Nothing here knows Spark or a provider."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from mira_spark.corpus.parts import DocumentPart
from mira_spark.lake.scale import WEIGHT

Purpose = Literal[
    "discover", "merge", "pilot", "label", "repeat", "reversed", "spoilt", "canary", "embed"
]
CallOutcome = Literal["answered", "invalid", "refused", "truncated", "too_long", "failed"]
UNREADABLE_OUTCOMES: tuple[CallOutcome, ...] = ("invalid", "refused", "truncated")
"""The outcomes of answers that came and cannot be used."""


@dataclass(frozen=True)
class Anchor:
    """One slot of a rubric: a dimension of quality with its name and one-sentence definition.

    `weight`, in thousandths, is what it counts in a verdict; no judge is shown it. `part` is the
    part of a document that it is about; None: the whole.
    """

    slot: int
    name: str
    definition: str
    weight: int = WEIGHT
    part: DocumentPart | None = None


@dataclass(frozen=True)
class Request:
    """One question about one document; for the purpose `merge` that is a list of dimensions.

    `document` is what the judge sees of it, normalised (`defence.normalised`): at most three
    windows, joined by `excerpts.EXCERPT_MARK`. `rubric_id` is the `Rubric.anchors_id` of the rubric
    asked about, None in discovery and merges. `code` is the document's boundary, which the answer
    must repeat.
    `anchors` is empty in discovery and the whole rubric in labelling, in the order shown; in a
    merge it is the list of dimensions.
    `messages` is the rendered prompt, (role, content) pairs, constant part first.
    `sendable` and `license` are the document's own, checked again before anything leaves.
    `cut_to` is the length in characters to which each window is cut where the prompt is too long
    for the judge; 0: the document is never shown shorter.
    """

    call_key: str
    purpose: Purpose
    doc_id: str
    source_group: str
    document: str
    anchors: tuple[Anchor, ...]
    messages: tuple[tuple[str, str], ...]
    replicate: int = 0
    source: str = ""
    rubric_id: str | None = None
    code: str = ""
    sendable: bool = True
    license: str | None = None
    cut_to: int = 0

    @property
    def can_be_cut(self) -> bool:
        """Whether a shorter excerpt of the document can be asked about."""
        return 0 < 3 * self.cut_to < len(self.document)


@dataclass(frozen=True)
class Answer:
    """What came back for a request.

    `raw_response` is the body as it came: a provider's envelope, or the judge's JSON text alone
    (`reading.content` takes the text out of either); null when nothing came. A judge fills it, the
    usage, `latency_ms` and `model`; desk and ledger fill the rest. `attempts` counts the requests
    sent, `cost_nanos` is their price in billionths of a US dollar.
    """

    raw_response: str | None
    outcome: CallOutcome = "answered"
    reason: str | None = None
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    attempts: int = 1
    latency_ms: int = 0
    model: str = ""
    cost_nanos: int = 0


class CallFailed(Exception):
    """One attempt that brought no answer.

    `status` is the HTTP status, None when the connection broke or timed out. `retry_after` is the
    header as it came. `lost` says that the provider may have worked, and may bill, all the same.
    The message never holds a key, a header or the prompt.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        retry_after: str | None = None,
        lost: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.lost = lost


class PromptTooLong(CallFailed):
    """The server takes no prompt of this length: it neither worked nor bills."""


class Judge(Protocol):
    """A judge of documents."""

    name: str
    """`provider:model`, as written to `judge_calls`."""

    identity: Mapping[str, object]
    """What of the judge can change an answer: provider, host, model, sampling; JSON values."""

    @property
    def max_output_tokens(self) -> int | None:
        """The most an answer may take; what a call reserves. None where nothing is billed."""

    async def ask(self, request: Request) -> Answer:
        """One attempt. Raises CallFailed when no answer came; waits and retries are not its own."""
        ...

    async def close(self) -> None:
        """Let go of connections and threads."""
        ...
