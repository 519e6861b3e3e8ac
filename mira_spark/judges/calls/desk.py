"""Where calls are made: paced, paid for, written down before they are sent and before they are
read, on an event loop in a thread of its own."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, Self, TypeVar

from mira_spark.errors import MiraError
from mira_spark.judges import prompts
from mira_spark.judges.calls.journal import Journal
from mira_spark.judges.calls.journal_file import CallRow
from mira_spark.judges.calls.loop_thread import LoopThread
from mira_spark.judges.calls.pacing import GaveUp, JudgeUnavailable, Pacer, utc_now
from mira_spark.judges.calls.prices import upper_bound_tokens
from mira_spark.judges.calls.spending import Spending
from mira_spark.judges.calls.usage import CallUsage
from mira_spark.judges.protocol import (
    UNREADABLE_OUTCOMES,
    Anchor,
    Answer,
    CallFailed,
    Judge,
    PromptTooLong,
    Purpose,
    Request,
)
from mira_spark.judges.unusable import REMEDY, summary
from mira_spark.settings.judge import Price

_T = TypeVar("_T")

LOST = "the driver ended while the call was in flight; presumed paid"
UNANSWERED = ("failed", "too_long")
"""The outcomes that are known without reading, as nothing was answered."""
MOST_TOKENS = 10**9
"""No call uses as many: a server that says so counts as one that says nothing."""

Read = Callable[[Request, Answer], tuple[Answer, _T | None]]
"""The answer with its outcome and reason, and what was read out of it; a failure as it is."""


@dataclass(frozen=True)
class Asked(Generic[_T]):
    """A request that was handed in; its answer is None when the desk stopped before it."""

    request: Request
    answer: Answer | None = None
    value: _T | None = None


class Desk:
    """One judge with all that its calls go through. A `with` block ends it: calls in flight are
    waited for, then the judge is closed.

    The first error that is not one request's own stops it for good: nothing more is sent, what is
    in flight is still recorded, and `error` says why. So do `most_unreadable` answers in a row, of
    those that came here: a page in the place of answers costs no more.
    """

    def __init__(
        self,
        judge: Judge,
        journal: Journal,
        spending: Spending,
        pacer: Pacer,
        run_id: str,
        now: Callable[[], datetime] = utc_now,
        most_unreadable: int | None = None,
        price: Price | None = None,
        host: "Desk | None" = None,
    ) -> None:
        self._judge, self._journal, self._spending, self._pacer = judge, journal, spending, pacer
        self._run_id, self._now, self._price = run_id, now, price
        self._most_unreadable = most_unreadable
        self._unreadable: list[Answer] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self.error: BaseException | None = None
        self._is_guest = host is not None
        self._thread: LoopThread = host._thread if host else LoopThread()
        self._loop = self._thread.loop

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            self.stop()
            asyncio.run_coroutine_threadsafe(self._judge.close(), self._loop).result()
        finally:
            self._is_closed = True
            if not self._is_guest:
                self._thread.end()

    def beside(self, judge: Judge, price: Price, pacer: Pacer) -> "Desk":
        """A desk for another judge at its own price: on the same journal, under the same caps. Its
        `with` block lies within this one's."""
        return Desk(
            judge,
            self._journal,
            self._spending,
            pacer,
            self._run_id,
            self._now,
            self._most_unreadable,
            price,
            host=self,
        )

    def ask(
        self, requests: Iterable[Request], read: Read[_T], done: SimpleQueue[Asked[_T]]
    ) -> None:
        """Hand in requests, from any thread; each comes back through `done` once, in any order.

        `read` is called in the desk's thread, when the answer is durable.
        """
        self._loop.call_soon_threadsafe(self._accept, list(requests), read, done)

    def find(self, keys: Sequence[str]) -> Mapping[str, Answer]:
        """The answers to `keys` that the journal holds."""
        return self._journal.find(keys)

    def stop(self) -> None:
        """Send nothing more, and return when nothing is in flight; not in the desk's thread."""
        if not self._is_closed:
            asyncio.run_coroutine_threadsafe(self._stop_and_wait(), self._loop).result()

    def _accept(
        self, requests: list[Request], read: Read[_T], done: SimpleQueue[Asked[_T]]
    ) -> None:
        for request in requests:
            task = self._loop.create_task(self._serve(request, read, done))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _stop(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error
            self._pacer.stop(f"not asked: {_reason(error)}")

    async def _stop_and_wait(self) -> None:
        self._stop(JudgeUnavailable("the run was ended"))
        await asyncio.gather(*self._tasks)

    async def _serve(self, request: Request, read: Read[_T], done: SimpleQueue[Asked[_T]]) -> None:
        asked: Asked[_T] = Asked(request)
        try:
            answer, value = read(request, await self._answer(request))
            if answer.outcome != "failed":
                self._journal.conclude(request.call_key, answer.outcome, answer.reason)
                self._count_unreadable(answer)
            asked = Asked(request, answer, value)
        except BaseException as error:
            self._stop(error)
        done.put(asked)

    def _count_unreadable(self, answer: Answer) -> None:
        """Stop when too many answers in a row could not be used; a prompt that was too long, and is
        asked again shorter, counts neither way."""
        if answer.outcome == "answered":
            self._unreadable.clear()
        if answer.outcome not in UNREADABLE_OUTCOMES:
            return
        self._unreadable.append(answer)
        if len(self._unreadable) == self._most_unreadable:
            self._stop(
                JudgeUnavailable(
                    f"{len(self._unreadable)} answers in a row could not be used: "
                    f"{summary(self._unreadable)}; all are in judge_calls. {REMEDY}"
                )
            )

    async def _answer(self, request: Request) -> Answer:
        """The recorded answer; `failed` where the request was given up."""
        call = CallUsage(request, self._most_tokens(request))
        try:
            answer, _ = await self._pacer.call(partial(self._attempt, call))
        except GaveUp as error:
            answer = _failed_answer(error)
        except PromptTooLong as error:
            answer = Answer(None, "too_long", str(error))
        except BaseException as error:
            self._stop(error)
            if call.sent:
                await self._journal.record(self._row(call, _failed_answer(error)))
            raise
        answer = call.total(answer)
        await self._journal.record(self._row(call, answer))
        return answer

    async def _attempt(self, call: CallUsage) -> Answer:
        source = call.request.source
        reservation = await self._spending.reserve(source, *call.most_tokens, self._price)
        nanos = reservation.most.usd_nanos
        most_tokens = (reservation.input_tokens, reservation.output_tokens)
        try:
            if self.error is not None:
                raise JudgeUnavailable(f"not asked: {_reason(self.error)}")
            presumed = replace(call, sent=call.sent + 1)
            presumed.spend(most_tokens, nanos)
            await self._journal.intend(self._row(presumed, Answer(None, "failed", LOST)))
        except BaseException:
            self._spending.release(reservation)
            raise
        call.sent += 1
        try:
            answer = await self._judge.ask(call.request)
        except BaseException as error:
            # Errors of our own kind are raised before anything is sent.
            if error.lost if isinstance(error, CallFailed) else not isinstance(error, MiraError):
                self._spending.settle(reservation, None)
                call.spend(most_tokens, nanos)
            else:
                self._spending.release(reservation)
            if isinstance(error, PromptTooLong) and not call.request.can_be_cut:
                raise CallFailed(str(error), error.status) from None
            raise
        tokens = (answer.input_tokens, answer.output_tokens)
        if tokens[0] <= 0 or sum(tokens) > MOST_TOKENS:
            # Without usage the whole reservation counts, here as in the spending.
            answer = replace(answer, input_tokens=0, cached_input_tokens=0)
            tokens = most_tokens
        call.spend(tokens, self._spending.settle(reservation, answer))
        return answer

    def _most_tokens(self, request: Request) -> tuple[int, int]:
        """Of the prompt and of the answer; nothing where nothing is billed."""
        if self._judge.max_output_tokens is None:
            return 0, 0
        is_embedded = request.purpose == "embed"
        schema = "" if is_embedded else _schema(request.anchors, request.purpose)
        return upper_bound_tokens(request.messages, schema), self._judge.max_output_tokens

    def _row(self, call: CallUsage, answer: Answer) -> CallRow:
        request = call.request
        return CallRow(
            call_key=request.call_key,
            purpose=request.purpose,
            doc_id=request.doc_id,
            source_group=request.source_group,
            source=request.source,
            rubric_id=request.rubric_id,
            judge=self._judge.name,
            answered_by=answer.model or None,
            raw_response=answer.raw_response,
            outcome=answer.outcome if answer.outcome in UNANSWERED else None,
            reason=answer.reason,
            input_tokens=call.input_tokens,
            cached_input_tokens=answer.cached_input_tokens,
            output_tokens=call.output_tokens,
            cost_nanos=call.cost_nanos,
            attempts=call.sent,
            latency_ms=answer.latency_ms,
            replicate=request.replicate,
            run_id=self._run_id,
            answered_at=self._now(),
        )


def _failed_answer(error: BaseException) -> Answer:
    return Answer(None, "failed", _reason(error))


def _reason(error: BaseException) -> str:
    """What a row may say: the words of a foreign error could hold anything."""
    is_ours = isinstance(error, MiraError | GaveUp)
    return str(error)[:500] if is_ours else f"a defect: {type(error).__name__}"


@lru_cache(maxsize=64)
def _schema(anchors: tuple[Anchor, ...], purpose: Purpose) -> str:
    return json.dumps(prompts.schema(anchors, purpose))
