"""Never over: what a call may cost is reserved before it is sent and settled when it is known."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from mira_spark.errors import MiraError
from mira_spark.judges.calls.prices import NANOS, Usage, cost_nanos, most_nanos, nanos
from mira_spark.judges.protocol import Answer
from mira_spark.settings.judge import BudgetSettings, Caps, Price

_REMEDY = {
    "per_run": "run the step again to go on under a run's new cap, or raise it.",
    "per_day": "run the step again after midnight UTC, or raise the cap.",
    "per_source": "raise the cap, or leave the source out, and run the step again.",
}


class CapReached(MiraError):
    """The next call does not fit a cap and was not sent; the step can be resumed."""

    exit_code = 75


@dataclass(frozen=True)
class Spent:
    """What calls cost: billionths of a US dollar, and tokens of input and output together."""

    usd_nanos: int = 0
    tokens: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.usd_nanos + other.usd_nanos, self.tokens + other.tokens)

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(self.usd_nanos - other.usd_nanos, self.tokens - other.tokens)


@dataclass
class _Account:
    """What counts against the caps of one run, one day or one source."""

    scope: str
    caps: Caps
    spent: Spent
    source: str | None = None
    reserved: Spent = Spent()

    def passed(self, total: Spent) -> str | None:
        """The cap that this total is over, `usd` before `tokens`; None within both."""
        if self.caps.usd is not None and total.usd_nanos > nanos(self.caps.usd):
            return "usd"
        if self.caps.tokens is not None and total.tokens > self.caps.tokens:
            return "tokens"
        return None


@dataclass(frozen=True, eq=False)
class Reservation:
    """What one call in flight may cost at most: `most`, which is for so many `input_tokens` and
    `output_tokens` at this price. `output_limit` is what the call itself asks for, and may be
    less."""

    price: Price
    most: Spent
    input_tokens: int
    output_tokens: int
    output_limit: int
    accounts: tuple[_Account, ...]


@dataclass(frozen=True, eq=False)
class _Waiting:
    source: str
    input_tokens: int
    output_limit: int
    price: Price
    granted: asyncio.Future[Reservation | None]


def _refusal(account: _Account, cap: str, need: Spent) -> str:
    def shown(part: Spent) -> str:
        return f"{Decimal(part.usd_nanos) / NANOS if cap == 'usd' else Decimal(part.tokens):,f}"

    source = "" if account.source is None else f" for the source {account.source!r}"
    return (
        f"the cap judge.budget.{account.scope}.{cap} is reached{source}: of "
        f"{Decimal(getattr(account.caps, cap)):,f}, {shown(account.spent)} are spent and "
        f"{shown(account.reserved)} reserved for calls in flight; the next call may need "
        f"{shown(need)} and was not sent. What was answered is kept: {_REMEDY[account.scope]}"
    )


def utc_today() -> date:
    """The day that `per_day` counts on."""
    return datetime.now(UTC).date()


class Spending:
    """The caps of one run of one step, for callers on one event loop.

    `run`, `day` and `by_source` are what was spent before, `largest_output` the most output tokens
    that one call was ever billed. When a call is let go on, spent and reserved together are within
    every cap. A call that is billed more than it reserved can pass one; from then on every call
    reserves as much, so no more is lost than what the calls in flight are billed beyond their
    reservations.
    """

    def __init__(
        self,
        settings: BudgetSettings,
        price: Price,
        run: Spent = Spent(),
        day: Spent = Spent(),
        by_source: Mapping[str, Spent] | None = None,
        largest_output: int = 0,
        today: Callable[[], date] = utc_today,
    ) -> None:
        self._settings, self._price, self._today = settings, price, today
        self._run = _Account("per_run", settings.per_run, run)
        self._date, self._day = today(), _Account("per_day", settings.per_day, day)
        self._sources: dict[str, _Account] = {}
        self._spent_before = by_source or {}
        self._largest_output = defaultdict[int, int](lambda: largest_output)
        """The most that a call was billed, by the output limit of the call."""
        self._open: set[Reservation] = set()
        self._waiting: deque[_Waiting] = deque()
        self._refusal: str | None = None

    async def reserve(
        self, source: str, input_tokens: int, output_limit: int, price: Price | None = None
    ) -> Reservation:
        """Set aside what a call may cost at most, before it is sent: so much output, or the most
        that a call of this limit was billed; none where the limit is 0. `price` is that of another
        model than the one the caps were opened for.

        Waits, first come first served, while calls in flight may still leave room. Raises
        CapReached when it does not fit beside what is spent already; from then on every call,
        waiting or new, is refused.
        """
        granted: asyncio.Future[Reservation | None] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(source, input_tokens, output_limit, price or self._price, granted)
        if self._waiting:  # a call that can never fit does not wait for its turn to hear so
            needed = self._reservation(waiting)
            self._refuse_what_never_fits(needed.accounts, needed.most)
        self._waiting.append(waiting)
        self._serve()
        try:
            reservation = await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                self._serve()
            elif reservation := granted.result():
                self.release(reservation)
            raise
        if reservation is None:
            raise CapReached(self._refusal)
        return reservation

    def settle(self, reservation: Reservation, usage: Usage | Answer | None) -> int:
        """Put what was used in the reservation's place; returns its cost in billionths of a dollar.

        The whole reservation counts as used when usage is None (the answer was lost after it was
        sent) or has no input tokens (the provider did not say). ValueError when the reservation
        was settled or released before.
        """
        used = reservation.most
        if usage is not None and usage.input_tokens > 0:
            tokens = usage.input_tokens + usage.output_tokens
            used = Spent(cost_nanos(reservation.price, usage), tokens)
            # Some bill what they do not return, such as the tokens of reasoning.
            largest, limit = self._largest_output, reservation.output_limit
            largest[limit] = max(largest[limit], usage.output_tokens)
        self._close(reservation, used)
        return used.usd_nanos

    def release(self, reservation: Reservation) -> None:
        """Nothing was spent. ValueError when the reservation was settled or released before."""
        self._close(reservation, Spent())

    @property
    def reserved(self) -> Spent:
        """What calls in flight may still cost; nothing when none is."""
        return self._run.reserved

    @property
    def spent(self) -> Spent:
        """What this run has spent, with what it began with."""
        return self._run.spent

    def _accounts(self, source: str) -> tuple[_Account, ...]:
        """What a call counts against; a clock that is set back opens no day anew."""
        today = self._today()
        if today > self._date:
            self._date, self._day = today, _Account("per_day", self._settings.per_day, Spent())
        if source not in self._sources:
            spent = self._spent_before.get(source, Spent())
            caps = self._settings.per_source
            self._sources[source] = _Account("per_source", caps, spent, source)
        return self._run, self._day, self._sources[source]

    def _reservation(self, waiting: _Waiting) -> Reservation:
        """What the call would reserve now."""
        sent, limit, price = waiting.input_tokens, waiting.output_limit, waiting.price
        output = max(limit, self._largest_output[limit]) if limit else 0
        most = Spent(most_nanos(price, sent, output), sent + output)
        return Reservation(price, most, sent, output, limit, self._accounts(waiting.source))

    def _refuse_what_never_fits(self, accounts: Sequence[_Account], need: Spent) -> None:
        for account in accounts:
            cap = account.passed(account.spent + need)
            if cap is not None and self._refusal is None:
                self._refusal = _refusal(account, cap, need)

    def _serve(self) -> None:
        """Answer those who wait, in their order, up to the first that has to wait on."""
        while self._waiting:
            first = self._waiting[0]
            if not first.granted.done():  # else its caller was cancelled
                needed = self._reservation(first)
                accounts, need = needed.accounts, needed.most
                fits = not any(a.passed(a.spent + a.reserved + need) for a in accounts)
                if not fits:
                    self._refuse_what_never_fits(accounts, need)
                if self._refusal is not None:
                    first.granted.set_result(None)
                elif fits:
                    self._open.add(needed)
                    for account in accounts:
                        account.reserved += need
                    first.granted.set_result(needed)
                else:
                    return
            self._waiting.popleft()

    def _close(self, reservation: Reservation, used: Spent) -> None:
        if reservation not in self._open:
            raise ValueError("the reservation was settled or released before")
        self._open.remove(reservation)
        for account in reservation.accounts:
            account.reserved -= reservation.most
            account.spent += used
        self._serve()
