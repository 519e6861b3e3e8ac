"""Leases: one driver works, the others are told who, a dead one is taken over and stays out."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from delta.exceptions import ConcurrentAppendException, MetadataChangedException
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, functions as F

from mira_spark import pipeline
from mira_spark.errors import BusyError
from mira_spark.lake import leases
from mira_spark.lake.claims import is_conflict, is_other_append, is_same_transaction
from mira_spark.lake.creation import create_tables
from mira_spark.lake.leases import DEAD_AFTER_S
from mira_spark.lake.schemas import TABLES
from mira_spark.lake.tables import Lakehouse
from mira_spark.process import identity

REJECTED = "rejected_documents"


class Time:
    """A clock that only waiting moves, by `step` seconds; `then` happens at every waiting."""

    def __init__(self, step: float | None = None) -> None:
        self.now, self.step = 0.0, step
        self.then: Callable[[], object] = lambda: None

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += self.step or seconds
        self.then()


class WatchingError(Exception):
    """A driver began to watch the holder."""


@pytest.fixture
def shared(lake: Lakehouse) -> Lakehouse:
    create_tables(lake, ["leases", REJECTED])
    return lake


def heir(lake: Lakehouse, *tables: str) -> leases.Lease:
    """The lease of a driver that watched a silent holder to the end."""
    time = Time(step=DEAD_AFTER_S)
    lease = leases.take_lease(lake, tables, "heir", time.clock, time.wait)
    assert time.now == DEAD_AFTER_S
    return lease


def rows(lake: Lakehouse, *ids: str) -> DataFrame:
    columns = TABLES[REJECTED].columns
    return lake.spark.createDataFrame(
        [("web", i, "empty", 0, None, None, None, "r") for i in ids], columns, verifySchema=False
    )


def ids(lake: Lakehouse) -> list[str]:
    return sorted(row["doc_id"] for row in lake.read(REJECTED).collect())


def test_a_holder_who_gives_a_sign_of_life_is_named_to_the_second_driver(
    shared: Lakehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    first = leases.take_lease(shared, ["documents", "scores"], "first")
    time = Time()
    time.then = first.renew
    with pytest.raises(BusyError) as busy:
        leases.take_lease(shared, ["scores"], "second", time.clock, time.wait)
    assert str(busy.value) == f"{shared.name('scores')}: first works on it: wait until it ends"
    assert " ".join(capsys.readouterr().out.split()) == (
        f"{shared.name('scores')}: first holds its lease: waiting up to 60 s for a sign of life"
    )
    first.check()
    leases.take_lease(shared, ["students"], "second").check()
    time.then = first.release
    lease = leases.take_lease(shared, ["documents", "scores"], "second", time.clock, time.wait)
    assert lease.epochs == {"documents": 2, "scores": 2}
    assert time.now == 2 * leases.WATCH_EVERY_S, "it is taken as soon as it is free"


def test_the_clocks_of_other_machines_do_not_count(shared: Lakehouse) -> None:
    first = leases.take_lease(shared, ["scores"], "first")
    ago = F.current_timestamp() - F.expr("INTERVAL 1 DAY")
    shared.update("leases", F.col("name") == "scores", {"heartbeat_at": ago})
    time = Time()
    time.then = first.renew
    with pytest.raises(BusyError, match="scores: first works on it"):
        leases.take_lease(shared, ["scores"], "second", time.clock, time.wait)


def test_nothing_is_taken_when_one_of_the_tables_is_held(shared: Lakehouse) -> None:
    first = leases.take_lease(shared, ["scores"], "first")
    time = Time()
    time.then = first.renew
    with pytest.raises(BusyError, match="scores: first works on it"):
        leases.take_lease(shared, ["documents", "scores"], "second", time.clock, time.wait)
    leases.take_lease(shared, ["documents"], "third").check()


def test_a_driver_that_was_silent_is_taken_over(shared: Lakehouse) -> None:
    dead = leases.take_lease(shared, [REJECTED], "dead")
    lease = heir(shared, REJECTED)
    assert lease.epochs == {REJECTED: 2}
    dead.renew()  # too late: changes nothing
    lease.check()
    with pytest.raises(BusyError) as lost:
        dead.check()
    assert str(lost.value) == f"{shared.name(REJECTED)}: heir has taken over and goes on"


@pytest.mark.long
def test_what_a_driver_begins_to_write_after_it_was_taken_over_is_not_committed(
    shared: Lakehouse,
) -> None:
    """It was paused after it last looked at its lease, which it trusts for some seconds."""
    shared.append(rows(shared, "before"), REJECTED, "r")
    with leases.hold_lease(shared, [REJECTED], "late") as late:
        late.append(rows(late, "a"), REJECTED, "r")
        removal = late._merge_matching(REJECTED, F.col("doc_id") == "before").whenMatched().delete()
        heir(shared, REJECTED)
        removal.merge()
        for change in (
            lambda: late.append(rows(late, "b"), REJECTED, "r", ("unit", 1)),
            lambda: late.upsert(rows(late, "a"), REJECTED, "doc_id"),
            lambda: late.replace(rows(late, "b"), REJECTED, "source", "web", "r"),
            lambda: late.update(REJECTED, F.lit(True), {"doc_id": F.lit("b")}),
            lambda: late.delete(REJECTED, F.lit(True)),
            lambda: late.create_view("seen", "SELECT 1 AS one", "a view"),
            lambda: late.set_properties(REJECTED, {"mira.drill": "late"}),
        ):
            with pytest.raises(BusyError, match="rejected_documents: heir has taken over and goes"):
                change()
    assert ids(shared) == ["a", "before"]
    assert shared.view_query("seen") is None


def test_what_a_driver_had_begun_to_write_when_it_was_taken_over_is_not_committed(
    shared: Lakehouse, tmp_path: Path
) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go_on"
    for pipe in (begun, go_on):
        os.mkfifo(pipe)

    def paused(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        begun.write_text("the transaction has begun")
        go_on.read_text()
        yield from batches

    slow = rows(shared, "late").coalesce(1).mapInArrow(paused, rows(shared).schema)
    with ThreadPoolExecutor(1) as pool, leases.hold_lease(shared, [REJECTED], "late") as late:
        writing = pool.submit(late.append, slow, REJECTED, "r")
        begun.read_text()
        heir(shared, REJECTED)
        go_on.write_text("go on")
        with pytest.raises(BusyError) as lost:
            writing.result()
    assert isinstance(lost.value.__context__, MetadataChangedException)
    assert ids(shared) == []


def test_a_driver_writes_only_what_it_holds_the_lease_of(shared: Lakehouse) -> None:
    create_tables(shared, ["runs"])
    with leases.hold_lease(shared, ["scores"]) as claimed:
        with pytest.raises(ValueError, match="rejected_documents is written by a driver that hold"):
            claimed.append(rows(shared, "a"), REJECTED, "r")
        claimed.append_rows([], "runs", "r")


def test_of_drivers_that_start_together_one_wins(shared: Lakehouse) -> None:
    """Over rows that are not there yet, and over rows that are."""

    def watching() -> None:
        raise WatchingError

    def taken(driver: int) -> leases.Lease | None:
        time = Time()
        time.then = watching
        try:
            tables = ["documents", "scores"]
            return leases.take_lease(shared, tables, f"driver {driver}", time.clock, time.wait)
        except (BusyError, WatchingError):
            return None

    for epoch in (1, 2):
        with ThreadPoolExecutor(3) as pool:
            winners = [lease for lease in pool.map(taken, range(3)) if lease]
        assert [lease.epochs["scores"] for lease in winners] == [epoch]
        winners[0].check()
        winners[0].release()


def test_what_is_no_conflict_is_raised(shared: Lakehouse) -> None:
    """As when the driver may read `leases`, but not write."""
    leases.take_lease(shared, ["scores"], "first").release()
    shared.set_properties("leases", {"delta.appendOnly": "true"})
    with pytest.raises(PySparkException, match="DELTA_CANNOT_MODIFY_APPEND_ONLY"):
        leases.take_lease(shared, ["scores"], "second")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConcurrentAppendException("files were added"), True),
        (PySparkException("[DELTA_CONCURRENT_DELETE_READ] a file was deleted"), True),
        (RuntimeError("o62.execute: io.delta.exceptions.MetadataChangedException: changed"), True),
        (PySparkException("[INSUFFICIENT_PERMISSIONS] user may not MODIFY leases"), False),
        (PySparkException("[TABLE_OR_VIEW_NOT_FOUND] leases"), False),
        (OSError("No space left on device"), False),
    ],
)
def test_conflicts_are_told_from_other_errors(error: Exception, expected: bool) -> None:
    assert is_conflict(error) is expected


@pytest.mark.parametrize(
    ("says", "text"),
    [
        (is_other_append, "io.delta.exceptions.ConcurrentAppendException: files were added"),
        (is_other_append, "[DELTA_CONCURRENT_APPEND.WITHOUT_HINT] files were added"),
        (is_same_transaction, "io.delta.exceptions.ConcurrentTransactionException: by another"),
        (is_same_transaction, "[DELTA_CONCURRENT_TRANSACTION] by another"),
    ],
)
def test_what_the_other_commit_did_is_read_from_any_kind_of_error(
    says: Callable[[BaseException], bool], text: str
) -> None:
    assert says(RuntimeError(f"An error occurred while calling o62.saveAsTable. : {text}"))
    assert is_conflict(RuntimeError(text))
    both = (is_other_append, is_same_transaction)
    assert [each for each in both if each(RuntimeError(text))] == [says]
    assert not says(OSError("No space left on device"))


def test_a_process_is_gone_only_if_it_was_of_this_machine_and_seen_from_here() -> None:
    here = f"boot {identity.boot_id()}, {identity.pid_namespace()}"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    this = identity.this_driver()
    assert this != identity.this_driver(), "two runs of one process are two"
    assert re.fullmatch(
        rf"process {os.getpid()} on {re.escape(socket.gethostname())} \({re.escape(here)}, "
        r"started \d+, [0-9a-f]{6}\)",
        this,
    )
    started = identity.started(os.getpid())
    assert started
    for gone in (
        f"process {ended.pid} on elsewhere ({here}, started 17, ab12cd)",
        f"process {os.getpid()} on here ({here}, started {started - 1}, ab12cd)",
    ):
        assert identity.is_gone(gone)
    other_boot, other_namespace = here.replace("boot ", "boot 1"), here.replace("pid:", "pid:1")
    for alive in (
        this,
        f"process {ended.pid} on here ({other_boot}, started 17, ab12cd)",
        f"process {ended.pid} on here ({other_namespace}, started 17, ab12cd)",
        f"process {ended.pid} on here (ab12cd)",
        "first",
    ):
        assert not identity.is_gone(alive)


def test_a_driver_that_is_gone_is_followed_at_once(shared: Lakehouse) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = f"boot {identity.boot_id()}, {identity.pid_namespace()}"
    leases.take_lease(
        shared, [REJECTED], f"process {ended.pid} on here ({here}, started 17, ab12cd)"
    )
    assert leases.take_lease(shared, [REJECTED], "next").epochs == {REJECTED: 2}
    assert shared.properties(REJECTED)[leases.EPOCH] == "2", "its Java process may still write"


def test_drivers_create_the_tables_together(lake: Lakehouse) -> None:
    lake.spark.sql(f"DROP SCHEMA {lake.namespace} CASCADE")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: create_tables(lake, ["leases", REJECTED]), range(3)))
    assert lake.read("leases").count() == 0
    assert ids(lake) == []


@pytest.mark.parametrize("step", pipeline.STEPS)
def test_a_step_declares_the_tables_that_it_says_it_writes(step: str) -> None:
    module = pipeline.STEPS[step]
    _, _, said = (module.__doc__ or "").partition("writes")
    assert set(module.WRITES) == set(re.findall(r"`(\w+)`", said)) & set(TABLES)
