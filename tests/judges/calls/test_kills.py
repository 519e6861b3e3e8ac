"""Killed at any instant and started again, a driver pays for no journalled answer twice."""

import importlib
import json
import multiprocessing
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from urllib.parse import urlsplit

import pytest
from deltalake import DeltaTable

from tests import embedding_driver, judge_driver
from tests.judge_driver import IN_FLIGHT
from tests.judge_stub import JudgeStub

# Children of a server that has imported everything once: a start takes no time.
SERVED = multiprocessing.get_context("forkserver")
SERVED.set_forkserver_preload(["tests.judge_driver", "tests.embedding_driver", "openai"])


def work(driver: str, folder: Path, url: str, documents: int, events: Connection) -> None:
    importlib.import_module(driver).run(folder, url, documents, events.send)


def kill_at_random(
    driver: str, folder: Path, stub: JudgeStub, documents: int, rng: random.Random
) -> list[str]:
    """Start a driver and kill it when the stub gets a random one of its calls, or when it passes a
    random point: opening, open, before or after a batch reaches the table. What it asked."""
    ours, theirs = SERVED.Pipe(duplex=False)
    process = SERVED.Process(target=work, args=(driver, folder, stub.url, documents, theirs))
    before = len(stub.calls)
    process.start()
    theirs.close()
    if rng.random() < 0.6:
        assert stub.wait_for_calls(before + rng.randint(1, IN_FLIGHT))
    else:
        for _ in range(rng.randint(1, 6)):
            ours.recv()
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    ours.close()
    # What the driver had sent is with the stub before this is.
    connection = HTTPConnection(urlsplit(stub.url).netloc)
    connection.request("GET", "/nothing")
    connection.getresponse().read()
    connection.close()
    return [call.key for call in stub.calls[before:] if call.key]


def in_journal(folder: Path, table: str) -> list[tuple[str, str, str | None]]:
    """(call_key, time, outcome) of what a killed driver left there; read in a copy, since SQLite
    tidies up what it opens."""
    with TemporaryDirectory() as copy:
        for file in folder.glob("judge.sqlite*"):
            shutil.copy(file, copy)
        with closing(sqlite3.connect(Path(copy) / "judge.sqlite")) as connection:
            names = connection.execute("SELECT name FROM sqlite_master").fetchall()
            if (table,) not in names:
                return []  # killed before the file was made
            query = f"SELECT call_key, answered_at, outcome FROM {table}"
            return connection.execute(query).fetchall()


def in_table(folder: Path) -> list[tuple[str, str, str | None]]:
    """The same of `judge_calls`."""
    if not DeltaTable.is_deltatable(str(folder / "judge_calls")):
        return []
    columns = ["call_key", "answered_at", "outcome"]
    rows = judge_driver.rows_of(str(folder / "judge_calls")).to_table(columns).to_pylist()
    return [(r["call_key"], r["answered_at"].isoformat(), r["outcome"]) for r in rows]


def results(folder: Path) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = json.loads((folder / "labels.json").read_text())
    return found


def kill_many_times(
    tmp_path: Path, kills: int, documents: int, seed: int, driver: ModuleType = judge_driver
) -> None:
    rng = random.Random(seed)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir()
    whole.mkdir()
    known: set[str] = set()
    """The keys whose answer was in the journal or the table at a kill."""
    lost: set[tuple[str, str]] = set()
    """Calls that were in flight at a kill, with their times."""
    with JudgeStub(latency_s=0.02) as stub:
        for _ in range(kills):
            asked = kill_at_random(driver.__name__, killed, stub, documents, rng)
            calls = set(asked)
            assert len(calls) == len(asked)
            assert not calls & known, "a journalled answer was asked for again"
            intended = in_journal(killed, "intents")
            assert len(intended) <= IN_FLIGHT
            rows = in_journal(killed, "answers") + in_table(killed)
            known |= {key for key, _, outcome in rows if outcome != "failed"}
            assert calls <= known | {key for key, _, _ in intended}, "sent before it was on disk"
            lost |= {(key, at) for key, at, _ in intended}
        before = len(stub.calls)
        command = [
            sys.executable,
            "-m",
            driver.__name__,
            str(killed),
            stub.url,
            str(documents),
        ]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[3])
        assert not known & {call.key for call in stub.calls[before:]}
        driver.run(whole, stub.url, documents, lambda event: None)
    assert results(killed) == results(whole)
    assert len(results(whole)) == documents
    rows = in_table(killed)
    answered = [key for key, _, outcome in rows if outcome == "answered"]
    assert sorted(answered) == sorted(key for key, _, _ in in_table(whole))
    assert sorted((k, at) for k, at, outcome in rows if outcome == "failed") == sorted(lost)
    assert len(rows) == len(answered) + len(lost)


def test_kills_cost_no_answer_twice(tmp_path: Path) -> None:
    kill_many_times(tmp_path, 8, 240, seed=1)


def test_kills_while_texts_are_embedded_cost_no_vector_twice(tmp_path: Path) -> None:
    kill_many_times(tmp_path, 4, 120, seed=1, driver=embedding_driver)


@pytest.mark.long
def test_thirty_kills_cost_no_answer_twice(tmp_path: Path) -> None:
    kill_many_times(tmp_path, 30, 900, seed=1)


@pytest.mark.long
def test_fifty_kills_while_texts_are_embedded_cost_no_vector_twice(tmp_path: Path) -> None:
    kill_many_times(tmp_path, 50, 1_200, seed=1, driver=embedding_driver)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 7))
def test_two_hundred_kills_cost_no_answer_twice(tmp_path: Path, seed: int) -> None:
    kill_many_times(tmp_path, 40, 1_100, seed)
