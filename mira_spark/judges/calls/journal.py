"""The journal of calls: durable at once, handed on to the table of calls in batches.

A call is intended before it is sent, recorded before it is read, and then concluded: it has an
outcome. What several callers write at the same time is one transaction and one fsync. Concluded
rows go to a sink in numbered batches, and are forgotten once it has returned. What a journal holds
when it is opened may have arrived before, under an earlier opening or from another copy of the
file: the sink is told so and looks the rows up.
"""

import asyncio
import contextlib
import queue
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from mira_spark.judges.calls.journal_file import (
    CallRow,
    JournalFile,
    Statement,
    conclusion,
    intention,
    record,
)
from mira_spark.judges.protocol import Answer, CallOutcome

Sink = Callable[[str, int, Sequence[CallRow], bool], None]
"""Makes rows part of `judge_calls`, each once, and returns when they are: given an id that is new
with every opening, the number of the batch, which grows, the rows, and whether rows of it may be
there already."""


class _Write(NamedTuple):
    statements: list[Statement]
    waiter: asyncio.Future[None] | None


class Journal:
    """The journal in one file, which one process at a time may open; BusyError for a second.

    Opening hands to `sink`, as rows that may be there already, all that an earlier process left:
    answers, and as `failed` rows the calls it had in flight (`lost` is their number). From then on
    a batch is handed over when `flush_answers` rows are concluded or one has been for `flush_s`.
    An error of the sink ends that, keeps the rows, and is raised to whoever next intends a call,
    and by `close`.
    """

    def __init__(
        self,
        path: Path,
        sink: Sink,
        flush_answers: int = 64,
        flush_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink, self._clock = sink, clock
        self._flush_answers, self._flush_s = flush_answers, flush_s
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._concluded, self._since = 0, 0.0
        self._closing = False
        self._failure: BaseException | None = None
        self._opening = uuid.uuid4().hex
        self._file = JournalFile(path)
        try:
            self.lost = self._file.lose_intentions()
            self._file.unassign()
            self._hand_over_all(again=True)
        except BaseException:
            self._file.close()
            raise
        self._threads = [
            threading.Thread(target=work, name="journal", daemon=True)
            for work in (self._commit_groups, self._flush_in_time)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    async def intend(self, row: CallRow) -> None:
        """Durable when it returns: `row` is what stands should no answer ever be recorded."""
        if self._failure is not None:
            raise self._failure
        await self._durable(intention(row))

    async def record(self, row: CallRow) -> None:
        """Durable when it returns, and in place of what was intended under the same key."""
        await self._durable(record(row))

    def conclude(self, call_key: str, outcome: CallOutcome, reason: str | None) -> None:
        """Give the recorded answer its outcome. Not waited for: it can be read out again."""
        self._queue.put(_Write(conclusion(call_key, outcome, reason), None))

    def find(self, keys: Sequence[str]) -> Mapping[str, Answer]:
        """The answers to `keys` that are not handed over yet. A failure is no answer."""
        return {row.call_key: _answer(row) for row in self._file.find(keys)}

    def close(self) -> None:
        """Hand over the rest and let go of the file. Nobody may be writing any more."""
        if self._closing:
            return
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._queue.put(None)
        for thread in self._threads:
            thread.join()
        try:
            if self._failure is not None:
                raise self._failure
            self._hand_over_all()
        finally:
            self._file.close()

    async def _durable(self, statements: list[Statement]) -> None:
        if self._closing:
            raise ValueError("the journal is closed")
        waiter = asyncio.get_running_loop().create_future()
        self._queue.put(_Write(statements, waiter))
        await waiter

    def _commit_groups(self) -> None:
        """A thread: whatever waits becomes one transaction, then those who wait go on."""
        closing = False
        while not closing:
            taken = [self._queue.get()]
            while not self._queue.empty():
                taken.append(self._queue.get())
            closing = None in taken
            group = [write for write in taken if write is not None]
            error = self._commit(group)
            _wake([write.waiter for write in group if write.waiter is not None], error)

    def _commit(self, group: Sequence[_Write]) -> Exception | None:
        try:
            concluded = self._file.write(each for write in group for each in write.statements)
        except Exception as error:
            return error
        if concluded:
            with self._changed:
                self._since = self._since if self._concluded else self._clock()
                self._concluded += concluded
                self._changed.notify()
        return None

    def _flush_in_time(self) -> None:
        """A thread: hands over what is due until the journal is closing."""
        try:
            while self._wait_until_due():
                self._hand_over()
        except BaseException as error:
            self._failure = error

    def _wait_until_due(self) -> bool:
        """True when rows are due, False when the journal is closing."""
        with self._changed:
            while not self._closing and self._concluded < self._flush_answers:
                left = self._since + self._flush_s - self._clock() if self._concluded else None
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
            return not self._closing

    def _hand_over(self, again: bool = False) -> int:
        batch, rows = self._file.assign()
        with self._changed:
            self._concluded -= rows
            self._since = self._clock()
        if rows:
            self._sink(self._opening, batch, self._file.rows(batch), again)
            self._file.forget(batch)
        return rows

    def _hand_over_all(self, again: bool = False) -> None:
        self._file.conclude_unread()
        while self._hand_over(again):
            pass


def _answer(row: CallRow) -> Answer:
    return Answer(
        raw_response=row.raw_response,
        outcome=row.outcome or "answered",
        reason=row.reason,
        input_tokens=row.input_tokens,
        cached_input_tokens=row.cached_input_tokens,
        output_tokens=row.output_tokens,
        attempts=row.attempts,
        latency_ms=row.latency_ms,
        model=row.answered_by or "",
        cost_nanos=row.cost_nanos,
    )


def _wake(waiters: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
    """Let those who wait go on, with one call into each of their loops."""
    for loop in {waiter.get_loop() for waiter in waiters}:
        theirs = [waiter for waiter in waiters if waiter.get_loop() is loop]
        # A loop that is closed has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, theirs, error)


def _settle(waiters: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
    for waiter in waiters:
        if waiter.cancelled():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
