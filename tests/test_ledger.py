"""No question is asked twice, and no answer is handed out before it is recorded."""

from collections.abc import Mapping, Sequence

import pytest

from mira_spark.errors import JudgeError
from mira_spark.judges.ledger import Ledger, answered
from mira_spark.judges.protocol import Answer, Request


class Echo:
    """A judge that answers with the document and notes what it is asked."""

    name = "test:echo"

    def __init__(self, events: list[str], breaks_at: str | None = None) -> None:
        self.events, self.breaks_at = events, breaks_at

    async def ask(self, request: Request) -> Answer:
        self.events.append(f"ask {request.doc_id}")
        if request.doc_id == self.breaks_at:
            raise JudgeError("the judge is gone")
        return Answer(f"on {request.document}")


class Failing:
    """A judge that says that it failed."""

    name = "test:failing"

    async def ask(self, request: Request) -> Answer:
        return Answer("", "failed", reason="503")


class Book:
    """A record in memory that notes when it is read and written."""

    def __init__(self, events: list[str], **held: str) -> None:
        self.events = events
        self.held = {key: Answer(text) for key, text in held.items()}
        self.recorded: list[list[tuple[Request, Answer]]] = []

    def known(self, keys: Sequence[str]) -> Mapping[str, Answer]:
        self.events.append(f"look up {','.join(keys)}")
        return {key: self.held[key] for key in keys if key in self.held}

    def record(self, answers: Sequence[tuple[Request, Answer]]) -> None:
        self.events.append(f"record {','.join(request.doc_id for request, _ in answers)}")
        self.recorded.append(list(answers))
        self.held |= {request.call_key: answer for request, answer in answers}

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.known, self.record)


def request(key: str, doc_id: str | None = None) -> Request:
    doc_id = doc_id or key
    return Request(key, "label", doc_id, "group_a", f"text of {doc_id}", (), ())


@pytest.fixture
def events() -> list[str]:
    return []


def test_only_what_is_not_known_is_asked(events: list[str]) -> None:
    book = Book(events, b="said before", other="never asked for")
    found = list(answered(Echo(events), book.ledger, [request("a"), request("b"), request("c")]))
    assert [(r.doc_id, a.raw_response) for r, a in found] == [
        ("a", "on text of a"),
        ("b", "said before"),
        ("c", "on text of c"),
    ]
    assert events == ["look up a,b,c", "ask a", "ask c", "record a,c"]


def test_what_is_recorded_is_what_is_handed_out(events: list[str]) -> None:
    book = Book(events)
    found = list(answered(Echo(events), book.ledger, [request("a"), request("b")]))
    assert book.recorded == [found]


def test_nothing_is_asked_or_recorded_when_all_is_known(events: list[str]) -> None:
    book = Book(events, a="1", b="2")
    found = list(answered(Echo(events), book.ledger, [request("b"), request("a")]))
    assert [a.raw_response for _, a in found] == ["2", "1"]
    assert events == ["look up b,a"]


def test_asking_again_is_answered_from_the_record(events: list[str]) -> None:
    book = Book(events)
    requests = [request("a"), request("b")]
    first = list(answered(Echo(events), book.ledger, requests))
    events.clear()
    assert list(answered(Echo(events), book.ledger, requests)) == first
    assert events == ["look up a,b"]


def test_an_answer_is_recorded_before_the_first_is_handed_out(events: list[str]) -> None:
    book = Book(events, a="said before")
    handed = answered(Echo(events), book.ledger, [request("a"), request("b"), request("c")])
    assert next(handed)[0].doc_id == "a"
    assert events == ["look up a,b,c", "ask b", "ask c", "record b,c"]


def test_nothing_is_handed_out_when_it_cannot_be_recorded(events: list[str]) -> None:
    def record(answers: Sequence[tuple[Request, Answer]]) -> None:
        raise OSError("the disk is full")

    handed = answered(
        Echo(events), Ledger(Book(events, a="1").known, record), [request("a"), request("b")]
    )
    with pytest.raises(OSError, match="the disk is full"):
        next(handed)


def test_the_same_question_twice_is_asked_and_recorded_once(events: list[str]) -> None:
    book = Book(events)
    requests = [request("a", "first"), request("b"), request("a", "again")]
    found = list(answered(Echo(events), book.ledger, requests))
    assert [r for r, _ in found] == requests
    assert found[0][1] == found[2][1]
    assert sum(event in {"ask first", "ask again"} for event in events) == 1
    assert [r.call_key for r, _ in book.recorded[0]] == ["a", "b"]


def test_the_order_is_kept_whatever_is_known(events: list[str]) -> None:
    keys = [f"k{i * 7 % 20}" for i in range(20)]
    book = Book(events, **{key: f"on text of {key}" for key in keys[::3]})
    found = list(answered(Echo(events), book.ledger, [request(key) for key in keys]))
    assert [(r.call_key, a.raw_response) for r, a in found] == [
        (key, f"on text of {key}") for key in keys
    ]


def test_a_judge_that_raises_leaves_no_record(events: list[str]) -> None:
    book = Book(events)
    judge = Echo(events, breaks_at="b")
    with pytest.raises(JudgeError, match="the judge is gone"):
        list(answered(judge, book.ledger, [request("a"), request("b"), request("c")]))
    assert book.recorded == []
    assert book.held == {}


def test_a_failure_is_recorded_and_handed_out_as_an_answer(events: list[str]) -> None:
    book = Book(events)
    found = list(answered(Failing(), book.ledger, [request("a")]))
    assert found == [(request("a"), Answer("", "failed", reason="503"))]
    assert book.recorded == [found]


def test_without_questions_nothing_is_asked(events: list[str]) -> None:
    book = Book(events)
    assert list(answered(Echo(events), book.ledger, [])) == []
    assert book.recorded == []
