"""Which documents may leave for a judge."""

from collections.abc import Collection

from mira_spark.errors import MiraError
from mira_spark.judges.protocol import Request


class NotSendable(MiraError):
    """A document was about to leave that may not; nothing was sent."""


def check_sendable(request: Request, licenses: Collection[str]) -> None:
    """Raise NotSendable for a document that may not leave: flagged so, or of a licence outside
    the allow-list. An empty list allows all; with a list, a document without a licence stays."""
    if not request.sendable:
        raise NotSendable(f"document {request.doc_id}: sendable is false, it may not be sent")
    if licenses and request.license not in licenses:
        raise NotSendable(
            f"document {request.doc_id}: licence {request.license!r} is not in judge.licenses"
        )
