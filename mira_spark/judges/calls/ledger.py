"""Nothing is asked twice: a question whose answer is recorded is answered from the record."""

import queue
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from mira_spark.judges import reading
from mira_spark.judges.calls.desk import UNANSWERED, Asked, Desk
from mira_spark.judges.protocol import UNREADABLE_OUTCOMES, Answer, Request

_T = TypeVar("_T")

_CHUNK = 1_024
"""Keys looked up at once, and requests at work meanwhile: a second's worth and more, so that the
judge does not wait for a look-up."""


@dataclass(frozen=True)
class Ledger(Generic[_T]):
    """How answers are known and read.

    `known` maps those of the keys it has to their answers, all that ever reached `judge_calls`
    among them, this run's own too; one failed row does not hide an answer. `parse` reads the
    judge's text; it raises ValueError saying what is not as asked, and depends on nothing of a
    request that its call_key does not cover. `again` is the same question under the next
    replicate, put at most `reasks` times where an answer is invalid, refused or truncated.
    `shorter` is the question about a shorter excerpt of the document, put once where the prompt was
    too long for the judge and can be cut.
    """

    known: Callable[[Sequence[str]], Mapping[str, Answer]]
    parse: Callable[[Request, str], _T]
    again: Callable[[Request], Request]
    reasks: int = 1
    shorter: Callable[[Request], Request] | None = None


@dataclass(frozen=True)
class Answered(Generic[_T]):
    """A request with its answer and, where the outcome is `answered`, what was read out of it.

    `asked` is the question that was answered: the request, or what was asked in its place, a later
    replicate or about a shorter excerpt.
    """

    request: Request
    answer: Answer
    value: _T | None
    asked: Request

    @property
    def call_key(self) -> str:
        """That of the answer's row of `judge_calls`."""
        return self.asked.call_key

    @property
    def was_cut(self) -> bool:
        """Whether a shorter excerpt was judged than was to be."""
        return self.asked.document != self.request.document


@dataclass
class _Item(Generic[_T]):
    """A request on its way; `asked` is the question whose answer it waits for."""

    request: Request
    asked: Request
    reasks: int
    best: Answered[_T] | None = None


def answered(
    requests: Iterable[Request],
    desk: Desk,
    ledger: Ledger[_T],
    before_asking: Callable[[], None] | None = None,
) -> Generator[Answered[_T], None, None]:
    """Every request once with its answer, as they come: recorded ones are read again, the others
    asked at the desk, equal keys once. `before_asking` is called once before the first is asked,
    never where all are recorded; what it raises ends the run.

    Requests are taken as they are needed: at most 2 * CHUNK are held. When the desk stops, what
    was answered is handed out before its error is raised; closing the iterator stops the desk.
    Both take until no call is in flight any more, and all that was answered is recorded.
    """
    run = _Use(desk, ledger, before_asking)
    try:
        yield from run.answers(iter(requests))
    finally:
        run.finish()


class _Use(Generic[_T]):
    """One use of the ledger, in the caller's thread."""

    def __init__(
        self, desk: Desk, ledger: Ledger[_T], before_asking: Callable[[], None] | None
    ) -> None:
        self._desk, self._ledger, self._before_asking = desk, ledger, before_asking
        self._done: queue.SimpleQueue[Asked[_T]] = queue.SimpleQueue()
        self._waiting: dict[str, list[_Item[_T]]] = {}
        """By the key asked."""
        self._next: list[_Item[_T]] = []
        """To be looked up."""
        self._failed: dict[str, Answer] = {}
        """Failures of this run: no answers to the next one, but not asked twice in this one."""
        self._held = 0

    def answers(self, source: Iterator[Request]) -> Iterator[Answered[_T]]:
        has_more = True
        while has_more or self._held:
            at_work = self._held - len(self._next)
            if self._desk.error is not None and not at_work:
                break
            if self._desk.error is not None:
                yield from self._take(self._done.get())
            elif has_more and len(self._next) < _CHUNK and self._held < 2 * _CHUNK:
                # One at a time, between answers: many at a stretch would hold up the desk's thread.
                has_more = self._fetch(source)
                if not has_more:
                    yield from self._look_up()
            elif len(self._next) >= _CHUNK or not at_work:
                yield from self._look_up()
            else:
                yield from self._take(self._done.get())
        if self._desk.error is not None:
            raise self._desk.error

    def finish(self) -> None:
        """Return when nothing of this run is at the desk."""
        if self._waiting:
            self._desk.stop()

    def _fetch(self, source: Iterator[Request]) -> bool:
        """Whether there was another request."""
        request = next(source, None)
        if request is None:
            return False
        self._next.append(_Item(request, request, self._ledger.reasks))
        self._held += 1
        return True

    def _look_up(self) -> Iterator[Answered[_T]]:
        """Those whose answer is known; the others are handed to the desk."""
        items, self._next = self._next[:_CHUNK], self._next[_CHUNK:]
        known_answers = self._find([item.asked.call_key for item in items])
        known, unknown = [], dict[str, list[_Item[_T]]]()
        for item in items:
            key = item.asked.call_key
            if key in self._waiting:
                self._waiting[key].append(item)
            elif key in known_answers:
                known.append((item, *self._parsed_answer(item.asked, known_answers[key])))
            else:
                unknown.setdefault(key, []).append(item)
        if unknown and self._before_asking is not None:
            self._before_asking()
            self._before_asking = None
        self._desk.ask(
            [same[0].asked for same in unknown.values()], self._parsed_answer, self._done
        )
        self._waiting |= unknown
        yield from self._settle(known)

    def _find(self, keys: Sequence[str]) -> dict[str, Answer]:
        wanted = [key for key in dict.fromkeys(keys) if key not in self._waiting]
        answers = {key: self._failed[key] for key in wanted if key in self._failed}
        # The journal first: what leaves it meanwhile is in the table by then.
        answers |= self._desk.find(wanted)
        if missing := [key for key in wanted if key not in answers]:
            known = self._ledger.known(missing)
            answers |= {k: a for k, a in known.items() if a.outcome != "failed"}
        return answers

    def _take(self, asked: Asked[_T]) -> Iterator[Answered[_T]]:
        items = self._waiting.pop(asked.request.call_key)
        if asked.answer is None:
            self._held -= len(items)
            return
        if asked.answer.outcome == "failed":
            self._failed[asked.request.call_key] = asked.answer
        yield from self._settle([(item, asked.answer, asked.value) for item in items])

    def _settle(
        self, answers: Iterable[tuple[_Item[_T], Answer, _T | None]]
    ) -> Iterator[Answered[_T]]:
        """What is handed out; the others are to be asked again."""
        for item, answer, value in answers:
            result = Answered(item.request, answer, value, item.asked)
            shorter = self._ledger.shorter if item.asked.can_be_cut else None
            if answer.outcome == "too_long" and shorter:
                item.asked = shorter(item.asked)
                self._next.append(item)
            elif answer.outcome in UNREADABLE_OUTCOMES and item.reasks > 0:
                item.best, item.asked = result, self._ledger.again(item.asked)
                item.reasks -= 1
                self._next.append(item)
            else:
                self._held -= 1
                yield item.best if answer.outcome == "failed" and item.best else result

    def _parsed_answer(self, request: Request, answer: Answer) -> tuple[Answer, _T | None]:
        """The answer as today's parser sees it."""
        if answer.outcome in UNANSWERED:
            return answer, None
        try:
            value = self._ledger.parse(request, reading.content(answer.raw_response or ""))
        except reading.Unusable as error:
            return replace(answer, outcome=error.outcome, reason=error.reason), None
        except ValueError as error:
            return replace(answer, outcome="invalid", reason=str(error)[:500]), None
        return replace(answer, outcome="answered", reason=None), value
