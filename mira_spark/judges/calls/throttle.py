"""What an answer or a failure says about the next call: how many at once, when, whether at all."""

import math
import re
from collections import deque
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from mira_spark.judges.refusals import remedy

AT_FIRST = 4
"""Calls at once at the start and after a pause. At most 5: no more may meet a refused key."""
_CUT = 0.8
CUT_EVERY_S = 15.0
GROWTH = 0.05
"""How much a round of successes adds to a limit that was cut."""
_WINDOW, LEAST = 40, 20
"""Outcomes the breaker looks back on, and how many it needs."""
PROBE_EVERY_S = 30.0
HOLDS_ALL = {429, 503, 529}
"""Where Retry-After speaks for the server, not for one question."""
REFUSED: dict[int | None, str] = {
    401: "401: the key is not accepted; check judge.secret",
    402: "402: the account is out of credit; check its payment",
    403: "403: the key may not be used for this; check its rights and judge.model",
}
REFUSED_IN_A_ROW = 5


def is_retryable(status: int | None) -> bool:
    """Whether the same call may succeed later; None stands for a connection that failed, 200 for
    a success that held no answer."""
    return status is None or status in {200, 408, 409, 425, 429} or 500 <= status <= 599


def retry_after_s(header: str | None, now: datetime) -> float:
    """Seconds to wait by a Retry-After header (RFC 9110, 10.2.3: seconds, or a date), 0 or more.

    0 where it is missing, past or unreadable.
    """
    text = (header or "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())


class Limit:
    """How many calls may run at once (AIMD): it doubles each round of successes up to where it was
    last cut, and grows slowly from there."""

    def __init__(self, most: int) -> None:
        self.value = float(min(AT_FIRST, most))
        self._most = self._doubles_to = float(most)
        self._cut_at, self._grown = -math.inf, False

    def grow(self, running: int) -> None:
        """After a success, unless most of the limit is unused: then it was not put to the test."""
        if 2 * running >= self.value:
            step = 1.0 if self.value < self._doubles_to else GROWTH
            self.value = min(self.value + step, self._most)
            self._grown = True

    def cut(self, now: float) -> None:
        """The server is asked too much. Said again within 15 s, or with no success since the start
        or a pause, it is no news (as in RFC 5681, 3.1, on a segment that is lost twice)."""
        if self._grown and now - self._cut_at >= CUT_EVERY_S:
            self.value = max(1.0, self.value * _CUT)
            self._doubles_to, self._cut_at = self.value, now

    def restart(self, running: int) -> None:
        """Lower the limit to the calls that still run, or to AT_FIRST where fewer do: all others
        would start at once when the pause ends."""
        self.value = min(self.value, max(float(AT_FIRST), float(running)))
        self._grown = False


class Breaker:
    """Open, since `since`, while the judge seems down: half of the last outcomes or more were
    failures (429 aside), or not one of many was an answer."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.probe_at = -math.inf
        self.in_a_row = 0
        self._failed: deque[bool] = deque(maxlen=_WINDOW)

    def succeeded(self) -> None:
        """An answer came; it closes an open breaker."""
        if self.since is not None:
            self._failed.clear()
        self.since, self.probe_at, self.in_a_row = None, -math.inf, 0
        self._failed.append(False)

    def failed(self, now: float, throttled: bool) -> None:
        """No answer came; `throttled`: the server was there but asked for less (429)."""
        self.in_a_row += 1
        if not throttled:
            self._failed.append(True)
        many = len(self._failed) >= LEAST and 2 * sum(self._failed) >= len(self._failed)
        if self.since is None and (many or self.in_a_row >= _WINDOW):
            self.since = now
        if self.since is not None:
            self.probe_at = now + PROBE_EVERY_S


class Throttle:
    """How many calls may run and from when on, by what became of those before."""

    def __init__(self, most: int, outage_s: float) -> None:
        self.limit, self.breaker = Limit(most), Breaker()
        self.probing = False
        """Kept by the caller: the last call that was made is to find out if the judge answers."""
        self._outage_s = outage_s
        self._held_until = -math.inf
        self._refused, self._paused = 0, False
        self._has_answered, self._alike = False, (0, 0)
        """The status that refused the last question for good, and how often in a row."""

    @property
    def cautious(self) -> bool:
        """Whether calls are made one at a time, as probes."""
        return self.breaker.since is not None or self._refused > 0

    @property
    def opens_at(self) -> float:
        """When the next call may be made; past where one may be made now."""
        return max(self._held_until, self.breaker.probe_at)

    def places(self, now: float, running: int) -> int:
        """How many calls may run at this moment, the running ones among them."""
        if now < self.opens_at:
            return 0
        if self.cautious:
            return 1
        if self._paused:
            self.limit.restart(running)
            self._paused = False
        return int(self.limit.value)

    def answered(self, running: int) -> None:
        """A call brought an answer. One that was sent before trouble began says nothing of now."""
        self._has_answered = True
        if self.cautious and not self.probing:
            return
        self._refused = 0
        self.breaker.succeeded()
        self.limit.grow(running)

    def failed(
        self,
        status: int | None,
        retry_after: float,
        backoff: float,
        now: float,
        scarce: bool,
        said: str = "",
    ) -> str | None:
        """A call brought none, as `said`; returns why no other should be made, or None.

        Everyone waits for a Retry-After. A 429 without one makes everyone wait for its own
        `backoff` when it follows another failure, or when retries are `scarce`.
        """
        if self.breaker.since is None or self.probing:
            self.breaker.failed(now, throttled=status == 429)
        pressed = status == 429 and (scarce or self.breaker.in_a_row > 1)
        held = pressed or (status in HOLDS_ALL and retry_after > 0)
        if held:
            self._held_until = max(self._held_until, now + (retry_after or backoff))
        if held or self.breaker.since == now:
            self._paused = True
        if held or self.breaker.since == now or status == 429:
            self.limit.cut(now)
        if status in REFUSED:
            self._refused += 1
            if self._refused >= REFUSED_IN_A_ROW:
                return f"{self._refused} calls in a row were refused, HTTP {REFUSED[status]}"
        elif status is not None and not is_retryable(status) and not self._has_answered:
            # Before any answer it is what every call is sent that the server does not take; later
            # it is what is particular to one document, such as its length.
            refused_before = self._alike[1] if self._alike[0] == status else 0
            self._alike = (status, refused_before + 1)
            if self._alike[1] >= REFUSED_IN_A_ROW:
                n = self._alike[1]
                return f"the first calls were refused, {n} in a row with {said}; {remedy(said)}"
        if self.breaker.since is not None and now - self.breaker.since > self._outage_s:
            last = f"HTTP {status}" if status else "no connection"
            return f"no answer for {now - self.breaker.since:.0f} s, the last failure: {last}"
        return None
