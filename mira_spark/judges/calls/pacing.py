"""The only retry loop of judges: how many calls run at once, when one is tried again, and when to
stop."""

import asyncio
import heapq
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import TypeVar

from mira_spark.errors import JudgeError
from mira_spark.judges.calls.throttle import Throttle, is_retryable, retry_after_s
from mira_spark.judges.protocol import CallFailed, PromptTooLong
from mira_spark.settings.judge import PacingSettings

FREE_RETRIES = 10
"""So that the first failures of a run may be tried again."""
IDLE_S = 5.0
"""How long retries that nobody paid for wait for first calls when none is made."""
_TOO_LATE = "no time is left for another attempt"
_TOO_MANY = "too many calls fail to try each again"

_T = TypeVar("_T")


class GaveUp(Exception):
    """One question failed for good, after `attempts` calls; the others go on."""

    def __init__(self, message: str, attempts: int) -> None:
        super().__init__(message)
        self.attempts = attempts


class JudgeUnavailable(JudgeError):
    """No call is made any more; what was answered is kept and the step can be resumed."""


@dataclass(order=True)
class _Turn:
    """Someone's wait for a call; `given` becomes None, or why there will be no call."""

    due: float
    number: int
    deadline: float = field(compare=False)
    given: "asyncio.Future[str | None]" = field(compare=False)


def _refuse(turn: _Turn, reason: str) -> None:
    if not turn.given.done():
        turn.given.set_result(reason)


def _time() -> float:
    return asyncio.get_running_loop().time()


def utc_now() -> datetime:
    """The wall clock by which a Retry-After date is read."""
    return datetime.now(UTC)


class Pacer:
    """Paces all calls to one judge, on one event loop, whose clock is the only one waited by.

    Whoever waits does so in one of three queues: for a first call, for the end of a pause between
    tries (`_resting`, a heap), or for another try (`_due`). `_admit` alone lets them go on.
    """

    def __init__(
        self, settings: PacingSettings, rng: random.Random, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._settings, self._rng, self._now = settings, rng, now
        self._throttle = Throttle(settings.in_flight, settings.seconds)
        self._new: deque[_Turn] = deque()
        self._resting: list[_Turn] = []
        self._due: deque[_Turn] = deque()
        self._number = count()
        self._running = self._first_calls = self._retries = 0
        self._idle_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._over: str | None = None

    async def call(self, attempt: Callable[[], Awaitable[_T]]) -> tuple[_T, int]:
        """The attempt's result and how many attempts it took.

        `attempt` is called only when a call may be made, raises CallFailed when it brought no
        answer; PromptTooLong and any other exception passes through. Raises GaveUp when this
        question failed for good, JudgeUnavailable when no question will be asked any more.
        """
        n, due, deadline, reason = 0, 0.0, math.inf, ""
        while True:
            refusal = await self._turn(n, due, deadline)
            if refusal is not None:
                raise GaveUp(f"{reason} ({refusal})", n)
            n += 1
            if n == 1:
                deadline = _time() + self._settings.seconds
            try:
                result = await attempt()
                self._throttle.answered(self._running)
                return result, n
            except PromptTooLong:
                raise  # it says nothing of the server's health
            except CallFailed as failure:
                reason, due = str(failure), self._retry_time(failure, n, deadline)
            finally:
                self._leave()

    def stop(self, reason: str) -> None:
        """Start no further attempt: whoever waits, or calls from now on, gets JudgeUnavailable
        with this reason at once; attempts that run go on to their end."""
        self._over = self._over or reason
        for turn in (*self._new, *self._resting, *self._due):
            _refuse(turn, reason)
        self._new.clear()
        self._resting.clear()
        self._due.clear()

    async def _turn(self, attempts: int, due: float, deadline: float) -> str | None:
        """Wait until the next attempt may be made; returns why there will be none, or None."""
        if self._over is not None:
            raise JudgeUnavailable(self._over)
        given: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        turn = _Turn(due, next(self._number), deadline, given)
        if attempts == 0:
            self._new.append(turn)
        else:
            heapq.heappush(self._resting, turn)
        self._admit()
        try:
            refusal = await given
        except asyncio.CancelledError:
            self._withdraw(turn)
            raise
        if self._over is not None:
            raise JudgeUnavailable(self._over)
        return refusal

    def _withdraw(self, turn: _Turn) -> None:
        """Its caller was cancelled, perhaps in the very moment it was let go on."""
        if not turn.given.cancelled():
            if turn.given.result() is None:
                self._leave()
            return
        for queue in (self._new, self._due, self._resting):
            if turn in queue:
                queue.remove(turn)
        heapq.heapify(self._resting)
        self._admit()

    def _leave(self) -> None:
        self._running -= 1
        self._admit()

    def _retry_time(self, failure: CallFailed, n: int, deadline: float) -> float:
        """When to try again; raises GaveUp or JudgeUnavailable where not."""
        settings, status, now = self._settings, failure.status, _time()
        asked = min(retry_after_s(failure.retry_after, self._now()), settings.retry_after_cap_s)
        backoff = self._rng.uniform(0, min(settings.cap_s, settings.base_s * 2.0 ** (n - 1)))
        is_scarce = self._paid < 1
        end = self._throttle.failed(status, asked, backoff, now, is_scarce, str(failure))
        if end is not None:
            self.stop(end)
        if self._over is not None:
            raise JudgeUnavailable(self._over)
        due = now + max(asked, backoff)
        if not is_retryable(status):
            raise GaveUp(str(failure), n)
        if n == settings.attempts:
            raise GaveUp(f"{failure} (attempt {n} of {n})", n)
        if len(self._resting) + len(self._due) - self._paid >= max(1, settings.in_flight // 2):
            raise GaveUp(f"{failure} ({_TOO_MANY})", n)
        if due > deadline:
            raise GaveUp(f"{failure} ({_TOO_LATE})", n)
        return due

    @property
    def _paid(self) -> float:
        """How many more retries the first calls made so far allow."""
        return FREE_RETRIES + self._settings.retry_share * self._first_calls - self._retries

    def _admit(self) -> None:
        """Let go on who may; come back when time alone changes that."""
        now, throttle = _time(), self._throttle
        while self._resting and self._resting[0].due <= now:
            self._due.append(heapq.heappop(self._resting))
        while (turn := self._next(now)) is not None:
            self._running += 1
            throttle.probing = throttle.cautious
            turn.given.set_result(None)
        if now < throttle.opens_at:
            self._wake_at(throttle.opens_at)
            return
        if self._resting:
            self._wake_at(self._resting[0].due)
        self._give_up_unpaid(now)

    def _next(self, now: float) -> _Turn | None:
        """Who goes on now. Retries come first, as far as first calls have paid for them. Questions
        between two tries keep their places, up to half of all, so that failures slow a run down."""
        for waits in (self._new, self._due):
            while waits and (waits[0].deadline < now or waits[0].given.cancelled()):
                _refuse(waits.popleft(), _TOO_LATE)
        places, running = self._throttle.places(now, self._running), self._running
        waiting = len(self._resting) + len(self._due)
        if running >= places:
            return None
        queue: deque[_Turn] = deque()
        if self._throttle.cautious:
            queue = self._new or self._due
        elif self._due and self._paid >= 1:
            queue = self._due
        elif running < places // 2 or running + waiting < places:
            queue = self._new
        if not queue:
            return None
        if queue is self._new:
            self._first_calls += 1
        else:
            self._retries += 1
        return queue.popleft()

    def _give_up_unpaid(self, now: float) -> None:
        """When no call runs that could pay for the retries that are due, and none comes soon."""
        if self._running or not self._due:
            self._idle_since = None
            return
        self._idle_since = now if self._idle_since is None else self._idle_since
        if now < self._idle_since + IDLE_S:
            self._wake_at(self._idle_since + IDLE_S)
            return
        for turn in self._due:
            _refuse(turn, _TOO_MANY)
        self._due.clear()
        self._admit()

    def _wake_at(self, when: float) -> None:
        if self._timer is not None and self._timer.when() <= when:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._admit()
