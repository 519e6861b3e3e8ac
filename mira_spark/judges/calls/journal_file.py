"""The file of a journal: calls intended, answers recorded, and the batches they leave in."""

import contextlib
import fcntl
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from mira_spark.errors import BusyError, ConfigError, JudgeError, MiraError
from mira_spark.judges import reading
from mira_spark.judges.protocol import CallOutcome

LARGEST_BATCH = 2_048


@dataclass(frozen=True)
class CallRow:
    """A row of `judge_calls`, the cost in billionths of a US dollar.

    `outcome` is None between an answer's arrival and its reading. Tokens and cost are those of all
    attempts; one that was lost counts at the most it can have come to.
    """

    call_key: str
    purpose: str
    doc_id: str
    source_group: str
    source: str
    rubric_id: str | None
    judge: str
    answered_by: str | None
    raw_response: str | None
    outcome: CallOutcome | None
    reason: str | None
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_nanos: int
    attempts: int
    latency_ms: int
    replicate: int
    run_id: str
    answered_at: datetime


Statement = tuple[str, tuple[object, ...]]

_NAMES = [field.name for field in fields(CallRow)]
_COLUMNS = ", ".join(_NAMES)
_PLACES = ", ".join("?" for _ in _NAMES)
_OUTCOME = _NAMES.index("outcome")
_SCHEMA = f"""
BEGIN;
CREATE TABLE IF NOT EXISTS intents ({_COLUMNS}, PRIMARY KEY (call_key));
CREATE TABLE IF NOT EXISTS answers (seq INTEGER PRIMARY KEY, batch INTEGER, {_COLUMNS});
CREATE INDEX IF NOT EXISTS answers_by_key ON answers (call_key);
COMMIT;
"""
_INTEND = f"INSERT OR REPLACE INTO intents ({_COLUMNS}) VALUES ({_PLACES})"
_RECORD = f"INSERT INTO answers ({_COLUMNS}) VALUES ({_PLACES})"
_SETTLE = "DELETE FROM intents WHERE call_key = ?"
_CONCLUDE = "UPDATE answers SET outcome = ?, reason = ? WHERE call_key = ? AND outcome IS NULL"
_LOSE = f"INSERT INTO answers ({_COLUMNS}) SELECT {_COLUMNS} FROM intents ORDER BY rowid"
_FIND = f"""
SELECT {_COLUMNS} FROM answers
WHERE outcome IS NOT 'failed' AND call_key IN (SELECT value FROM json_each(?))
"""
_ASSIGN = """
UPDATE answers SET batch = ? WHERE seq IN (
    SELECT seq FROM answers WHERE batch IS NULL AND outcome IS NOT NULL ORDER BY seq LIMIT ?
)
"""


def intention(row: CallRow) -> list[Statement]:
    """`row` is what stands should no answer to its key ever be recorded."""
    return [(_INTEND, _values(row))]


def record(row: CallRow) -> list[Statement]:
    """An answer, which settles the intention of its key."""
    return [(_RECORD, _values(row)), (_SETTLE, (row.call_key,))]


def conclusion(call_key: str, outcome: CallOutcome, reason: str | None) -> list[Statement]:
    """The outcome of the answer that has none yet."""
    return [(_CONCLUDE, (outcome, _text(reason), call_key))]


class JournalFile:
    """One SQLite file, which one process at a time may hold: BusyError for a second.

    Every method is one transaction, on disk when it returns, and may be called by any thread.
    Rows leave in batches: `assign` numbers them, `rows` reads them, `forget` removes them once they
    have arrived, `unassign` takes the numbers of an earlier process back.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        with _errors_with_remedy(path, ConfigError):
            self._held = _lock_files(path)
            try:
                self._connection = _connect(path)
            except BaseException:
                _close(self._held)
                raise
        self._batches = 0

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with _errors_with_remedy(self._path, JudgeError), self._lock, self._connection:
            yield

    def write(self, statements: Iterable[Statement]) -> int:
        """Execute all or none; the number of answers that got an outcome."""
        concluded = 0
        with self._transaction():
            for sql, values in statements:
                changed = self._connection.execute(sql, values).rowcount
                if sql is _CONCLUDE or (sql is _RECORD and values[_OUTCOME] is not None):
                    concluded += changed
        return concluded

    def find(self, keys: Sequence[str]) -> list[CallRow]:
        """The answers held to any of `keys`, failures left out."""
        with self._transaction():
            found = self._connection.execute(_FIND, (json.dumps(list(keys)),)).fetchall()
        return [_row(values) for values in found]

    def lose_intentions(self) -> int:
        """Make every intention the row it stands for; their number."""
        with self._transaction():
            lost = self._connection.execute(_LOSE).rowcount
            self._connection.execute("DELETE FROM intents")
        return lost

    def conclude_unread(self) -> None:
        """Give answers that nobody read the outcome that their envelope alone tells."""
        query = "SELECT call_key, raw_response FROM answers WHERE outcome IS NULL"
        with self._transaction():
            for call_key, raw_response in self._connection.execute(query).fetchall():
                self._connection.execute(_CONCLUDE, (*_of_envelope(raw_response or ""), call_key))

    def unassign(self) -> None:
        """Make every row one that has still to leave."""
        with self._transaction():
            self._connection.execute("UPDATE answers SET batch = NULL")

    def assign(self) -> tuple[int, int]:
        """Number the oldest rows with an outcome as the next batch: (its number, rows in it)."""
        with self._transaction():
            self._batches += 1
            rows = self._connection.execute(_ASSIGN, (self._batches, LARGEST_BATCH)).rowcount
        return self._batches, rows

    def rows(self, batch: int) -> list[CallRow]:
        """The rows of a batch, always the same in the same order."""
        query = f"SELECT {_COLUMNS} FROM answers WHERE batch = ? ORDER BY seq"
        with self._transaction():
            found = self._connection.execute(query, (batch,)).fetchall()
        return [_row(values) for values in found]

    def forget(self, batch: int) -> None:
        """Remove a batch that has arrived; its place in the file is used again."""
        with self._transaction():
            self._connection.execute("DELETE FROM answers WHERE batch = ?", (batch,))

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
        _close(self._held)


@contextlib.contextmanager
def _errors_with_remedy(path: Path, kind: type[MiraError]) -> Iterator[None]:
    """Say an error of the disk or of SQLite in a line, as an error of this kind."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise kind(
            f"judge.journal: {path}: {why}. What is in it was paid for and stays there; make room "
            "or mend the disk, or set judge.journal to another file, then run the step again"
        ) from error


def _lock_files(path: Path) -> list[IO[bytes]]:
    """Open files whose locks say that the journal is in use; they end with the process.

    A file beside it keeps this process from opening the journal twice, since closing any handle of
    the journal lets go of SQLite's own locks on it. That file may be deleted: the journal itself is
    locked as well, and its handle is closed after SQLite's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    held: list[IO[bytes]] = []
    for each in (f"{path}.lock", path):
        file = open(each, "ab")  # noqa: SIM115
        held.append(file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            _close(held)
            raise BusyError(
                f"judge.journal: another process holds {path}; try again when it has ended"
            ) from error
    return held


def _close(files: Iterable[IO[bytes]]) -> None:
    for file in files:
        file.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        # Not every file system has the shared memory that WAL needs.
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
        except sqlite3.OperationalError:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.executescript(_SCHEMA)
        connection.execute("PRAGMA synchronous = FULL")
        for table, more in {"intents": [], "answers": ["seq", "batch"]}.items():
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            if columns != [*more, *_NAMES]:
                raise ConfigError(
                    f"judge.journal: {path} is of another version of mira_spark, by the columns of "
                    f"{table}. Its answers were paid for: run the step with that version, which "
                    "hands them over, then move the file away"
                )
    except BaseException:
        connection.close()
        raise
    return connection


def _values(row: CallRow) -> tuple[object, ...]:
    """The row's columns as SQLite holds them."""
    values = vars(row) | {
        "raw_response": _text(row.raw_response),
        "reason": _text(row.reason),
        "answered_at": row.answered_at.isoformat(),
    }
    return tuple(values.values())


def _row(values: Sequence[Any]) -> CallRow:
    columns = dict(zip(_NAMES, values, strict=True))
    return CallRow(**columns | {"answered_at": datetime.fromisoformat(columns["answered_at"])})


def _text(text: str | None) -> str | None:
    """Halves of characters written out: no table holds them, and one would fail a whole group."""
    return text and text.encode(errors="backslashreplace").decode()


def _of_envelope(raw_response: str) -> tuple[CallOutcome, str | None]:
    try:
        reading.content(raw_response)
    except reading.Unusable as error:
        return error.outcome, error.reason
    return "answered", None
