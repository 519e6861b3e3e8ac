"""A row is on disk before its writer goes on, and reaches the sink once however the driver ends."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mira_spark.errors import BusyError, ConfigError, JudgeError
from mira_spark.judges.calls.journal import Journal
from mira_spark.judges.calls.journal_file import LARGEST_BATCH, CallRow
from mira_spark.judges.protocol import Answer

AT = datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)
ENVELOPE = '{"choices": [{"finish_reason": "%s", "message": {"content": "{}"}}]}'


class Table:
    """A sink that remembers what it took, and leaves out what it has where it is told to look; it
    can fail before or after it took a batch."""

    def __init__(self, fails: str | None = None) -> None:
        self.batches: dict[tuple[str, int], list[CallRow]] = {}
        self.handed: list[int] = []
        self.refused = 0
        self.fails = fails
        self.arrived = threading.Condition()

    def __call__(self, opening: str, batch: int, rows: Sequence[CallRow], again: bool) -> None:
        if self.fails == "before":
            with self.arrived:
                self.refused += 1
                self.arrived.notify()
            raise OSError("the table is gone")
        with self.arrived:
            self.handed.append(batch)
            assert (opening, batch) not in self.batches
            new = [row for row in rows if not again or row not in self.rows]
            self.batches[opening, batch] = new
            self.arrived.notify()
        if self.fails == "after":
            raise OSError("the table is gone")

    @property
    def rows(self) -> list[CallRow]:
        return [row for rows in self.batches.values() for row in rows]

    @property
    def keys(self) -> list[str]:
        return [row.call_key for row in self.rows]

    def wait_for(self, batches: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.handed) >= batches, timeout=30)


def row(key: str, **changes: Any) -> CallRow:
    whole = CallRow(
        call_key=key,
        purpose="label",
        doc_id=f"doc of {key}",
        source_group="group_a",
        source="books",
        rubric_id="r1",
        judge="test:judge",
        answered_by="judge-1",
        raw_response='{"answers": []}',
        outcome="answered",
        reason=None,
        input_tokens=100,
        cached_input_tokens=40,
        output_tokens=20,
        cost_nanos=1_234_567,
        attempts=1,
        latency_ms=50,
        replicate=0,
        run_id="run",
        answered_at=AT,
    )
    return replace(whole, **changes)


def unread(key: str, **changes: Any) -> CallRow:
    return row(key, outcome=None, **changes)


def lost(key: str) -> CallRow:
    return row(key, outcome="failed", raw_response=None, reason="the driver ended")


def all_at_once(write: Callable[[CallRow], Any], rows: Sequence[CallRow]) -> None:
    async def run() -> None:
        await asyncio.gather(*map(write, rows))

    asyncio.run(run())


def held_on_disk(path: Path, table: str) -> list[str]:
    """The keys that another connection sees."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(f"SELECT call_key FROM {table} ORDER BY call_key")
        return [key for (key,) in rows]


def die_after(path: Path, statements: str) -> None:
    """Run `statements` with an open journal in a process that ends without closing anything."""
    program = (
        "import asyncio, os, pathlib, sys\n"
        "from mira_spark.judges.calls.journal import Journal\n"
        "from mira_spark.judges.calls.journal_file import JournalFile\n"
        "from tests.judges.calls.test_journal import Table, all_at_once, lost, row, unread\n"
        f"path = pathlib.Path(sys.argv[1])\n{statements}\nos._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, path], check=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal" / "judge.sqlite"


def test_an_intention_and_an_answer_are_on_disk_when_their_writer_goes_on(path: Path) -> None:
    with Journal(path, Table()) as journal:

        async def call(key: str) -> None:
            await journal.intend(lost(key))
            assert key in held_on_disk(path, "intents")
            await journal.record(unread(key))
            assert key in held_on_disk(path, "answers")
            assert key not in held_on_disk(path, "intents")

        async def calls() -> None:
            await asyncio.gather(*(call(f"k{i}") for i in range(20)))

        asyncio.run(calls())


def commits(path: Path) -> int:
    """The transactions in the write-ahead log: its frames that end one (sqlite.org/fileformat2)."""
    log = Path(f"{path}-wal").read_bytes()
    page = int.from_bytes(log[8:12])
    return sum(any(log[at + 4 : at + 8]) for at in range(32, len(log), 24 + page))


def test_what_waits_together_is_one_transaction(path: Path) -> None:
    with Journal(path, Table(), flush_answers=10**9) as journal:
        before = commits(path)
        all_at_once(journal.record, [unread(f"k{i}") for i in range(500)])
        assert 0 < commits(path) - before < 100
        assert len(held_on_disk(path, "answers")) == 500


def test_rows_come_out_as_they_went_in(path: Path) -> None:
    table = Table()
    rows = [
        row("a", answered_at=AT + timedelta(hours=5)),
        row("b", outcome="failed", raw_response=None, reason="status 400", rubric_id=None),
        row("c", raw_response="line\nnul \x00 quote ' and \U0001f600", cost_nanos=2**62),
    ]
    with Journal(path, table) as journal:
        all_at_once(journal.record, rows)
    assert table.rows == rows


def test_half_a_character_stops_neither_its_row_nor_the_others(path: Path) -> None:
    table = Table()
    with Journal(path, table) as journal:
        all_at_once(journal.record, [row("a", raw_response="\ud800"), unread("b")])
        journal.conclude("b", "invalid", "not \udfff")
    assert [(r.raw_response, r.reason) for r in table.rows] == [
        ("\\ud800", None),
        ('{"answers": []}', "not \\udfff"),
    ]


def test_a_batch_leaves_when_enough_are_concluded(path: Path) -> None:
    table = Table()
    with Journal(path, table, flush_answers=64, clock=lambda: 0.0) as journal:
        all_at_once(journal.record, [unread(f"k{i}") for i in range(64)])
        for i in range(63):
            journal.conclude(f"k{i}", "answered", None)
        all_at_once(journal.record, [unread("later")])
        assert table.handed == []
        journal.conclude("k63", "answered", None)
        table.wait_for(1)
        assert table.keys == [f"k{i}" for i in range(64)]
    assert table.keys[64:] == ["later"]


def test_a_batch_leaves_when_its_oldest_is_old_enough(path: Path) -> None:
    table, now, left_at = Table(), 100.0, []

    def sink(opening: str, batch: int, rows: Sequence[CallRow], again: bool) -> None:
        left_at.append(now)
        table(opening, batch, rows, again)

    with Journal(path, sink, flush_s=10, clock=lambda: now) as journal:
        for at in (100.0, 104.0, 109.9, 110.0):
            now = at
            all_at_once(journal.record, [row(f"at {at}")])
        table.wait_for(1)
    assert left_at[0] == 110.0
    assert table.keys == ["at 100.0", "at 104.0", "at 109.9", "at 110.0"]


def test_a_batch_leaves_in_time_though_nothing_more_comes(path: Path) -> None:
    table = Table()
    with Journal(path, table, flush_s=0.05) as journal:
        all_at_once(journal.record, [row("a")])
        table.wait_for(1)
        all_at_once(journal.record, [row("b")])
        table.wait_for(2)
    assert table.keys == ["a", "b"]


def test_closing_hands_over_the_rest_in_bounded_batches(path: Path) -> None:
    table = Table()
    keys = [f"k{i}" for i in range(LARGEST_BATCH + 10)]
    with Journal(path, table, flush_answers=10**9) as journal:
        all_at_once(journal.record, [row(key) for key in keys])
    assert [len(rows) for rows in table.batches.values()] == [LARGEST_BATCH, 10]
    assert table.keys == keys


def test_what_left_takes_no_place_in_the_file(path: Path) -> None:
    table = Table()
    with Journal(path, table) as journal:
        sizes = []
        for part in range(6):
            rows = [row(f"{part}.{i}", raw_response="x" * 4_000) for i in range(400)]
            all_at_once(journal.record, rows)
            table.wait_for(part + 1)
            sizes.append(path.stat().st_size + Path(f"{path}-wal").stat().st_size)
    assert len(table.keys) == 2_400
    assert sizes[-1] < 2 * max(sizes[:3])
    assert held_on_disk(path, "answers") == []


def test_an_answer_can_be_found_until_it_has_left(path: Path) -> None:
    table = Table()
    with Journal(path, table, flush_answers=3, clock=lambda: 0.0) as journal:
        all_at_once(journal.record, [unread("a"), lost("b"), row("c", outcome="refused")])
        whole = Answer(
            '{"answers": []}', "answered", None, 100, 40, 20, 1, 50, "judge-1", 1_234_567
        )
        found = journal.find(["a", "b", "c", "d"])
        assert found == {"a": whole, "c": replace(whole, outcome="refused")}
        assert journal.find([]) == {}
        journal.conclude("a", "answered", None)
        table.wait_for(1)
        all_at_once(journal.record, [unread("e")])
    with Journal(path, table) as journal:
        assert journal.find(["a", "c", "e"]) == {}
    assert table.keys == ["a", "b", "c", "e"]


def test_a_failing_sink_is_heard_of_and_loses_nothing(path: Path) -> None:
    journal = Journal(path, Table(fails="before"), flush_answers=1)

    async def until_it_is_heard_of() -> None:
        await journal.record(row("a"))
        while True:
            await journal.intend(lost("b"))

    with pytest.raises(OSError, match="the table is gone"):
        asyncio.run(until_it_is_heard_of())
    all_at_once(journal.record, [row("b")])
    with pytest.raises(OSError, match="the table is gone"):
        journal.close()
    journal.close()

    table = Table()
    with Journal(path, table) as journal:
        assert journal.lost == 0
    assert table.keys == ["a", "b"]


def test_no_batch_overtakes_one_that_failed(path: Path) -> None:
    """A table that has batch 2 takes batch 1 for one that it has."""
    table = Table(fails="before")
    journal = Journal(path, table, flush_answers=1)
    all_at_once(journal.record, [row("a")])
    with table.arrived:
        assert table.arrived.wait_for(lambda: table.refused, timeout=30)
    table.fails = None
    all_at_once(journal.record, [row("b")])
    with pytest.raises(OSError, match="the table is gone"):
        journal.close()
    assert table.handed == []
    Journal(path, table).close()
    assert table.handed == sorted(table.handed)
    assert table.keys == ["a", "b"]


def test_a_sink_that_fails_at_closing_is_heard_of_and_loses_nothing(path: Path) -> None:
    with pytest.raises(OSError, match="the table is gone"), Journal(path, Table("before")) as first:
        all_at_once(first.record, [row("a")])
    table = Table()
    Journal(path, table).close()
    assert table.keys == ["a"]


def test_a_batch_that_arrived_but_was_not_forgotten_is_looked_up(path: Path) -> None:
    table = Table(fails="after")
    with pytest.raises(OSError, match="the table is gone"), Journal(path, table) as journal:
        all_at_once(journal.record, [row("a"), row("b")])
    assert held_on_disk(path, "answers") == ["a", "b"]
    table.fails = None
    with Journal(path, table) as journal:
        all_at_once(journal.record, [row("c")])
    assert table.keys == ["a", "b", "c"]
    assert held_on_disk(path, "answers") == []


def test_a_copy_that_was_put_back_delivers_what_is_new_and_nothing_twice(path: Path) -> None:
    """Its batches may not be taken for those that the other copy delivered."""
    table = Table()
    with Journal(path, table, flush_answers=10**9) as journal:
        all_at_once(journal.record, [row("a")])
        copied = closing(sqlite3.connect(path)), closing(sqlite3.connect(f"{path}.copy"))
        with copied[0] as source, copied[1] as target:
            source.backup(target)
    with Journal(path, table) as journal:
        all_at_once(journal.record, [row("b")])
    path.unlink()
    Path(f"{path}.copy").rename(path)
    with Journal(path, table) as journal:
        all_at_once(journal.record, [row("c")])
    assert table.keys == ["a", "b", "c"]
    assert held_on_disk(path, "answers") == []


def test_a_sink_that_fails_at_opening_leaves_the_file_free(path: Path) -> None:
    with pytest.raises(OSError, match="the table is gone"), Journal(path, Table("before")) as first:
        all_at_once(first.record, [row("a")])
    with pytest.raises(OSError, match="the table is gone"):
        Journal(path, Table("before"))
    table = Table()
    Journal(path, table).close()
    assert table.keys == ["a"]


def test_what_a_crash_left_is_handed_over_at_opening(path: Path) -> None:
    die_after(
        path,
        "journal = Journal(path, Table(), clock=lambda: 0.0)\n"
        "all_at_once(journal.intend, [lost('in flight'), lost('answered'), lost('unread')])\n"
        "all_at_once(journal.record, [row('answered'), unread('unread')])\n"
        f"all_at_once(journal.record, [unread('cut', raw_response={ENVELOPE % 'length'!r})])\n"
        f"all_at_once(journal.record, [unread('whole', raw_response={ENVELOPE % 'stop'!r})])\n"
        "all_at_once(journal.record, [unread('empty', raw_response='')])",
    )
    table = Table()
    with Journal(path, table) as journal:
        assert journal.lost == 1
        assert {r.call_key: (r.outcome, r.reason) for r in table.rows} == {
            "in flight": ("failed", "the driver ended"),
            "answered": ("answered", None),
            "unread": ("answered", None),
            "cut": ("truncated", "cut short: length"),
            "whole": ("answered", None),
            "empty": ("invalid", "an empty body"),
        }
        assert [r.cost_nanos for r in table.rows] == [1_234_567] * 6
    with Journal(path, table) as journal:
        assert journal.lost == 0
    assert len(table.rows) == 6


def test_rows_that_a_crash_left_in_a_batch_leave_in_their_order(path: Path) -> None:
    die_after(
        path,
        "from mira_spark.judges.calls.journal_file import record\n"
        "file = JournalFile(path)\n"
        "file.write([*record(row('a')), *record(row('b'))])\n"
        "assert file.assign() == (1, 2)\n"
        "file.write(record(row('c')))",
    )
    table = Table()
    Journal(path, table).close()
    assert table.keys == ["a", "b", "c"]


def test_an_intention_renewed_counts_at_its_last_cost(path: Path) -> None:
    die_after(
        path,
        "from dataclasses import replace\n"
        "journal = Journal(path, Table())\n"
        "all_at_once(journal.intend, [lost('a')])\n"
        "all_at_once(journal.intend, [replace(lost('a'), cost_nanos=3, attempts=2)])",
    )
    table = Table()
    Journal(path, table).close()
    assert [(r.cost_nanos, r.attempts) for r in table.rows] == [(3, 2)]


def test_a_failure_does_not_hide_an_answer_to_the_same_key(path: Path) -> None:
    table = Table()
    with Journal(path, table, flush_answers=10**9) as journal:
        all_at_once(journal.record, [lost("a")])
        all_at_once(journal.record, [row("a", attempts=2)])
        assert journal.find(["a"])["a"].attempts == 2
    assert [r.outcome for r in table.rows] == ["failed", "answered"]


def test_a_second_opening_is_refused_until_the_first_ends(path: Path) -> None:
    with Journal(path, Table()) as journal:
        all_at_once(journal.record, [row("a")])
        with pytest.raises(BusyError, match=r"judge\.sqlite; try again when it has ended"):
            Journal(path, Table())
        all_at_once(journal.record, [row("b")])
        busy = subprocess.run(
            [sys.executable, "-c",
             "import pathlib, sys; from mira_spark.judges.calls.journal_file import JournalFile\n"
             "JournalFile(pathlib.Path(sys.argv[1]))", path],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "BusyError" in busy.stderr
    Journal(path, Table()).close()


def test_a_second_holder_is_refused_though_the_file_of_the_lock_was_deleted(path: Path) -> None:
    program = (
        "import pathlib, sys; from mira_spark.judges.calls.journal_file import JournalFile\n"
        "JournalFile(pathlib.Path(sys.argv[1]))"
    )
    with Journal(path, Table()) as journal:
        all_at_once(journal.record, [row("a")])
        Path(f"{path}.lock").unlink()
        second = [sys.executable, "-c", program, str(path)]
        busy = subprocess.run(second, capture_output=True, text=True, check=False)
        assert f"BusyError: judge.journal: another process holds {path}; try" in busy.stderr
        all_at_once(journal.record, [row("b")])
    assert subprocess.run(second, check=False).returncode == 0


REMEDY = (
    ". What is in it was paid for and stays there; make room or mend the disk, or set "
    "judge.journal to another file, then run the step again"
)


def test_a_journal_that_cannot_be_opened_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "damaged").write_bytes(b"no database at all " * 400)
    for place, why in {
        "file/judge.sqlite": "File exists",
        "folder": "Is a directory",
        "damaged": "file is not a database",
    }.items():
        for _ in range(2):  # nothing stays locked
            with pytest.raises(ConfigError) as caught:
                Journal(tmp_path / place, Table())
            assert str(caught.value) == f"judge.journal: {tmp_path / place}: {why}{REMEDY}"


def test_a_journal_of_another_version_is_refused_and_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE answers (seq INTEGER PRIMARY KEY, batch, call_key)")
        connection.execute("INSERT INTO answers VALUES (1, NULL, 'paid')")
        connection.commit()
    with pytest.raises(ConfigError) as caught:
        Journal(path, Table())
    assert str(caught.value) == (
        f"judge.journal: {path} is of another version of mira_spark, by the columns of answers. "
        "Its answers were paid for: run the step with that version, which hands them over, then "
        "move the file away"
    )
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT call_key FROM answers").fetchall() == [("paid",)]


def test_a_journal_with_damaged_pages_stops_in_a_line(path: Path) -> None:
    rows = "[row(str(i), reason='x' * 900) for i in range(99)]"
    journal = "Journal(path, Table(), flush_answers=10**9)"
    die_after(path, f"journal = {journal}\nall_at_once(journal.record, {rows})")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damaged = path.read_bytes()
    path.write_bytes(damaged[:20_480] + b"\xa5" * (len(damaged) - 20_480))
    with pytest.raises(JudgeError, match=r"judge\.sqlite: database disk image is malformed\. What"):
        Journal(path, Table())


def test_a_full_disk_stops_the_writer_in_a_line_and_keeps_what_was_written(path: Path) -> None:
    program = (
        "import pathlib, resource, sys\n"
        "from mira_spark.errors import JudgeError\n"
        "from mira_spark.judges.calls.journal import Journal\n"
        "from tests.judges.calls.test_journal import Table, all_at_once, row\n"
        "journal = Journal(pathlib.Path(sys.argv[1]), Table(), flush_answers=10**9)\n"
        "all_at_once(journal.record, [row('kept')])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "try:\n"
        "    all_at_once(journal.record, [row('lost', raw_response='x' * 400_000)])\n"
        "except JudgeError as error:\n"
        "    print(error.exit_code, error)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    full = subprocess.run(command, capture_output=True, text=True, check=False)
    assert full.stdout.startswith(f"75 judge.journal: {path}: ")
    assert full.stdout.endswith(f"{REMEDY}\n")
    table = Table()
    Journal(path, table).close()
    assert table.keys == ["kept"]


def test_each_opening_has_an_id_of_its_own(path: Path) -> None:
    table = Table()
    for key in ("a", "b", "c"):
        with Journal(path, table) as journal:
            all_at_once(journal.record, [row(key)])
    assert len({opening for opening, _ in table.batches}) == 3


def test_nothing_is_taken_after_closing(path: Path) -> None:
    journal = Journal(path, Table())
    journal.close()
    with pytest.raises(ValueError, match="closed"):
        all_at_once(journal.intend, [lost("a")])


def test_a_write_that_fails_is_heard_of_by_its_writer_and_the_next_one_works(path: Path) -> None:
    table = Table()
    with Journal(path, table) as journal:
        with pytest.raises(OverflowError):
            all_at_once(journal.record, [row("a", input_tokens=2**64)])
        all_at_once(journal.record, [row("b")])
    assert table.keys == ["b"]
