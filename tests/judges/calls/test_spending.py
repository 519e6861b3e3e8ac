"""Money and tokens: never over a cap, nothing left reserved, and no stop before the cap."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from mira_spark.errors import ConfigError
from mira_spark.judges.calls.prices import Usage, cost_nanos, price_of, upper_bound_tokens
from mira_spark.judges.calls.spending import CapReached, Reservation, Spending, Spent
from mira_spark.judges.protocol import Answer
from mira_spark.settings.judge import BudgetSettings, Caps, Price

READ_ON = date(2025, 11, 1)
T = TypeVar("T")


def price(input: str = "1", output: str = "1", cached: str | None = None) -> Price:
    return Price(
        input=Decimal(input),
        cached_input=None if cached is None else Decimal(cached),
        output=Decimal(output),
        read_on=READ_ON,
    )


def tokens_budget(limit: int | None, **scopes: Caps) -> Spending:
    return Spending(BudgetSettings(per_run=Caps(tokens=limit), **scopes), price())


def run(main: Callable[[], Awaitable[T]]) -> T:
    async def guarded() -> T:
        return await asyncio.wait_for(main(), timeout=300)

    return asyncio.run(guarded())


async def settled_tasks() -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


# Prices


def test_a_cost_is_rounded_up_once_to_a_billionth_of_a_dollar() -> None:
    assert cost_nanos(price("0.15", "0.6"), Usage(1_000_000, 1_000_000)) == 750_000_000
    assert cost_nanos(price("0.0001", "0.0001"), Usage(1, 1)) == 1
    assert cost_nanos(price("0.0001", "0.0001"), Usage(5, 5)) == 1
    assert cost_nanos(price("0.0001", "0.0001"), Usage(6, 5)) == 2
    assert cost_nanos(price("0", "0"), Usage(7, 7)) == 0


def test_cached_tokens_are_part_of_the_input_and_have_their_own_price() -> None:
    usage = Usage(1_000, 100, cached_input_tokens=600)
    assert cost_nanos(price("2", "8", cached="0.5"), usage) == (800 + 300 + 800) * 1_000
    assert cost_nanos(price("2", "8"), usage) == (2_000 + 800) * 1_000
    assert cost_nanos(price("2", "8", cached="0.5"), Usage(10, 0, 99)) == 5_000


def test_an_answer_says_its_own_usage() -> None:
    answer = Answer("{}", input_tokens=10, cached_input_tokens=4, output_tokens=3)
    assert cost_nanos(price("2", "8", cached="1"), answer) == cost_nanos(
        price("2", "8", cached="1"), Usage(10, 3, 4)
    )


@given(
    st.decimals(0, 10**6, places=9),
    st.decimals(0, 10**6, places=9),
    st.integers(0, 10**7),
    st.integers(0, 10**7),
)
def test_a_cost_is_exact(input: Decimal, output: Decimal, sent: int, answered: int) -> None:
    exact = (Fraction(input) * sent + Fraction(output) * answered) * 1_000
    cost = cost_nanos(price(str(input), str(output)), Usage(sent, answered))
    assert exact <= cost < exact + 1


@pytest.mark.parametrize("wrong", ["-1", "NaN", "Infinity", "0.0000000001", "1e30"])
def test_a_price_that_cannot_be_counted_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        price(input=wrong)


def test_a_price_says_when_it_was_read() -> None:
    with pytest.raises(ValidationError, match="read_on"):
        Price.model_validate({"input": 1, "output": 1})


def test_a_model_without_a_price_is_refused_with_how_to_set_it() -> None:
    prices = {"small": price("0.1"), "large": price("9")}
    assert price_of("large", prices) is prices["large"]
    with pytest.raises(ConfigError) as refused:
        price_of("medium", prices)
    for part in ("'medium'", "judge.prices.medium.input", "0 for a server of your own", "large"):
        assert part in str(refused.value)


@given(st.lists(st.tuples(st.sampled_from(["system", "user"]), st.text())), st.text())
def test_a_prompt_has_at_most_as_many_tokens_as_bytes(
    messages: list[tuple[str, str]], schema: str
) -> None:
    n_bytes = sum(len(content.encode()) for _, content in messages) + len(schema.encode())
    assert upper_bound_tokens(messages, schema) >= n_bytes + 100 * len(messages)
    assert upper_bound_tokens([], schema) == len(schema.encode())


def test_a_character_no_text_should_hold_still_counts() -> None:
    assert upper_bound_tokens([("user", "\ud800")], "") > 3


# Reserving and settling


def test_what_is_settled_takes_the_reservation_s_place() -> None:
    async def main() -> None:
        budget = Spending(BudgetSettings(), price("1", "2"))
        reservation = await budget.reserve("web", 100, 50)
        assert reservation.most == budget.reserved == Spent(200_000, 150)
        assert budget.spent == Spent()
        assert budget.settle(reservation, Usage(80, 10)) == 100_000
        assert budget.reserved == Spent()
        assert budget.spent == Spent(100_000, 90)

    run(main)


@pytest.mark.parametrize("usage", [None, Answer("lost count"), Usage(0, 0)])
def test_what_is_not_known_counts_in_full(usage: Usage | Answer | None) -> None:
    async def main() -> None:
        budget = Spending(BudgetSettings(), price("1", "2"))
        reservation = await budget.reserve("web", 100, 50)
        assert budget.settle(reservation, usage) == 200_000
        assert (budget.spent, budget.reserved) == (Spent(200_000, 150), Spent())

    run(main)


def test_what_is_released_costs_nothing() -> None:
    async def main() -> None:
        budget = Spending(BudgetSettings(), price())
        budget.release(await budget.reserve("web", 100, 50))
        assert (budget.spent, budget.reserved) == (Spent(), Spent())

    run(main)


@pytest.mark.parametrize("first", ["settle", "release"])
@pytest.mark.parametrize("second", ["settle", "release"])
def test_a_reservation_ends_once(first: str, second: str) -> None:
    def end(budget: Spending, how: str, reservation: Reservation) -> None:
        if how == "settle":
            budget.settle(reservation, Usage(1, 1))
        else:
            budget.release(reservation)

    async def main() -> None:
        budget = tokens_budget(10)
        reservation = await budget.reserve("web", 1, 1)
        end(budget, first, reservation)
        spent = budget.spent
        with pytest.raises(ValueError, match="before"):
            end(budget, second, reservation)
        assert (budget.spent, budget.reserved) == (spent, Spent())

    run(main)


def test_a_cached_price_above_the_plain_one_is_reserved_too() -> None:
    async def main() -> None:
        budget = Spending(BudgetSettings(), price("1", "1", cached="3"))
        assert (await budget.reserve("web", 10, 0)).most.usd_nanos == 30_000

    run(main)


# Caps


@pytest.mark.parametrize("scope", ["per_run", "per_day", "per_source"])
@pytest.mark.parametrize(
    ("caps", "unit"), [(Caps(tokens=100), "tokens"), (Caps(usd=Decimal("0.0001")), "usd")]
)
def test_a_cap_may_be_met_and_never_passed(scope: str, caps: Caps, unit: str) -> None:
    async def main() -> None:
        budget = Spending(BudgetSettings.model_validate({scope: caps}), price())
        budget.settle(await budget.reserve("web", 60, 40), Usage(60, 39))
        budget.settle(await budget.reserve("web", 1, 0), Usage(1, 0))
        with pytest.raises(CapReached, match=f"judge.budget.{scope}.{unit} ") as reached:
            await budget.reserve("web", 1, 0)
        assert reached.value.exit_code == 75

    run(main)


def test_the_refusal_says_every_figure_and_what_to_do() -> None:
    async def main() -> str:
        settings = BudgetSettings(per_source=Caps(usd=Decimal("0.005")))
        before = {"web": Spent(usd_nanos=3_000_000)}
        budget = Spending(settings, price(), by_source=before)
        await budget.reserve("web", 1_000, 0)
        with pytest.raises(CapReached) as reached:
            await budget.reserve("web", 2_000, 500)
        return str(reached.value)

    message = run(main)
    for part in ("per_source.usd", "'web'", "0.005", "0.003", "0.001", "0.0025", "raise the cap"):
        assert part in message


def test_what_was_spent_before_counts() -> None:
    async def main() -> None:
        settings = {s: Caps(tokens=100) for s in ("per_run", "per_day", "per_source")}
        for scope in settings:
            budget = Spending(
                BudgetSettings.model_validate({scope: settings[scope]}),
                price(),
                run=Spent(tokens=91),
                day=Spent(tokens=91),
                by_source={"web": Spent(tokens=91)},
            )
            budget.release(await budget.reserve("web", 9, 0))
            with pytest.raises(CapReached, match=scope):
                await budget.reserve("web", 10, 0)

    run(main)


def test_each_source_has_a_cap_of_its_own() -> None:
    async def main() -> None:
        budget = tokens_budget(None, per_source=Caps(tokens=10))
        for source in ("web", "code", "books"):
            budget.settle(await budget.reserve(source, 10, 0), None)
        with pytest.raises(CapReached, match="'code'"):
            await budget.reserve("code", 1, 0)

    run(main)


def test_after_a_cap_was_reached_no_call_is_let_through() -> None:
    async def main() -> None:
        budget = tokens_budget(10)
        with pytest.raises(CapReached):
            await budget.reserve("web", 11, 0)
        with pytest.raises(CapReached):
            await budget.reserve("web", 1, 0)
        assert budget.reserved == Spent()

    run(main)


# Days


def test_a_new_day_has_the_whole_cap_and_a_call_counts_on_the_day_it_began() -> None:
    async def main() -> None:
        clock = [date(2025, 11, 1)]
        settings = BudgetSettings(per_day=Caps(tokens=10))
        budget = Spending(settings, price(), day=Spent(tokens=2), today=lambda: clock[0])
        before_midnight = await budget.reserve("web", 8, 0)
        clock[0] += timedelta(days=1)
        after_midnight = await budget.reserve("web", 10, 0)
        budget.settle(before_midnight, Usage(8, 0))
        budget.settle(after_midnight, Usage(9, 0))
        budget.settle(await budget.reserve("web", 1, 0), None)
        clock[0] -= timedelta(days=1)
        with pytest.raises(CapReached, match="per_day"):
            await budget.reserve("web", 1, 0)

    run(main)


def test_who_waits_over_midnight_counts_on_the_day_of_the_grant() -> None:
    async def main() -> None:
        clock = [date(2025, 11, 1)]
        settings = BudgetSettings(per_day=Caps(tokens=10))
        budget = Spending(settings, price(), today=lambda: clock[0])
        first = await budget.reserve("web", 10, 0)
        waiting = asyncio.create_task(budget.reserve("web", 10, 0))
        await settled_tasks()
        clock[0] += timedelta(days=1)
        budget.settle(first, None)
        budget.settle(await waiting, None)
        with pytest.raises(CapReached):
            await budget.reserve("web", 1, 0)

    run(main)


# Waiting


def test_a_call_waits_for_room_that_calls_in_flight_may_leave() -> None:
    async def main() -> None:
        budget = tokens_budget(100)
        first = await budget.reserve("web", 60, 40)
        waiting = asyncio.create_task(budget.reserve("web", 50, 0))
        await settled_tasks()
        assert not waiting.done()
        budget.settle(first, Usage(40, 10))
        assert (await waiting).most.tokens == 50

    run(main)


def test_a_waiting_call_is_refused_when_no_room_was_left() -> None:
    async def main() -> None:
        budget = tokens_budget(100)
        first = await budget.reserve("web", 60, 40)
        waiting = [asyncio.create_task(budget.reserve("web", n, 0)) for n in (50, 1)]
        await settled_tasks()
        budget.settle(first, Usage(60, 0))
        for task in waiting:
            with pytest.raises(CapReached, match="may need 50 "):
                await task

    run(main)


def test_a_call_that_can_never_fit_does_not_wait() -> None:
    async def main() -> None:
        budget = tokens_budget(100)
        await budget.reserve("web", 100, 0)
        waiting = asyncio.create_task(budget.reserve("web", 1, 0))
        await settled_tasks()
        with pytest.raises(CapReached):
            await budget.reserve("web", 101, 0)
        with pytest.raises(CapReached):
            await waiting

    run(main)


def test_first_come_first_served() -> None:
    async def main() -> None:
        budget = tokens_budget(100)
        order: list[int] = []

        async def ask(i: int, tokens: int) -> None:
            reservation = await budget.reserve("web", tokens, 0)
            order.append(i)
            await asyncio.sleep(0)
            budget.settle(reservation, Usage(1, 0))

        first = await budget.reserve("web", 80, 0)
        tasks = [asyncio.create_task(ask(i, n)) for i, n in enumerate((50, 10, 60, 1, 60))]
        await settled_tasks()
        assert order == []
        budget.settle(first, Usage(1, 0))
        await asyncio.gather(*tasks)
        assert order == [0, 1, 2, 3, 4]

    run(main)


def test_a_cancelled_wait_leaves_nothing_reserved_and_no_one_stuck() -> None:
    async def main() -> None:
        budget = tokens_budget(100)
        first = await budget.reserve("web", 50, 0)
        large, small = (asyncio.create_task(budget.reserve("web", n, 0)) for n in (90, 10))
        await settled_tasks()
        assert not small.done()
        large.cancel()
        budget.settle(await small, Usage(1, 0))
        assert large.cancelled()
        budget.settle(first, Usage(1, 0))
        assert (budget.spent.tokens, budget.reserved) == (2, Spent())

    run(main)


def test_a_wait_cancelled_in_the_moment_of_its_grant_gives_the_room_back() -> None:
    async def main() -> None:
        budget = tokens_budget(100)
        first = await budget.reserve("web", 100, 0)
        granted = asyncio.create_task(budget.reserve("web", 95, 0))
        await settled_tasks()
        budget.settle(first, Usage(5, 0))
        assert budget.reserved.tokens == 95
        granted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await granted
        assert budget.reserved == Spent()

    run(main)


# Never over


class Book:
    """What the calls were told, added up apart from the budget."""

    def __init__(self, settings: BudgetSettings, price: Price, before: dict[str, Spent]) -> None:
        self.settings = settings
        self.input, self.output = Fraction(price.input), Fraction(price.output)
        self.spent = {
            (scope, unit): Counter({s: getattr(spent, unit) for s, spent in before.items()})
            for scope in ("per_run", "per_day", "per_source")
            for unit in ("usd_nanos", "tokens")
        }
        self.reserved = {key: Counter[str]() for key in self.spent}

    def amounts(self, input_tokens: int, output_tokens: int) -> dict[str, int]:
        dollars_per_million = self.input * input_tokens + self.output * output_tokens
        return {
            "usd_nanos": math.ceil(dollars_per_million * 1_000),
            "tokens": input_tokens + output_tokens,
        }

    def add(self, kind: str, source: str, amounts: dict[str, int], sign: int = 1) -> None:
        for (scope, unit), totals in getattr(self, kind).items():
            totals[source if scope == "per_source" else scope] += sign * amounts[unit]

    def over(self, source: str, amounts: dict[str, int], with_reserved: bool) -> bool:
        """Whether these amounts on top would pass a cap."""
        for (scope, unit), spent in self.spent.items():
            caps = getattr(self.settings, scope)
            limit = caps.tokens if unit == "tokens" else caps.usd and caps.usd * 10**9
            key = source if scope == "per_source" else scope
            total = spent[key] + with_reserved * self.reserved[(scope, unit)][key]
            if limit is not None and total + amounts[unit] > limit:
                return True
        return False


SOURCES = ("web", "code", "books")
NOTHING = {"usd_nanos": 0, "tokens": 0}


def random_case(rng: random.Random) -> tuple[BudgetSettings, Price, dict[str, Spent]]:
    def caps(scale: float) -> Caps:
        return Caps(
            usd=None if rng.random() < 0.5 else Decimal(rng.randrange(int(scale * 10**7))) / 10**7,
            tokens=None if rng.random() < 0.5 else rng.randrange(int(scale * 10**6)),
        )

    scale = rng.choice([0.02, 0.1, 0.4, 1.0])
    settings = BudgetSettings(
        per_run=caps(scale), per_day=caps(scale), per_source=caps(scale * rng.choice([0.4, 1]))
    )
    decimals = [Decimal(rng.randrange(10**9)).scaleb(-rng.randrange(8, 10)) for _ in range(2)]
    before = {
        key: Spent(rng.randrange(10**4), rng.randrange(10**3))
        for key in ("per_run", "per_day", *SOURCES)
    }
    return settings, price(str(decimals[0]), str(decimals[1])), before


async def spend(seed: int) -> None:
    rng = random.Random(seed)
    settings, price, before = random_case(rng)
    budget = Spending(
        settings,
        price,
        run=before["per_run"],
        day=before["per_day"],
        by_source={source: before[source] for source in SOURCES},
        today=lambda: READ_ON,
    )
    book = Book(settings, price, before)
    asked: dict[int, tuple[str, dict[str, int]]] = {}
    refused = False

    def check(source: str) -> None:
        assert not book.over(source, NOTHING, with_reserved=True)
        total = budget.spent + budget.reserved
        caps = settings.per_run
        assert caps.tokens is None or total.tokens <= caps.tokens
        assert caps.usd is None or total.usd_nanos <= caps.usd * 10**9

    async def work(calls: list[int]) -> None:
        nonlocal refused
        while calls and not refused:
            call = calls.pop()
            source, sent, most = rng.choice(SOURCES), rng.randint(1, 3_000), rng.randint(0, 2_000)
            most_amounts = book.amounts(sent, most)
            asked[call] = source, most_amounts
            try:
                reservation = await budget.reserve(source, sent, most)
            except CapReached:
                if not refused:
                    refused = True
                    assert any(book.over(*a, with_reserved=False) for a in asked.values())
                return
            del asked[call]
            book.add("reserved", source, most_amounts)
            check(source)
            for _ in range(rng.randrange(5)):
                await asyncio.sleep(0)
            outcome = rng.random()
            used = rng.randint(1, sent), rng.randint(0, most)
            if outcome < 0.15:
                budget.release(reservation)
                amounts = NOTHING
            elif outcome < 0.25:
                budget.settle(reservation, None)
                amounts = most_amounts
            else:
                used = (sent, most) if outcome < 0.35 else used
                amounts = book.amounts(*used)
                assert budget.settle(reservation, Usage(*used)) == amounts["usd_nanos"]
            book.add("reserved", source, most_amounts, -1)
            book.add("spent", source, amounts)
            check(source)

    width = rng.choice([1, 8, 64, 256])
    calls = list(range(rng.randint(width, width + 60)))
    await asyncio.gather(*(work(calls) for _ in range(width)))
    assert budget.reserved == Spent()
    assert refused or not calls
    assert budget.spent == Spent(*(book.spent["per_run", u]["per_run"] for u in NOTHING))


def spend_all(seeds: range) -> None:
    async def main() -> None:
        for seed in seeds:
            await spend(seed)

    run(main)


def test_random_caps_are_never_passed_and_end_the_work_only_when_they_must() -> None:
    spend_all(range(150))


@pytest.mark.long
def test_500_random_caps_are_never_passed_and_end_the_work_only_when_they_must() -> None:
    spend_all(range(500))


# Bills beyond the limit


def test_the_largest_bill_is_reserved_by_every_later_call_of_that_limit() -> None:
    async def main() -> None:
        budget = tokens_budget(None)
        budget.settle(await budget.reserve("web", 10, 50), Usage(10, 700))
        budget.settle(await budget.reserve("web", 10, 50), Usage(10, 600))
        raised = await budget.reserve("web", 10, 50)
        assert (raised.input_tokens, raised.output_tokens, raised.output_limit) == (10, 700, 50)
        assert raised.most.tokens == 710
        assert (await budget.reserve("web", 10, 40)).most.tokens == 50
        assert (await budget.reserve("web", 10, 900)).most.tokens == 910

    run(main)


def test_a_bill_of_an_earlier_run_is_reserved_from_the_start() -> None:
    async def main() -> None:
        budget = Spending(BudgetSettings(), price(), largest_output=700)
        assert (await budget.reserve("web", 10, 50)).most.tokens == 710

    run(main)


def test_who_waits_is_held_to_the_bill_that_came_meanwhile() -> None:
    async def main() -> None:
        budget = tokens_budget(320)
        first, second = await budget.reserve("web", 50, 50), await budget.reserve("web", 50, 50)
        waiting = asyncio.create_task(budget.reserve("web", 50, 100))
        more = asyncio.create_task(budget.reserve("web", 50, 50))
        await settled_tasks()
        budget.settle(first, Usage(50, 20))
        assert (await waiting).most.tokens == 150
        budget.settle(second, Usage(50, 90))
        with pytest.raises(CapReached, match="the next call may need 140 and was not sent"):
            await more

    run(main)


@given(
    st.integers(100, 5_000),
    st.integers(1, 8),
    st.lists(st.tuples(st.sampled_from([10, 40]), st.integers(0, 400)), max_size=60),
    st.randoms(),
)
def test_a_cap_is_passed_by_no_more_than_calls_in_flight_are_billed_beyond_their_reservations(
    limit: int, in_flight: int, calls: list[tuple[int, int]], chance: random.Random
) -> None:
    async def main() -> None:
        budget = tokens_budget(limit)
        open_calls: dict[Reservation, int] = {}
        beyond = 0
        for output_limit, billed in calls:
            while len(open_calls) >= in_flight:
                done = chance.choice(list(open_calls))
                budget.settle(done, Usage(5, open_calls.pop(done)))
            try:
                reservation = await asyncio.wait_for(budget.reserve("web", 5, output_limit), 0.01)
            except (CapReached, TimeoutError):
                break
            open_calls[reservation] = billed
            assert budget.spent.tokens + budget.reserved.tokens <= limit
            beyond = sum(max(0, b - r.output_tokens) for r, b in open_calls.items())
        for reservation, billed in open_calls.items():
            budget.settle(reservation, Usage(5, billed))
        assert budget.spent.tokens <= limit + beyond

    run(main)


def test_a_server_that_bills_ten_times_the_limit_passes_the_cap_by_its_first_calls_alone() -> None:
    async def main() -> None:
        budget = tokens_budget(2_000)
        first = [await budget.reserve("web", 10, 50) for _ in range(4)]
        for reservation in first:
            budget.settle(reservation, Usage(10, 500))
        assert budget.spent.tokens == 2_040
        budget = tokens_budget(10_000)
        for _ in range(19):
            budget.settle(await budget.reserve("web", 10, 50), Usage(10, 500))
        with pytest.raises(CapReached):
            await budget.reserve("web", 10, 50)
        assert budget.spent.tokens == 9_690

    run(main)
