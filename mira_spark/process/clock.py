"""Time that does not go back when somebody sets the machine's clock."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def steady_clock(after: datetime | None = None) -> Callable[[], datetime]:
    """A clock of UTC that starts at the wall clock's time, or just after `after` where that is
    later, and goes on by the monotonic clock: what it says orders what it is written to.
    """
    start = datetime.now(UTC)
    if after is not None:
        start = max(start, after + timedelta(microseconds=1))
    since = time.monotonic()
    return lambda: start + timedelta(seconds=time.monotonic() - since)
