"""What outcomes say about the next call: Retry-After, the limit, the breaker."""

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from mira_spark.judges.calls.throttle import (
    AT_FIRST,
    Breaker,
    Limit,
    Throttle,
    is_retryable,
    retry_after_s,
)

NOW = datetime(2025, 11, 22, 12, 0, 0, tzinfo=UTC)


def limit_at(value: float, most: int = 256) -> Limit:
    limit = Limit(most)
    while limit.value < value:
        limit.grow(running=most)
    return limit


def succeed(limit: Limit, times: int) -> None:
    for _ in range(times):
        limit.grow(running=int(limit.value))


def test_what_may_be_tried_again() -> None:
    retryable = {status for status in range(100, 600) if is_retryable(status)}
    assert retryable == {200, 408, 409, 425, 429} | set(range(500, 600))
    assert is_retryable(None)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("20", 20.0),
        (" 20 ", 20.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("2.", 2.0),
        ("86400", 86_400.0),
        ("9" * 400, float("inf")),
        ("Sat, 22 Nov 2025 12:00:30 GMT", 30.0),
        ("Sat, 22 Nov 2025 13:00:30 +0100", 30.0),
        ("Sat, 22 Nov 2025 12:00:30 -0000", 30.0),
        ("Saturday, 22-Nov-25 12:00:30 GMT", 30.0),
        ("Sat, 22 Nov 2025 11:59:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", pytest.approx(2.5e11, rel=0.1)),
        ("-5", 0.0),
        ("-0.5", 0.0),
        (None, 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("nan", 0.0),
        ("inf", 0.0),
        ("1e3", 0.0),
        ("0x10", 0.0),
        ("1_000", 0.0),
        ("1,000", 0.0),
        ("٣", 0.0),
        ("20 seconds", 0.0),
        ("Sat, 99 Foo 2025 12:00:30 GMT", 0.0),
        ("\x00", 0.0),
    ],
)
def test_every_form_of_retry_after_is_read(header: str | None, seconds: float) -> None:
    assert retry_after_s(header, NOW) == seconds


@given(st.text())
def test_no_header_breaks_the_reading(header: str) -> None:
    assert retry_after_s(header, NOW) >= 0


def test_the_limit_doubles_each_round_until_it_is_cut() -> None:
    limit = Limit(256)
    rounds = []
    while limit.value < 256:
        succeed(limit, int(limit.value))
        rounds.append(limit.value)
    assert rounds == [8, 16, 32, 64, 128, 256]
    succeed(limit, 1_000)
    assert limit.value == 256


def test_the_limit_is_cut_to_four_fifths_once_in_fifteen_seconds() -> None:
    limit = limit_at(100)
    limit.cut(now=0.0)
    assert limit.value == 80
    limit.cut(now=14.9)
    assert limit.value == 80
    limit.cut(now=15.0)
    assert limit.value == 64


def test_the_limit_grows_by_a_twentieth_a_round_after_a_cut() -> None:
    limit = limit_at(125)
    limit.cut(now=0.0)
    succeed(limit, 100)
    assert limit.value == pytest.approx(105)


def test_the_limit_is_never_below_one_nor_above_what_was_set() -> None:
    limit = Limit(2)
    assert limit.value == 2
    for i in range(20):
        limit.grow(running=1)
        limit.cut(now=20.0 * i)
    assert limit.value == 1
    succeed(limit, 1_000)
    assert limit.value == 2


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    limit = limit_at(100)
    for _ in range(50):
        limit.grow(running=49)
    assert limit.value == 100


def test_after_a_pause_the_limit_starts_small_and_doubles_to_where_it_was() -> None:
    limit = limit_at(250)
    limit.cut(now=0.0)
    limit.restart(running=0)
    assert limit.value == AT_FIRST
    succeed(limit, 196)
    assert limit.value == 200
    succeed(limit, 1)
    assert limit.value < 201


def test_after_a_short_pause_the_limit_is_what_still_runs() -> None:
    limit = limit_at(200)
    limit.restart(running=90)
    assert limit.value == 90
    limit.restart(running=150)
    assert limit.value == 90


def test_a_refusal_right_after_a_pause_teaches_the_limit_nothing() -> None:
    limit = limit_at(100)
    limit.restart(running=0)
    limit.cut(now=100.0)
    succeed(limit, 96)
    assert limit.value == 100
    limit.cut(now=101.0)
    assert limit.value == 80


def test_a_refusal_at_the_very_start_teaches_the_limit_nothing() -> None:
    limit = Limit(256)
    limit.cut(now=0.0)
    succeed(limit, 252)
    assert limit.value == 256


def outcomes(breaker: Breaker, pattern: str, now: float = 0.0) -> None:
    for outcome in pattern:
        if outcome == "+":
            breaker.succeeded()
        else:
            breaker.failed(now, throttled=outcome == "t")


@pytest.mark.parametrize(
    ("pattern", "is_open"),
    [
        ("-" * 19, False),
        ("-" * 20, True),
        ("+" * 40 + "-" * 19, False),
        ("+" * 40 + "-" * 20, True),
        ("+-" * 9 + "-", False),
        ("+-" * 10, True),
        ("++-" * 100, False),
        ("++t" * 10 + "-t" * 5, False),
        ("+" + "t" * 39, False),
        ("+" + "t" * 40, True),
    ],
)
def test_when_the_breaker_opens(pattern: str, is_open: bool) -> None:
    breaker = Breaker()
    outcomes(breaker, pattern)
    assert (breaker.since is not None) == is_open


def test_an_open_breaker_is_probed_every_thirty_seconds_and_closed_by_one_answer() -> None:
    breaker = Breaker()
    outcomes(breaker, "-" * 20, now=5.0)
    assert (breaker.since, breaker.probe_at) == (5.0, 35.0)
    outcomes(breaker, "-", now=36.0)
    assert (breaker.since, breaker.probe_at) == (5.0, 66.0)
    outcomes(breaker, "+")
    assert breaker.since is None
    outcomes(breaker, "-" * 9 + "+" * 10 + "-")
    assert breaker.since is None, "what was before the outage is forgotten"


def fail(throttle: Throttle, status: int | None, now: float = 0.0, **more: float) -> str | None:
    retry_after, backoff = more.get("retry_after", 0.0), more.get("backoff", 0.5)
    is_scarce = bool(more.get("scarce"))
    return throttle.failed(status, retry_after, backoff, now, is_scarce, f"status {status}: no")


@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_retry_after_of_the_server_holds_all_calls(status: int) -> None:
    throttle = Throttle(64, 900)
    fail(throttle, status, now=100.0, retry_after=20.0)
    fail(throttle, status, now=101.0, retry_after=5.0)
    assert throttle.opens_at == 120.0
    assert throttle.places(119.9, running=0) == 0
    assert throttle.places(120.0, running=0) == AT_FIRST


@pytest.mark.parametrize("status", [400, 408, 409, 500, None])
def test_a_retry_after_of_one_call_holds_no_other(status: int | None) -> None:
    throttle = Throttle(64, 900)
    fail(throttle, status, now=100.0, retry_after=20.0)
    assert throttle.places(100.0, running=0) == AT_FIRST


def test_a_429_without_a_time_holds_all_only_when_it_is_not_alone() -> None:
    throttle = Throttle(64, 900)
    fail(throttle, 429, now=100.0, backoff=0.5)
    assert throttle.opens_at < 100.0
    throttle.answered(running=1)
    fail(throttle, 429, now=101.0, backoff=0.5)
    assert throttle.opens_at < 101.0
    fail(throttle, 429, now=101.1, backoff=0.5)
    assert throttle.opens_at == 101.6
    alone = Throttle(64, 900)
    fail(alone, 429, now=100.0, backoff=0.5, scarce=True)
    assert alone.opens_at == 100.5


@pytest.mark.parametrize("status", [401, 402, 403])
def test_five_refusals_end_it_and_the_first_leaves_one_place(status: int) -> None:
    throttle = Throttle(64, 900)
    for _ in range(4):
        assert fail(throttle, status) is None
        assert throttle.places(0.0, running=3) == 1
    assert str(status) in (fail(throttle, status) or "")


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_five_refusals_alike_before_any_answer_end_it_with_what_the_server_said(
    status: int,
) -> None:
    throttle = Throttle(64, 900)
    for refused in (status, status, status, status, 415, status, status, status, status):
        assert fail(throttle, refused) is None
    assert fail(throttle, status) == (
        f"the first calls were refused, 5 in a row with status {status}: no; "
        "check judge.url, judge.model and judge.parameters"
    )


def test_refusals_after_an_answer_are_those_of_single_documents() -> None:
    throttle = Throttle(64, 900)
    throttle.answered(running=1)
    assert [fail(throttle, 413) for _ in range(99)] == [None] * 99


def test_only_a_probe_s_answer_ends_caution() -> None:
    throttle = Throttle(64, 900)
    fail(throttle, 401)
    throttle.answered(running=3)
    assert throttle.cautious
    throttle.probing = True
    throttle.answered(running=1)
    assert not throttle.cautious


def test_failures_of_calls_sent_before_the_outage_do_not_put_off_the_probe() -> None:
    throttle = Throttle(64, 900)
    for _ in range(20):
        fail(throttle, None, now=100.0)
    fail(throttle, None, now=125.0)
    assert throttle.opens_at == 130.0


def test_an_outage_longer_than_allowed_ends_it() -> None:
    throttle = Throttle(64, 900)
    for _ in range(20):
        fail(throttle, 503, now=100.0)
    throttle.probing = True
    assert fail(throttle, 503, now=1_000.0) is None
    assert "HTTP 503" in (fail(throttle, 503, now=1_001.0) or "")
    assert "no connection" in (fail(throttle, None, now=1_002.0) or "")


def test_the_limit_stays_within_bounds_whatever_happens() -> None:
    rng = random.Random(0)
    throttle = Throttle(32, 10**9)
    now = 0.0
    for _ in range(20_000):
        now += rng.random()
        running = rng.randrange(33)
        throttle.probing = rng.random() < 0.5
        if rng.random() < 0.6:
            throttle.answered(running)
        else:
            fail(throttle, rng.choice([None, 429, 500, 503]), now, retry_after=rng.choice([0, 3.0]))
        assert 0 <= throttle.places(now, running) <= 32
        assert throttle.places(throttle.opens_at, running) >= 1
