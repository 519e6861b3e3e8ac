"""No question is asked twice, and no answer is read before it is on disk or lost once it came."""

import _thread
import asyncio
import json
import random
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from mira_spark.errors import InputError
from mira_spark.judges.calls.desk import Desk
from mira_spark.judges.calls.journal import Journal
from mira_spark.judges.calls.journal_file import CallRow
from mira_spark.judges.calls.ledger import _CHUNK, Answered, Ledger, answered
from mira_spark.judges.calls.pacing import JudgeUnavailable, Pacer
from mira_spark.judges.calls.prices import upper_bound_tokens
from mira_spark.judges.calls.spending import CapReached, Spending, Spent
from mira_spark.judges.calls.throttle import AT_FIRST
from mira_spark.judges.prompts import schema
from mira_spark.judges.protocol import Answer, CallFailed, PromptTooLong, Request
from mira_spark.settings.judge import BudgetSettings, Caps, PacingSettings, Price

PRICE = Price(input=Decimal(1), output=Decimal(2), read_on=date(2026, 1, 1))
CUT = '{"choices": [{"finish_reason": "length", "message": {"content": "7"}}]}'
REFUSED = '{"choices": [{"finish_reason": "content_filter", "message": {"content": ""}}]}'
Say = Callable[[Request], str | Answer]


PROMPT_TOKENS = upper_bound_tokens([("user", "7")], json.dumps(schema(())))
MOST = Spent(PROMPT_TOKENS * 1_000 + 50 * 2_000, PROMPT_TOKENS + 50)
"""What a call about document `7` may come to: 1 and 2 dollars a million tokens."""


class Voice:
    """A judge that answers by a function of the request, which may raise."""

    name = "test:voice"
    identity: Mapping[str, object] = {}

    def __init__(self, say: Say, max_output_tokens: int | None = 50) -> None:
        self.say, self.max_output_tokens = say, max_output_tokens
        self.asked: list[str] = []
        self.loops: set[asyncio.AbstractEventLoop] = set()
        self.is_closed = False

    async def ask(self, request: Request) -> Answer:
        self.asked.append(request.call_key)
        self.loops.add(asyncio.get_running_loop())
        await asyncio.sleep(0)
        said = self.say(request)
        return (
            said
            if isinstance(said, Answer)
            else Answer(said, "answered", None, 10, 4, 5, 1, 30, "voice-1")
        )

    async def close(self) -> None:
        self.loops.add(asyncio.get_running_loop())
        self.is_closed = True


@dataclass
class Office:
    """All that a run needs, with `judge_calls` in memory; usable for one run after another."""

    path: Path
    say: Say = field(default=lambda request: request.document)
    parse: Callable[[Request, str], int] = field(default=lambda request, text: int(text))
    caps: Caps = field(default_factory=Caps)
    reasks: int = 1
    max_output_tokens: int | None = 50
    pacing: PacingSettings = field(default_factory=lambda: PacingSettings(in_flight=8, base_s=0))
    table: list[CallRow] = field(default_factory=list)
    looked_up: list[list[str]] = field(default_factory=list)
    sink_fails: bool = False
    flush_answers: int = 64
    most_unreadable: int | None = None

    def sink(self, opening: str, batch: int, rows: Sequence[CallRow], again: bool) -> None:
        if self.sink_fails:
            raise OSError("the table is gone")
        self.table.extend(rows)

    def known(self, keys: Sequence[str]) -> Mapping[str, Answer]:
        self.looked_up.append(list(keys))
        rows = sorted(self.table, key=lambda row: row.outcome != "failed")
        wanted = set(keys)
        return {
            row.call_key: Answer(row.raw_response, row.outcome or "answered", row.reason)
            for row in rows
            if row.call_key in wanted
        }

    @contextmanager
    def open(self) -> Iterator[tuple[Desk, Ledger[int]]]:
        self.judge = Voice(self.say, self.max_output_tokens)
        self.budget = Spending(BudgetSettings(per_run=self.caps), PRICE)
        with ExitStack() as stack:
            self.journal = stack.enter_context(
                Journal(self.path, self.sink, self.flush_answers, flush_s=3_600)
            )
            pacer = Pacer(self.pacing, random.Random(0))
            desk = Desk(
                self.judge,
                self.journal,
                self.budget,
                pacer,
                "run",
                most_unreadable=self.most_unreadable,
            )
            ledger = Ledger(self.known, self.parse, next_replicate, self.reasks, shorter)
            yield stack.enter_context(desk), ledger

    def run(self, *keys: str | Request) -> dict[str, Answered[int]]:
        with self.open() as (desk, ledger):
            found = list(answered(map(request, keys), desk, ledger))
        assert Counter(a.request.doc_id for a in found) == Counter(request(k).doc_id for k in keys)
        assert self.budget.reserved == Spent()
        return {a.request.doc_id: a for a in found}

    def outcomes(self) -> dict[str, str | None]:
        return {row.call_key: row.outcome for row in self.table}


def request(key: str | Request) -> Request:
    """Asks about the document whose text is the key."""
    if isinstance(key, Request):
        return key
    return Request(key, "label", key, "group_a", key, (), (("user", key),), source="books")


def next_replicate(request: Request) -> Request:
    return replace(request, call_key=f"{request.call_key}+", replicate=request.replicate + 1)


def shorter(request: Request) -> Request:
    key, document = f"{request.call_key}-", request.document[:3]
    return replace(request, call_key=key, document=document, cut_to=0)


def keys(many: int) -> list[str]:
    return [str(i) for i in range(many)]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path / "judge.sqlite")


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name in {"desk", "journal"}]


def rows_on_disk(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def fails(**arguments: object) -> Say:
    def say(request: Request) -> str:
        raise CallFailed("the line broke", **arguments)  # type: ignore[arg-type]

    return say


def test_every_request_comes_back_once_with_what_was_read(office: Office) -> None:
    found = office.run(*keys(3_000))
    assert {key: each.value for key, each in found.items()} == {k: int(k) for k in keys(3_000)}
    assert all(each.call_key == key for key, each in found.items())
    assert sorted(office.judge.asked) == sorted(keys(3_000))
    assert office.outcomes() == dict.fromkeys(keys(3_000), "answered")
    assert found["7"].answer == Answer("7", "answered", None, 10, 4, 5, 1, 30, "voice-1", 20_000)


def test_without_requests_nothing_is_asked_or_looked_up(office: Office) -> None:
    assert office.run() == {}
    assert office.judge.asked == []
    assert office.table == []


def test_the_row_says_what_was_asked_and_what_it_came_to(office: Office) -> None:
    asked = replace(request("7"), purpose="repeat", rubric_id="r1", replicate=3)
    office.run(asked)
    (row,) = office.table
    assert vars(row) | {"answered_at": None} == {
        "call_key": "7", "purpose": "repeat", "doc_id": "7", "source_group": "group_a",
        "source": "books", "rubric_id": "r1", "judge": "test:voice", "answered_by": "voice-1",
        "raw_response": "7",
        "outcome": "answered", "reason": None, "input_tokens": 10, "cached_input_tokens": 4,
        "output_tokens": 5, "cost_nanos": 20_000, "attempts": 1, "latency_ms": 30, "replicate": 3,
        "run_id": "run", "answered_at": None,
    }  # fmt: skip


def test_a_call_is_on_disk_before_it_is_sent_and_its_answer_before_it_is_read(
    office: Office,
) -> None:
    """What stands in the journal meanwhile is the call at its most."""
    seen = []

    def say(request: Request) -> str:
        query = "SELECT outcome, reason, attempts, cost_nanos, output_tokens FROM intents"
        seen.append(rows_on_disk(office.path, query))
        assert office.budget.reserved.usd_nanos == seen[0][0][3]
        return request.document

    def parse(request: Request, text: str) -> int:
        seen.append(rows_on_disk(office.path, "SELECT raw_response, outcome FROM answers"))
        assert office.budget.reserved == Spent()
        return int(text)

    office.say, office.parse = say, parse
    assert office.run("7")["7"].value == 7
    ((outcome, reason, attempts, nanos, output_tokens),) = seen[0]
    assert (outcome, attempts, output_tokens) == ("failed", 1, 50)
    assert reason == "the driver ended while the call was in flight; presumed paid"
    assert nanos == MOST.usd_nanos
    assert seen[1] == [("7", None)]


def test_a_recorded_answer_is_not_asked_for_again(office: Office) -> None:
    office.run(*keys(5))
    found = office.run(*keys(8))
    assert sorted(office.judge.asked) == ["5", "6", "7"]
    assert [found[key].value for key in keys(8)] == list(range(8))


def test_what_must_come_before_asking_comes_once_and_where_all_is_recorded_never(
    office: Office,
) -> None:
    asked_before: list[list[str]] = []

    def check() -> None:
        asked_before.append(list(office.judge.asked))

    def refuse() -> None:
        raise ValueError("the judge changed")

    def run(before_asking: Callable[[], None], *documents: str) -> None:
        with office.open() as (desk, ledger):
            list(answered(map(request, documents), desk, ledger, before_asking))

    run(check, *keys(2_500))
    run(check, *keys(2_500))
    assert asked_before == [[]], "before the first question, and not in the second run"
    run(check, "1", "new")
    assert asked_before == [[], []]
    with pytest.raises(ValueError, match="the judge changed"):
        run(refuse, "1", "newer")
    assert office.judge.asked == []


def test_another_parser_reads_the_recorded_answers_anew_and_asks_nothing(office: Office) -> None:
    office.say, office.reasks = (lambda r: CUT if r.document == "1" else f"[{r.document}]"), 0
    first = office.run(*keys(4))
    assert [first[key].answer.outcome for key in keys(4)] == [
        "invalid", "truncated", "invalid", "invalid"
    ]  # fmt: skip
    assert "invalid literal" in (first["0"].answer.reason or "")
    office.parse = lambda request, text: int(text.strip("[]"))
    second = office.run(*keys(4))
    assert office.judge.asked == []
    assert [second[key].value for key in keys(4)] == [0, None, 2, 3]
    assert (second["0"].answer.outcome, second["0"].answer.reason) == ("answered", None)
    assert second["1"].answer.reason == "cut short: length"


def test_a_failure_is_no_answer_and_is_asked_again(office: Office) -> None:
    office.say = fails(status=400)
    first = office.run("1", "2")
    assert {a.answer.outcome for a in first.values()} == {"failed"}
    assert first["1"].answer.reason == "the line broke"
    assert first["1"].value is None
    assert office.outcomes() == {"1": "failed", "2": "failed"}
    office.say = lambda request: request.document
    assert [a.value for a in office.run("1", "2").values()] == [1, 2]
    office.run("1", "2")
    assert office.judge.asked == []


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [("seven", "invalid"), ("", "invalid"), (CUT, "truncated"), (REFUSED, "refused")],
)
def test_what_cannot_be_used_is_asked_once_more_under_the_next_replicate(
    office: Office, raw: str, outcome: str
) -> None:
    office.say = lambda request: raw if request.replicate == 0 else request.document
    found = office.run("7")["7"]
    assert office.judge.asked == ["7", "7+"]
    assert (found.value, found.answer.outcome, found.call_key) == (7, "answered", "7+")
    assert found.request == request("7")
    assert office.outcomes() == {"7": outcome, "7+": "answered"}
    again = office.run("7")["7"]
    assert office.judge.asked == []
    assert (again.value, again.call_key) == (7, "7+")


def test_a_server_that_bills_ten_times_the_limit_passes_a_cap_by_its_first_calls_at_most(
    office: Office,
) -> None:
    """Four calls are in flight before the first answer; without learning some hundred more went."""
    bill = 10 * office.max_output_tokens
    office.say = lambda r: Answer(r.document, "answered", None, 10, 0, bill, 1, 30, "voice-1")
    cap = 100 * (PROMPT_TOKENS + office.max_output_tokens)
    office.caps = Caps(tokens=cap)
    with pytest.raises(CapReached):
        office.run(*keys(3_000))
    assert cap - MOST.tokens - bill < office.budget.spent.tokens <= cap
    tight = 4 * (PROMPT_TOKENS + office.max_output_tokens)
    office.caps, office.table = Caps(tokens=tight), []
    with pytest.raises(CapReached):
        office.run(*map(str, range(5_000, 6_000)))
    assert office.budget.spent.tokens <= tight + AT_FIRST * bill


PAGE = "<!DOCTYPE html><html><body>Please sign in</body></html>"


def test_a_page_in_the_place_of_answers_stops_the_run(office: Office) -> None:
    office.say, office.most_unreadable = (lambda request: PAGE), 20
    with pytest.raises(JudgeUnavailable) as caught:
        office.run(*keys(3_000))
    assert str(caught.value) == (
        "20 answers in a row could not be used: 20 of 20: a page of HTML in place of an answer; "
        "it begins '<!DOCTYPE html><html><body>Please sign i'; all are in judge_calls. "
        "Check judge.url, judge.model and judge.parameters, then run the step again"
    )
    assert caught.value.exit_code == 75
    asked = len(office.judge.asked)
    assert 20 <= asked <= 20 + 3 * office.pacing.in_flight
    assert list(office.outcomes().values()) == ["invalid"] * asked


@pytest.mark.parametrize("raw", ["seven", CUT, REFUSED])
def test_one_answer_between_unreadable_ones_begins_their_row_anew(office: Office, raw: str) -> None:
    office.most_unreadable, office.reasks = 3, 0
    office.pacing = PacingSettings(in_flight=1, base_s=0)
    office.say = lambda r: r.document if int(r.document) % 3 == 2 or int(r.document) > 90 else raw
    assert len(office.run(*keys(96))) == 96
    office.say = lambda r: raw if int(r.document) % 4 else r.document
    with pytest.raises(JudgeUnavailable, match=r"^3 answers in a row could not be used: 3 of 3: "):
        office.run(*map(str, range(100, 200)))
    assert office.judge.asked[:4] == ["100", "101", "102", "103"]
    assert len(office.judge.asked) < 8


def test_unreadable_answers_of_the_record_stop_no_run(office: Office) -> None:
    office.say, office.reasks = (lambda request: "seven"), 0
    office.run(*keys(50))
    office.most_unreadable = 3
    office.say = lambda request: "seven" if request.document == "50" else request.document
    assert len(office.run(*keys(60))) == 60
    assert office.judge.asked == [str(i) for i in range(50, 60)]


def test_the_line_is_of_the_commonest_reason_and_shows_no_control_characters(
    office: Office,
) -> None:
    office.most_unreadable, office.reasks = 4, 0
    office.pacing = PacingSettings(in_flight=1, base_s=0)

    def parse(request: Request, text: str) -> int:
        raise ValueError(f"is about document {text[:3]!r}, asked was {request.document!r}")

    def say(request: Request) -> str:
        message = {"content": f"ab{request.document} \x1b[2J\u202eyes"}
        return CUT if request.document == "0" else json.dumps({"choices": [{"message": message}]})

    office.parse, office.say = parse, say
    with pytest.raises(JudgeUnavailable) as caught:
        office.run(*keys(9))
    assert str(caught.value).startswith(
        "4 answers in a row could not be used: 3 of 4: is about document 'ab1', asked was '1'; "
        "it begins 'ab1 \\x1b[2J\\u202eyes'; all are"
    )


@pytest.mark.parametrize("reasks", [0, 1, 3])
def test_what_stays_unusable_is_asked_again_so_many_times_and_no_more(
    office: Office, reasks: int
) -> None:
    office.say, office.reasks = (lambda request: f"bad {request.replicate}"), reasks
    for asked in (1 + reasks, 0):
        found = office.run("7")["7"]
        assert len(office.judge.asked) == asked
        assert (found.answer.outcome, found.value) == ("invalid", None)
        assert found.answer.raw_response == f"bad {reasks}"


def test_a_replicate_that_fails_leaves_the_first_answer(office: Office) -> None:
    office.say = lambda request: "bad" if request.replicate == 0 else fails(status=400)(request)
    found = office.run("7")["7"]
    assert (found.answer.outcome, found.answer.raw_response) == ("invalid", "bad")
    assert office.outcomes() == {"7": "invalid", "7+": "failed"}


@pytest.mark.parametrize("flush_answers", [64, 10**9])
def test_equal_questions_are_asked_once_near_or_far(office: Office, flush_answers: int) -> None:
    """In one look-up, in the next one while at work, and long after: in the table or journal."""
    office.flush_answers = flush_answers
    same = [replace(request("1"), doc_id=f"copy {i}") for i in range(4)]
    found = office.run(*same[:2], *keys(_CHUNK), same[2], *map(str, range(_CHUNK, 4_000)), same[3])
    assert Counter(office.judge.asked) == Counter(keys(4_000))
    assert [found[f"copy {i}"].value for i in range(4)] == [1] * 4


def test_equal_questions_that_fail_or_read_badly_are_asked_no_more_often(office: Office) -> None:
    def say(request: Request) -> str:
        if request.document == "0":
            raise CallFailed("no", status=400)
        return "bad" if request.document == "1" else request.document

    office.say = say
    copies = [replace(request(k), doc_id=f"{k} {i}") for i in range(3) for k in ("0", "1")]
    office.run(*copies[:4], *map(str, range(2, 4_000)), *copies[4:])
    counts = Counter(office.judge.asked)
    assert (counts["0"], counts["1"], counts["1+"], max(counts.values())) == (1, 1, 1, 1)


def test_keys_are_looked_up_in_chunks_and_once_each(office: Office) -> None:
    office.run(*keys(2_500))
    assert [len(chunk) for chunk in office.looked_up] == [1_024, 1_024, 452]
    assert len(set().union(*office.looked_up)) == 2_500


def test_requests_are_taken_only_as_they_are_needed(office: Office) -> None:
    taken = handed_out = most = 0

    def source() -> Iterator[Request]:
        nonlocal taken, most
        for key in keys(4_500):
            taken += 1
            most = max(most, taken - handed_out)
            yield request(key)

    office.say = lambda r: "bad" if int(r.document) % 3 == 0 else r.document
    with office.open() as (desk, ledger):
        for _ in answered(source(), desk, ledger):
            handed_out += 1
    assert (taken, handed_out) == (4_500, 4_500)
    assert _CHUNK < most <= 2 * _CHUNK


def test_runs_of_one_desk_share_its_loop_and_the_judge_is_closed_there(office: Office) -> None:
    with office.open() as (desk, ledger):
        assert len(list(answered(map(request, "12"), desk, ledger))) == 2
        assert len(list(answered(map(request, "345"), desk, ledger))) == 3
        assert not office.judge.is_closed
    assert office.judge.is_closed
    assert len(office.judge.loops) == 1
    assert threads() == []


def test_every_attempt_is_paid_for(office: Office) -> None:
    """Refused, lost after sending, lost again, answered: the lost ones count at their most."""
    tries = iter([{"status": 429}, {"lost": True}, {"lost": True}])

    def say(request: Request) -> str:
        for arguments in tries:
            raise CallFailed("the line broke", **arguments)  # type: ignore[arg-type]
        return request.document

    office.say, office.pacing = say, PacingSettings(base_s=0)
    found = office.run("7")["7"]
    (row,) = office.table
    assert (found.value, found.answer.attempts, row.attempts) == (7, 4, 4)
    assert row.cost_nanos == found.answer.cost_nanos == 2 * MOST.usd_nanos + 20_000
    assert office.budget.spent == Spent(row.cost_nanos, row.input_tokens + row.output_tokens)
    assert row.output_tokens == 105


@pytest.mark.parametrize("usage", [(0, 0), (0, 9), (10**30, 0)])
def test_an_answer_without_believable_usage_counts_at_its_most(
    office: Office, usage: tuple[int, int]
) -> None:
    office.say = lambda request: Answer("7", "answered", None, usage[0], 10**30, usage[1])
    found = office.run("7")["7"].answer
    assert (found.output_tokens, found.cached_input_tokens) == (50, 0)
    spent = Spent(found.cost_nanos, found.input_tokens + found.output_tokens)
    assert office.budget.spent == spent
    assert spent == MOST


def test_a_judge_that_bills_nothing_reserves_nothing(office: Office) -> None:
    office.say, office.max_output_tokens = (lambda request: Answer(request.document)), None
    office.caps = Caps(tokens=0, usd=Decimal(0))
    assert len(office.run(*keys(50))) == 50
    assert {(r.input_tokens, r.output_tokens, r.cost_nanos) for r in office.table} == {(0, 0, 0)}


def test_random_faults_leave_rows_that_sum_to_what_is_spent(office: Office) -> None:
    rng = random.Random(7)

    def say(request: Request) -> str | Answer:
        kind = rng.randrange(40)
        if kind < 3:
            raise CallFailed("the line broke", status=[None, 503, 400][kind], lost=kind == 0)
        if kind < 15:
            return ["bad", CUT, REFUSED][kind % 3]
        return Answer(request.document, "answered", None, rng.randrange(300), 3, rng.randrange(50))

    office.say = say
    found = office.run(*keys(700))
    assert {a.answer.outcome for a in found.values()} == {
        "answered", "failed", "invalid", "refused", "truncated"
    }  # fmt: skip
    assert all((a.value is None) == (a.answer.outcome != "answered") for a in found.values())
    tokens = sum(r.input_tokens + r.output_tokens for r in office.table)
    assert office.budget.spent == Spent(sum(r.cost_nanos for r in office.table), tokens)
    assert sum(r.attempts for r in office.table) == len(office.judge.asked)
    assert office.journal.lost == 0


def until_it_ends(office: Office, many: int, expected: type[BaseException]) -> list[str]:
    """The keys handed out before the error."""
    found: list[str] = []
    with pytest.raises(expected), office.open() as (desk, ledger):
        found.extend(a.call_key for a in answered(map(request, keys(many)), desk, ledger))
    assert threads() == []
    return found


def test_a_cap_that_is_reached_keeps_all_answers_and_hands_them_out(office: Office) -> None:
    office.caps = Caps(tokens=60_000)
    found = until_it_ends(office, 4_000, CapReached)
    assert 100 < len(found) < 4_000
    assert sorted(found) == sorted(office.judge.asked) == sorted(office.outcomes())
    assert office.budget.reserved == Spent()
    assert office.budget.spent.tokens <= 60_000
    office.caps = Caps()
    assert len(office.run(*keys(4_000))) == 4_000
    assert len(office.judge.asked) == 4_000 - len(found)


def test_a_judge_that_is_gone_ends_the_run_and_its_failures_are_rows(office: Office) -> None:
    office.say = fails(status=401)
    found = until_it_ends(office, 4_000, JudgeUnavailable)
    assert 1 <= len(office.judge.asked) <= 5
    assert set(found) <= set(office.judge.asked)
    assert office.outcomes() == dict.fromkeys(office.judge.asked, "failed")


def test_a_defect_ends_the_run_when_the_calls_in_flight_are_recorded(office: Office) -> None:
    def say(request: Request) -> str:
        if request.document == "30":
            raise ZeroDivisionError("the key is hunter2")
        return request.document

    office.say = say
    found = until_it_ends(office, 4_000, ZeroDivisionError)
    assert sorted([*found, "30"]) == sorted(office.judge.asked) == sorted(office.outcomes())
    row = next(row for row in office.table if row.call_key == "30")
    assert (row.outcome, row.reason, row.attempts) == (
        "failed", "a defect: ZeroDivisionError", 1
    )  # fmt: skip
    assert row.cost_nanos == MOST.usd_nanos + 1_000
    assert office.budget.reserved == Spent()


def test_a_call_that_waits_for_room_is_not_sent_after_a_defect(office: Office) -> None:
    """Two fit at once. When the first has broken and the second is settled, a third would."""

    def say(request: Request) -> str:
        if request.document == "0":
            raise ZeroDivisionError("a defect")
        return request.document

    office.say, office.caps = say, Caps(tokens=MOST.tokens * 5 // 2)
    assert until_it_ends(office, 4, ZeroDivisionError) == ["1"]
    assert office.judge.asked == ["0", "1"]


def test_a_refusal_of_our_own_ends_the_run_and_costs_nothing(office: Office) -> None:
    def say(request: Request) -> str:
        raise InputError("may not be sent")

    office.say = say
    assert until_it_ends(office, 10, InputError) == []
    assert {row.cost_nanos for row in office.table} == {0}
    assert office.budget.spent == Spent()


def test_a_defect_of_the_parser_ends_the_run_and_loses_no_answer(office: Office) -> None:
    def parse(request: Request, text: str) -> int:
        if text == "30":
            raise ZeroDivisionError("a defect")
        return int(text)

    office.parse = parse
    found = until_it_ends(office, 4_000, ZeroDivisionError)
    assert sorted([*found, "30"]) == sorted(office.judge.asked) == sorted(office.outcomes())
    assert {row.outcome for row in office.table} == {"answered"}


def test_an_error_of_the_source_ends_the_run_and_loses_no_answer(office: Office) -> None:
    def source() -> Iterator[Request]:
        yield from map(request, keys(_CHUNK))
        raise OSError("no more rows")

    with office.open() as (desk, ledger), pytest.raises(OSError, match="no more rows"):
        list(answered(source(), desk, ledger))
    assert sorted(office.judge.asked) == sorted(office.outcomes())
    assert threads() == []


def test_a_sink_that_fails_ends_the_run_and_loses_no_answer(office: Office) -> None:
    office.sink_fails = True
    found = until_it_ends(office, 4_000, OSError)
    assert office.budget.reserved == Spent()
    asked, office.sink_fails = office.judge.asked, False
    assert sorted(found) == sorted(asked)
    assert len(asked) < 4_000
    office.run(*keys(4_000))
    assert sorted(asked + office.judge.asked) == sorted(keys(4_000))


def test_closing_early_waits_for_the_calls_in_flight_and_records_them(office: Office) -> None:
    with office.open() as (desk, ledger):
        handed_out = answered(map(request, keys(4_000)), desk, ledger)
        assert next(handed_out).value is not None
        handed_out.close()
        asked = len(office.judge.asked)
        with pytest.raises(JudgeUnavailable, match="the run was ended"):
            list(answered([request("other")], desk, ledger))
    assert len(office.judge.asked) == asked < 4_000
    assert sorted(office.judge.asked) == sorted(office.outcomes())
    assert set(office.outcomes().values()) == {"answered"}
    assert threads() == []


def test_leaving_the_block_ends_a_run_that_nobody_closed(office: Office) -> None:
    with office.open() as (desk, ledger):
        handed_out = answered(map(request, keys(4_000)), desk, ledger)
        next(handed_out)
    assert sorted(office.judge.asked) == sorted(office.outcomes())
    assert threads() == []


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell lets what it starts in the background ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_run_and_loses_no_answer(office: Office) -> None:
    def say(request: Request) -> str:
        if request.document == "30":
            _thread.interrupt_main()
        return request.document

    office.say = say
    until_it_ends(office, 4_000, KeyboardInterrupt)
    assert len(office.judge.asked) < 4_000
    assert sorted(office.judge.asked) == sorted(office.outcomes())
    assert set(office.outcomes().values()) == {"answered"}


LONG, TOO_LONG = "7000000", "status 400: request (9 tokens) exceeds the available context size (3)"


def long_documents(*texts: str) -> list[Request]:
    return [replace(request(text), cut_to=1) for text in texts]


def reads_at_most(characters: int) -> Say:
    def say(request: Request) -> str:
        if len(request.document) > characters:
            raise PromptTooLong(TOO_LONG, 400)
        return request.document

    return say


def test_a_prompt_that_is_too_long_is_asked_once_more_with_a_shorter_excerpt(
    office: Office,
) -> None:
    office.say = reads_at_most(3)
    found = office.run(*long_documents(LONG))[LONG]
    assert office.judge.asked == [LONG, f"{LONG}-"]
    assert (found.value, found.answer.outcome, found.call_key) == (700, "answered", f"{LONG}-")
    assert (found.was_cut, found.asked.document, found.request.document) == (True, "700", LONG)
    first, second = sorted(office.table, key=lambda row: row.call_key)
    assert (first.outcome, first.reason, first.attempts) == ("too_long", TOO_LONG, 1)
    assert (first.cost_nanos, first.input_tokens, first.output_tokens) == (0, 0, 0)
    assert (second.outcome, second.reason, second.cost_nanos) == ("answered", None, 20_000)
    assert office.budget.spent == Spent(20_000, 15), "paid once"
    again = office.run(*long_documents(LONG))[LONG]
    assert office.judge.asked == [], "both are in the ledger"
    assert (again.value, again.was_cut) == (700, True)


def test_what_was_cut_and_cannot_be_read_is_asked_again_as_it_was_cut(office: Office) -> None:
    read = reads_at_most(3)
    office.say = lambda request: "seven" if request.call_key.endswith("-") else read(request)
    found = office.run(*long_documents(LONG))[LONG]
    assert office.judge.asked == [LONG, f"{LONG}-", f"{LONG}-+"]
    assert (found.value, found.asked.document) == (700, "700")


def test_a_prompt_that_is_too_long_even_when_cut_fails_and_the_cut_one_is_asked_on_request(
    office: Office,
) -> None:
    office.say = reads_at_most(2)
    found = office.run("1", *long_documents(LONG))[LONG]
    assert (found.answer.outcome, found.answer.reason) == ("failed", TOO_LONG)
    assert office.outcomes() == {"1": "answered", LONG: "too_long", f"{LONG}-": "failed"}
    office.say = reads_at_most(3)
    assert office.run(*long_documents(LONG))[LONG].value == 700
    assert office.judge.asked == [f"{LONG}-"]


def test_a_document_that_cannot_be_cut_fails_as_any_question_that_is_refused(
    office: Office,
) -> None:
    office.say = reads_at_most(0)
    found = office.run("7", replace(request("777"), cut_to=1))
    assert {each.answer.outcome for each in found.values()} == {"failed"}
    assert sorted(office.judge.asked) == ["7", "777"]


def test_long_documents_do_not_stop_a_run_whose_judge_reads_shorter_ones(office: Office) -> None:
    office.say, office.most_unreadable = reads_at_most(3), 2
    texts = [f"{i}00000" for i in range(100, 200)]
    found = office.run(*long_documents(*texts))
    assert sorted(each.value or 0 for each in found.values()) == list(range(100, 200))
    assert len(office.judge.asked) == 200


def test_a_judge_for_which_every_prompt_is_too_long_stops_the_run_with_the_setting(
    office: Office,
) -> None:
    office.say = reads_at_most(0)
    with pytest.raises(JudgeUnavailable) as caught:
        office.run(*long_documents(*[f"{i}00000" for i in range(100, 200)]))
    assert str(caught.value) == (
        f"the first calls were refused, 5 in a row with {TOO_LONG}; lower judge.window_tokens or "
        "judge.max_output_tokens, or serve a longer context"
    )
    assert {row.cost_nanos for row in office.table} == {0}
