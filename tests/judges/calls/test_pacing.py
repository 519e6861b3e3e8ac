"""The retry loop, on a loop whose clock jumps to whatever comes next: no test waits."""

import asyncio
import random
import selectors
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, TypeVar

import pytest

from mira_spark.judges.calls.pacing import FREE_RETRIES, IDLE_S, GaveUp, JudgeUnavailable, Pacer
from mira_spark.judges.calls.throttle import AT_FIRST
from mira_spark.judges.protocol import CallFailed
from mira_spark.settings.judge import PacingSettings

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only when everyone waits, and then at once."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(JumpingSelector(self))

    def time(self) -> float:
        return self.now


class JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everyone waits for ever")
        if not ready:
            self.loop.now += timeout or 0
        return ready


def run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def time() -> float:
    return asyncio.get_running_loop().time()


def pacer(seed: int = 0, **settings: Any) -> Pacer:
    return Pacer(PacingSettings(**settings), random.Random(seed))


@dataclass
class Server:
    """Answers after 1 to 3 s, unless `fault` gives a failure, which comes after 0.05 s."""

    fault: Callable[["Server"], CallFailed | None] = lambda server: None
    seconds: tuple[float, float] = (1.0, 3.0)
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    starts: list[float] = field(default_factory=list)
    failures: list[float] = field(default_factory=list)
    running: int = 0
    peak: int = 0

    async def ask(self) -> str:
        self.starts.append(time())
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            failure = self.fault(self)
            await asyncio.sleep(self.rng.uniform(*self.seconds) if failure is None else 0.05)
        finally:
            self.running -= 1
        if failure is not None:
            self.failures.append(time())
            raise failure
        return "answer"

    def rate(self, begin: float, end: float) -> float:
        return sum(begin <= start < end for start in self.starts) / (end - begin)


async def ask_all(
    pacer: Pacer, ask: Callable[[], Awaitable[str]], items: int, width: int
) -> Counter[str]:
    """How the items ended, `width` at a time, up to the first that finds the judge unavailable."""
    left: Iterator[int] = iter(range(items))
    ends: Counter[str] = Counter()

    async def work() -> None:
        for _ in left:
            try:
                ends[(await pacer.call(ask))[0]] += 1
            except GaveUp:
                ends["gave up"] += 1
            except JudgeUnavailable as error:
                ends[str(error)] += 1
                return

    await asyncio.gather(*(work() for _ in range(width)))
    return ends


def failing(*failures: CallFailed | None) -> tuple[Callable[[], Awaitable[str]], list[float]]:
    """An attempt that fails so, one after the other, and then answers; when it was made."""
    left, made = list(failures), []

    async def attempt() -> str:
        made.append(time())
        failure = left.pop(0) if left else None
        if failure is not None:
            raise failure
        return "answer"

    return attempt, made


def always(status: int | None, retry_after: str | None = None) -> Callable[[Server], CallFailed]:
    return lambda server: CallFailed(f"HTTP {status}", status, retry_after)


class Longest(random.Random):
    """Draws the longest wait there is."""

    def uniform(self, a: float, b: float) -> float:
        return b


# One question


@pytest.mark.parametrize("status", [None, 408, 409, 425, 429, 500, 502, 503, 504, 529, 599])
def test_what_may_pass_is_tried_again(status: int | None) -> None:
    attempt, made = failing(CallFailed("no", status), CallFailed("no", status))
    assert run(pacer().call(attempt)) == ("answer", 3)
    assert len(made) == 3


@pytest.mark.parametrize("status", [300, 400, 401, 402, 403, 404, 405, 410, 413, 422])
def test_what_cannot_pass_is_asked_once(status: int) -> None:
    attempt, made = failing(CallFailed("what is wrong", status))
    with pytest.raises(GaveUp, match="what is wrong") as gave_up:
        run(pacer().call(attempt))
    assert (len(made), gave_up.value.attempts) == (1, 1)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_every_question_that_cannot_pass_is_asked_once(status: int) -> None:
    refusal = CallFailed(f"HTTP {status}", status)
    server = Server(lambda server: refusal if len(server.starts) > 1 else None, (0, 0))
    ends = run(ask_all(pacer(), server.ask, items=15, width=15))
    assert ends == {"answer": 1, "gave up": 14}
    assert len(server.starts) == 15


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_questions_that_cannot_pass_from_the_first_on_end_it(status: int) -> None:
    server = Server(always(status))
    ends = run(ask_all(pacer(), server.ask, items=500, width=50))
    reason = (
        f"the first calls were refused, 5 in a row with HTTP {status}; "
        "check judge.url, judge.model and judge.parameters"
    )
    assert set(ends) == {"gave up", reason}
    assert len(server.starts) <= 5 + AT_FIRST


def test_after_the_last_attempt_a_question_is_given_up() -> None:
    attempt, made = failing(*[CallFailed("busy", 500)] * 9)
    with pytest.raises(GaveUp, match=r"busy .attempt 6 of 6") as gave_up:
        run(pacer().call(attempt))
    assert (len(made), gave_up.value.attempts) == (6, 6)


def test_waits_double_up_to_their_cap() -> None:
    async def main() -> list[float]:
        attempt, made = failing(*[CallFailed("busy", 500)] * 6)
        await Pacer(PacingSettings(attempts=7, cap_s=10), Longest()).call(attempt)
        return made

    made = run(main())
    assert [b - a for a, b in pairwise(made)] == pytest.approx([1, 2, 4, 8, 10, 10])


def test_waits_are_drawn_from_the_whole_range() -> None:
    async def main() -> list[float]:
        waits = []
        for seed in range(400):
            attempt, made = failing(CallFailed("busy", 500))
            await pacer(seed).call(attempt)
            waits.append(made[1] - made[0])
        return waits

    waits = run(main())
    assert 0 <= min(waits) < 0.05
    assert 0.95 < max(waits) <= 1
    assert sum(waits) / 400 == pytest.approx(0.5, abs=0.05)


def test_no_attempt_begins_after_its_time() -> None:
    async def main() -> None:
        attempt, made = failing(*[CallFailed("busy", 500, retry_after="100")] * 9)
        with pytest.raises(GaveUp, match="no time is left"):
            await pacer(seconds=250).call(attempt)
        assert made == pytest.approx([0, 100, 200])
        assert time() == pytest.approx(200)

    run(main())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("20", 20),
        ("2.5", 2.5),
        ("Sat, 22 Nov 2025 12:00:30 GMT", 30),
        ("86400", 600),
        ("9" * 400, 600),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 600),
        ("-20", 0),
        ("Sat, 22 Nov 2025 11:00:00 GMT", 0),
        ("later", 0),
        (None, 0),
    ],
)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_the_server_s_wait_is_kept(header: str | None, seconds: float, status: int) -> None:
    async def main() -> None:
        attempt, made = failing(CallFailed("busy", status, header))
        settings = PacingSettings(base_s=0.001)
        now = datetime(2025, 11, 22, 12, tzinfo=UTC)
        await Pacer(settings, random.Random(0), now=lambda: now).call(attempt)
        assert made[1] - made[0] == pytest.approx(seconds, abs=0.002)
        assert made[1] - made[0] >= seconds

    run(main())


def test_the_longer_of_both_waits_counts() -> None:
    attempt, made = failing(CallFailed("busy", 500, "0.25"))
    run(Pacer(PacingSettings(), Longest()).call(attempt))
    assert made[1] - made[0] == pytest.approx(1)


def test_other_exceptions_pass_and_free_their_place() -> None:
    async def main() -> None:
        paced = pacer(in_flight=1)

        async def defect() -> str:
            raise KeyError("a defect")

        for _ in range(3):
            with pytest.raises(KeyError):
                await paced.call(defect)
        assert await paced.call(failing()[0]) == ("answer", 1)

    run(main())


# Refused keys


@pytest.mark.parametrize(("status", "hint"), [(401, "secret"), (402, "payment"), (403, "rights")])
@pytest.mark.parametrize("in_flight", [1, 64, 256])
def test_a_refused_key_ends_the_run_within_five_calls(
    status: int, hint: str, in_flight: int
) -> None:
    server = Server(always(status))
    ends = run(ask_all(pacer(in_flight=in_flight), server.ask, items=1_000, width=256))
    assert len(server.starts) == 5
    assert ends["gave up"] == 4
    ((message, count),) = [end for end in ends.items() if end[0] != "gave up"]
    assert count == 256
    assert str(status) in message
    assert hint in message


def test_a_refused_key_ends_the_run_within_five_calls_when_refusals_are_slow() -> None:
    delays = iter([0.1, 5.0, 60.0, 90.0, 0.1, 0.1, 0.1, 0.1])
    made: list[float] = []

    async def attempt() -> str:
        made.append(time())
        await asyncio.sleep(next(delays))
        raise CallFailed("no", 401)

    run(ask_all(pacer(in_flight=256), attempt, items=1_000, width=256))
    assert len(made) == 5


def test_credit_that_ends_in_the_middle_costs_four_calls_more_than_are_in_flight() -> None:
    server = Server(lambda s: CallFailed("no", 402) if time() >= 60 else None)
    run(ask_all(pacer(in_flight=64), server.ask, items=10_000, width=64))
    first = min(server.failures)
    assert sum(start > first for start in server.starts) <= 4
    assert max(server.starts) < 70


def test_a_single_refusal_stops_nothing() -> None:
    server = Server(lambda s: CallFailed("no", 403) if len(s.starts) % 40 == 0 else None)
    ends = run(ask_all(pacer(), server.ask, items=400, width=64))
    assert ends == {"answer": 390, "gave up": 10}


# How many at once


def test_all_places_are_taken_within_half_a_minute_and_kept() -> None:
    async def main() -> float:
        await ask_all(pacer(in_flight=256), server.ask, items=50_000, width=256)
        return time()

    server = Server()
    ideal = 50_000 / 128
    assert ideal / run(main()) >= 0.95
    assert server.peak == 256
    assert server.rate(30, 60) >= 0.97 * 128
    assert sum(start < 0.5 for start in server.starts) == AT_FIRST


@pytest.mark.parametrize("retry_after", [None, "1"])
@pytest.mark.parametrize("places", [16, 100])
def test_a_server_with_fewer_places_is_used_well_and_not_pestered(
    places: int, retry_after: str | None
) -> None:
    async def main() -> tuple[Counter[str], float]:
        return await ask_all(pacer(in_flight=256), server.ask, items=4_000, width=256), time()

    full = CallFailed("busy", 429, retry_after)
    # the server counts the calls it refuses, too, for their 0.05 s
    server = Server(lambda s: full if s.running > places else None)
    ends, seconds = run(main())
    assert ends == {"answer": 4_000}
    assert 4_000 / seconds >= 0.7 * places / 2
    assert len(server.failures) <= 0.06 * 4_000


def test_a_rate_limit_of_fast_answers_is_kept_to() -> None:
    """Eight answers a second, each in 0.1 s: less than one place is enough."""
    level, filled = 8.0, 0.0

    def fault(server: Server) -> CallFailed | None:
        nonlocal level, filled
        level, filled = min(8.0, level + 8 * (time() - filled)), time()
        if level < 1:
            return CallFailed("slow down", 429)
        level -= 1
        return None

    server = Server(fault, seconds=(0.05, 0.15))
    ends = run(ask_all(pacer(), server.ask, items=1_000, width=64))
    assert ends["answer"] >= 990
    assert len(server.failures) <= 0.1 * 1_000 + FREE_RETRIES + 5


def test_never_more_at_once_than_was_set() -> None:
    for in_flight in (1, 2, 3, 7):
        server = Server(lambda s: CallFailed("no", 500) if s.rng.random() < 0.1 else None)
        run(ask_all(pacer(in_flight=in_flight), server.ask, items=200, width=50))
        assert server.peak == in_flight


# Outages


@dataclass
class Outage(Server):
    """From 60 to 120 s every call fails; with `drops` those in flight at 60 s, too."""

    status: int | None = 503
    retry_after: str | None = "20"
    drops: bool = False

    def __post_init__(self) -> None:
        down = CallFailed("down", self.status, self.retry_after)
        self.fault = lambda server: down if 60 <= time() < 120 else None

    async def ask(self) -> str:
        begun = time()
        asking = asyncio.create_task(super().ask())
        if begun < 60 and self.drops:
            await asyncio.wait({asking}, timeout=60 - begun)
            if not asking.done():
                asking.cancel()
                self.failures.append(time())
                raise CallFailed("down", self.status, self.retry_after)
        return await asking


def through_an_outage(server: Outage, in_flight: int) -> Counter[str]:
    items = in_flight * 110  # 220 s of steady work
    return run(ask_all(pacer(in_flight=in_flight), server.ask, items=items, width=in_flight))


@pytest.mark.parametrize("in_flight", [64, pytest.param(256, marks=pytest.mark.long)])
@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("status", [429, 503, 529])
def test_an_outage_with_retry_after(status: int, drops: bool, in_flight: int) -> None:
    server = Outage(status=status, drops=drops)
    ends = through_an_outage(server, in_flight)
    assert ends == {"answer": in_flight * 110}, "the outage costs no answer"

    failures = sorted(server.failures)
    too_early = [s for s in server.starts for f in failures if f < s < f + 20 - 1e-6]
    assert too_early == []
    assert sum(60 <= start < 120 for start in server.starts) <= 40
    assert_gentle_recovery(server, in_flight)


@pytest.mark.parametrize("in_flight", [64, pytest.param(256, marks=pytest.mark.long)])
@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("status", [None, 500, 503])
def test_an_outage_that_says_nothing_opens_the_breaker_within_40_calls(
    status: int | None, drops: bool, in_flight: int
) -> None:
    server = Outage(status=status, retry_after=None, drops=drops)
    ends = through_an_outage(server, in_flight)
    assert ends == {"answer": in_flight * 110}
    during = [start for start in server.starts if 60 <= start < 120]
    assert len(during) <= 40
    assert sum(start > 65 for start in during) <= 2, "one probe in 30 s"
    assert_gentle_recovery(server, in_flight)


def assert_gentle_recovery(server: Server, in_flight: int) -> None:
    steady = server.rate(30, 60)
    seconds = [server.rate(s, s + 1) for s in range(120, 180)]
    assert sum(seconds[:2]) <= 3 * AT_FIRST
    assert max(server.rate(s, s + 5) for s in range(120, 220)) <= 1.2 * steady
    assert server.rate(160, 200) >= 0.9 * steady
    assert server.peak <= in_flight


@pytest.mark.parametrize("status", [None, 429, 503])
def test_an_outage_that_does_not_end_stops_the_run_after_15_minutes(status: int | None) -> None:
    async def main() -> tuple[Counter[str], float]:
        return await ask_all(pacer(), server.ask, items=10_000, width=64), time()

    server = Server(always(status))
    ends, seconds = run(main())
    assert 900 <= seconds <= 960
    assert len(server.starts) <= 80
    assert sum(count for end, count in ends.items() if "no answer for" in end) == 64


def test_a_breaker_that_opened_says_nothing_of_the_next_outage() -> None:
    server = Server(lambda s: CallFailed("no", 500) if time() % 600 < 60 else None)
    ends = run(ask_all(pacer(in_flight=16), server.ask, items=20_000, width=16))
    assert ends["answer"] + ends["gave up"] == 20_000
    assert ends["gave up"] <= 20


# Retries


@pytest.mark.parametrize(("share", "fails"), [(0.1, 0.3), (0.1, 0.15), (0.02, 0.1)])
def test_retries_are_a_tenth_of_the_calls_whatever_fails(share: float, fails: float) -> None:
    server = Server(lambda s: CallFailed("no", 500) if s.rng.random() < fails else None)
    items = 3_000
    ends = run(ask_all(pacer(retry_share=share), server.ask, items=items, width=64))
    assert set(ends) == {"answer", "gave up"}
    assert ends.total() == items
    retries = len(server.starts) - items
    # an open breaker is probed whether or not the retry was paid for
    assert share * items * 0.9 <= retries <= share * items + FREE_RETRIES + 1


def test_rare_failures_cost_no_answer() -> None:
    server = Server(lambda s: CallFailed("no", None) if s.rng.random() < 0.05 else None)
    ends = run(ask_all(pacer(), server.ask, items=5_000, width=64))
    assert ends == {"answer": 5_000}


def test_retries_that_nobody_pays_for_are_given_up_soon() -> None:
    async def main() -> None:
        server = Server(lambda s: CallFailed("no", 500) if len(s.starts) % 4 == 0 else None)
        ends = await ask_all(pacer(retry_share=0), server.ask, items=120, width=60)
        assert ends.total() == 120
        assert ends["gave up"] >= 15
        assert len(server.starts) == 120 + FREE_RETRIES
        assert max(server.starts) < time() <= max(server.starts) + IDLE_S + 3

    run(main())


def test_an_unpaid_retry_waits_for_first_calls_from_the_last_one_on() -> None:
    async def main() -> None:
        paced = pacer(retry_share=0, attempts=FREE_RETRIES + 2, cap_s=1)
        attempt, made = failing(*[CallFailed("no", 500, "1")] * 99)
        unpaid = asyncio.create_task(paced.call(attempt))
        while len(made) <= FREE_RETRIES:
            await asyncio.sleep(1)
        begun = time()
        await asyncio.sleep(IDLE_S - 2)
        assert not unpaid.done()
        await paced.call(Server(seconds=(10, 10)).ask)
        with pytest.raises(GaveUp, match="too many") as gave_up:
            await unpaid
        assert gave_up.value.attempts == len(made) == FREE_RETRIES + 1
        assert time() - begun == pytest.approx(IDLE_S - 2 + 10 + IDLE_S, abs=1)

    run(main())


def test_an_unpaid_retry_is_given_up_when_its_time_is_over() -> None:
    async def main() -> None:
        paced = pacer(retry_share=0, attempts=FREE_RETRIES + 2, cap_s=1, seconds=100)
        attempt, made = failing(*[CallFailed("no", 500, "1")] * 99)
        unpaid = asyncio.create_task(paced.call(attempt))
        others = asyncio.create_task(ask_all(paced, Server().ask, items=200, width=2))
        with pytest.raises(GaveUp, match="no time is left"):
            await unpaid
        assert time() == pytest.approx(102, abs=2)
        assert len(made) == FREE_RETRIES + 1
        assert await others == {"answer": 200}

    run(main())


def test_a_long_wait_of_one_question_does_not_delay_another() -> None:
    async def main() -> None:
        paced = pacer()
        long_wait, _ = failing(CallFailed("no", 500, "300"))
        short_wait, made = failing(CallFailed("no", 500, "2"))
        calls = asyncio.gather(paced.call(long_wait), paced.call(short_wait))
        assert list(await calls) == [("answer", 2), ("answer", 2)]
        assert made == pytest.approx([0, 2])

    run(main())


def test_failures_do_not_stop_first_calls() -> None:
    """Half the places are for calls, however many questions wait for another try."""

    async def main() -> float:
        ends = await ask_all(pacer(in_flight=64), server.ask, items=4_000, width=64)
        assert ends.total() == 4_000
        return time()

    server = Server(lambda s: CallFailed("no", 500) if s.rng.random() < 0.15 else None)
    assert run(main()) <= 3 * 4_000 / 32


# The end of it


def test_a_stop_reaches_all_who_wait_at_once_and_none_who_is_under_way() -> None:
    async def main() -> None:
        paced = pacer(in_flight=8)
        server = Server(seconds=(10, 10))
        resting, made = failing(*[CallFailed("busy", 500, "500")] * 3)
        calls = [asyncio.create_task(paced.call(ask)) for ask in [resting, *[server.ask] * 20]]
        await asyncio.sleep(5)
        calls.pop().cancel()
        paced.stop("the budget is spent")
        paced.stop("something else")
        for _ in range(9):
            with pytest.raises(JudgeUnavailable):
                await paced.call(server.ask)
        done, _ = await asyncio.wait(calls, timeout=0)
        assert len(done) == 20 - server.running
        assert {str(call.exception()) for call in done} == {"the budget is spent"}
        assert time() == pytest.approx(5)
        under_way = [call for call in calls if call not in done]
        assert await asyncio.gather(*under_way) == [("answer", 1)] * 3
        assert (len(made), len(server.starts)) == (1, 3)

    run(main())


def test_a_failure_after_the_stop_is_not_tried_again() -> None:
    async def main() -> None:
        paced = pacer()
        server = Server(always(500))
        call = asyncio.create_task(paced.call(server.ask))
        await asyncio.sleep(0.01)
        paced.stop("enough")
        with pytest.raises(JudgeUnavailable, match="enough"):
            await call
        assert len(server.starts) == 1

    run(main())


def test_a_place_kept_for_another_try_is_free_when_its_question_is_cancelled() -> None:
    async def main() -> None:
        paced = pacer(in_flight=1)
        resting = asyncio.create_task(paced.call(failing(CallFailed("no", 500, "300"))[0]))
        await asyncio.sleep(1)
        attempt, made = failing()
        next_one = asyncio.create_task(paced.call(attempt))
        await asyncio.sleep(1)
        assert made == []
        resting.cancel()
        await next_one
        assert made == [2]

    run(main())


def test_a_place_given_in_the_moment_of_a_cancel_is_given_back() -> None:
    async def main() -> None:
        paced = pacer(in_flight=1)
        server = Server(seconds=(1, 1))

        async def attempt() -> str:
            await asyncio.sleep(1)
            # comes after the place went to the second call and before that goes on
            asyncio.get_running_loop().call_soon(second.cancel)
            return "answer"

        first = asyncio.create_task(paced.call(attempt))
        second = asyncio.create_task(paced.call(server.ask))
        third = asyncio.create_task(paced.call(server.ask))
        assert list(await asyncio.gather(first, third)) == [("answer", 1)] * 2
        assert second.cancelled()
        assert server.starts == [1]

    run(main())


@pytest.mark.parametrize("seed", range(20))
def test_cancelled_calls_leave_no_one_stuck_and_no_place_taken(seed: int) -> None:
    async def main() -> None:
        rng = random.Random(seed)
        paced = pacer(seed, in_flight=8)
        server = Server(
            lambda s: (
                CallFailed("no", rng.choice([429, 500]), rng.choice([None, "3"]))
                if rng.random() < 0.1
                else None
            )
        )
        calls = [asyncio.create_task(paced.call(server.ask)) for _ in range(300)]
        while not all(call.done() for call in calls):
            await asyncio.sleep(rng.uniform(0, 2))
            for call in rng.sample(calls, 10):
                call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert sum(not call.cancelled() for call in calls) > 50
        server.peak, server.fault = 0, lambda s: None
        assert await ask_all(paced, server.ask, items=300, width=50) == {"answer": 300}
        assert server.peak == 8

    run(main())


def test_the_same_seed_paces_alike() -> None:
    def starts(seed: int) -> list[float]:
        server = Server(lambda s: CallFailed("no", 503) if s.rng.random() < 0.1 else None)
        run(ask_all(pacer(seed), server.ask, items=500, width=64))
        return server.starts

    assert starts(1) == starts(1) != starts(2)


def test_an_idle_pacer_is_not_awake() -> None:
    """Nobody asks, so nothing is left to wait for: the loop would otherwise turn for ever."""

    async def main() -> None:
        await ask_all(pacer(), Server(always(503, "30")).ask, items=3, width=3)
        with pytest.raises(RuntimeError, match="everyone waits for ever"):
            await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="everyone waits for ever"):
        run(main())
