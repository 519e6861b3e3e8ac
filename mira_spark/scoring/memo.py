"""Raw scores that the Python workers of one executor share, for functions that a query names twice.

`SELECT f(x) … WHERE f(x) > c` is two operators for Spark, each with Python workers of its own: the
second finds here what the first has just computed. A SQLite file in a folder that only its owner
may open holds digests and scores, no text. Where it cannot be used the student is simply asked.
"""

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

MOST = 1_000_000
"""Rows that are kept, about 150 MB; the oldest are forgotten."""
WAIT_S = 30.0
_Key = bytes


def keys(artefact_sha256: str, texts: pa.Array) -> list[_Key]:
    """What names each text's scores by the student of this artefact."""
    secret = bytes.fromhex(artefact_sha256)
    encoded = texts.cast(pa.large_binary()).to_pylist()
    return [hashlib.blake2b(one or b"", digest_size=16, key=secret).digest() for one in encoded]


def lookup(folder: Path, wanted: Sequence[_Key]) -> dict[_Key, bytes]:
    """What is known of the wanted keys."""
    known: dict[_Key, bytes] = {}
    with contextlib.suppress(OSError, sqlite3.Error), _open_memo(folder) as memo:
        for key in wanted:
            row = memo.execute("SELECT value FROM memo WHERE key = ?", (key,)).fetchone()
            if row:
                known[key] = row[0]
    return known


def store(folder: Path, values: Mapping[_Key, bytes]) -> None:
    """Let the executor's other workers find these."""
    with contextlib.suppress(OSError, sqlite3.Error), _open_memo(folder) as memo:
        memo.executemany("INSERT OR IGNORE INTO memo (key, value) VALUES (?, ?)", values.items())
        last = "(SELECT max(number) FROM memo)"
        memo.execute(f"DELETE FROM memo WHERE number <= {last} - ?", (MOST,))


@contextlib.contextmanager
def _open_memo(folder: Path) -> Iterator[sqlite3.Connection]:
    """The table, in one transaction. OSError where the folder is not ours alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.stat()
    if state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise PermissionError(f"{folder} is open to others")
    memo = sqlite3.connect(folder / "memo.sqlite", timeout=WAIT_S)
    try:
        memo.execute("PRAGMA journal_mode = MEMORY")  # nothing here must outlive the executor
        memo.execute("PRAGMA synchronous = OFF")
        with memo:
            memo.execute(
                "CREATE TABLE IF NOT EXISTS memo "
                "(number INTEGER PRIMARY KEY, key BLOB UNIQUE, value BLOB)"
            )
            yield memo
    finally:
        memo.close()
