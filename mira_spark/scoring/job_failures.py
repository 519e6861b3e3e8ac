"""What a Spark job that failed says, as one of our errors."""

import re

from mira_spark import errors
from mira_spark.errors import MiraError, OutageError

_OURS = re.compile(r"\bmira_spark\.errors\.(?P<name>\w+): (?P<message>[^\n]*)")
_OUTAGE = re.compile(
    r"[^\n]*(?:No space left on device|Disk quota exceeded|Input/output error"
    r"|Read-only file system|Cannot allocate memory|OutOfMemoryError|ExecutorLostFailure"
    r"|Python worker exited unexpectedly|Python worker failed to connect back)[^\n]*"
)


def as_our_error(failure: Exception) -> MiraError | None:
    """The error of ours that a task raised, or OutageError where a disk, a memory or a worker
    failed; None where it says neither."""
    text = str(failure)
    if ours := _OURS.search(text):
        kind = errors.error_class(ours["name"])
        return kind(ours["message"].strip()) if kind else None
    if outage := _OUTAGE.search(text):
        return OutageError(" ".join(outage[0].split())[:300])
    return None
