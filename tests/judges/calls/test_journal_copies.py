"""Whatever becomes of a journal and its copies, what a copy held is in the table or in the journal
that goes on from it, and in the table once."""

import contextlib
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from hypothesis import given, settings, strategies as st

from mira_spark.judges.calls.journal import Journal
from mira_spark.judges.calls.journal_file import CallRow
from tests.judges.calls.test_journal import all_at_once, held_on_disk, lost, row, unread

BATCH = 3
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # there are thousands of fsyncs
OPERATIONS = (
    st.tuples(st.just("answer"), st.integers(1, 5))
    | st.tuples(st.sampled_from(["ask", "answer unread", "close", "crash", "copy"]), st.just(0))
    | st.tuples(st.just("put back"), st.integers(0, 3))
    | st.tuples(st.sampled_from(["refuse", "take and fail"]), st.just(0))
)


class TableError(Exception):
    pass


@dataclass
class CallTable:
    """A table as Delta keeps it: a transaction number that is not above the last one of its id is
    skipped without a word. It can fail before or after it took rows, the next time or for ever."""

    keys: list[str] = field(default_factory=list)
    last: dict[str, int] = field(default_factory=dict)
    failure: str = ""

    def __call__(self, opening: str, batch: int, rows: Sequence[CallRow], again: bool) -> None:
        failure = self.failure
        if failure != "unreachable":
            self.failure = ""
        if failure in ("refuse", "unreachable"):
            raise TableError
        if batch > self.last.get(opening, 0):
            self.last[opening] = batch
            known = set(self.keys) if again else set()
            self.keys += [each.call_key for each in rows if each.call_key not in known]
        if failure:
            raise TableError


class House:
    """A journal, its copies, the table it hands on to, and the keys that each file answers for."""

    def __init__(self, folder: Path) -> None:
        self.path, self.table = folder / "judge.sqlite", CallTable()
        self.numbers = count()
        self.written: set[str] = set()
        self.copies: list[tuple[bytes, set[str]]] = []
        self.open()

    def open(self) -> None:
        """As a driver does that is started until it works; a table fails once at most."""
        try:
            self.journal = Journal(self.path, self.table, BATCH, flush_s=10**6)
        except TableError:
            self.journal = Journal(self.path, self.table, BATCH, flush_s=10**6)

    def contents(self) -> bytes:
        """The file as a process that is killed now would leave it."""
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.serialize()

    def become(self, contents: bytes, written: set[str]) -> None:
        """Go on from other contents, in a process of its own."""
        failure, self.table.failure = self.table.failure, "unreachable"
        self.close()
        for file in self.path.parent.glob("judge.sqlite*"):
            file.unlink()
        self.path.write_bytes(contents)
        self.table.failure, self.written = failure, set(written)
        self.open()

    def close(self) -> None:
        with contextlib.suppress(TableError):
            self.journal.close()

    def write(self, operation: str, number: int) -> None:
        keys = [f"k{next(self.numbers)}" for _ in range(number or 1)]
        try:
            all_at_once(self.journal.intend, [lost(key) for key in keys])
        except TableError:  # what a driver hears who asks after a batch could not be handed on
            self.close()
            self.open()
            return
        self.written |= set(keys)
        if operation != "ask":
            made = unread if operation == "answer unread" else row
            all_at_once(self.journal.record, [made(key) for key in keys])

    def perform(self, operation: str, number: int) -> None:
        if operation == "close":
            self.close()
            self.open()
        elif operation == "crash":
            self.become(self.contents(), self.written)
        elif operation == "copy":
            self.copies.append((self.contents(), set(self.written)))
        elif operation == "put back":
            if self.copies:
                self.become(*self.copies[number % len(self.copies)])
        elif operation in ("refuse", "take and fail"):
            self.table.failure = operation
        else:
            self.write(operation, number)

    def check(self) -> None:
        # The journal first: what leaves it meanwhile is in the table by then.
        held = {*held_on_disk(self.path, "answers"), *held_on_disk(self.path, "intents")}
        assert self.written - held <= {*self.table.keys}
        assert [key for key, n in Counter(self.table.keys).items() if n > 1] == []


@settings(max_examples=500, deadline=None)
@given(st.lists(OPERATIONS, max_size=16))
def test_no_answer_is_lost_or_doubled_whatever_becomes_of_a_journal_and_its_copies(
    operations: list[tuple[str, int]],
) -> None:
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        house = House(Path(folder))
        try:
            for operation, number in operations:
                house.perform(operation, number)
                house.check()
        finally:
            house.close()
        house.table.failure = ""
        Journal(house.path, house.table).close()
        house.check()
        assert held_on_disk(house.path, "answers") == []
