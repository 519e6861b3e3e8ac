"""Leases: one driver works, the others are told who, a dead one is taken over and stays out."""

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyspark.sql import functions as F

from mira_spark import leases
from mira_spark.errors import BusyError
from mira_spark.tables import Lakehouse


def taken(lake: Lakehouse, holder: str) -> leases.Lease | None:
    try:
        return leases.take(lake, "scores", holder)
    except BusyError:
        return None


def test_the_second_driver_is_told_who_holds_the_lease(lake: Lakehouse) -> None:
    lake.create(["leases"])
    with leases.held(lake, "scores", "first") as lease:
        lease.check()
        with pytest.raises(BusyError, match=r"scores: first, last seen \d+ s ago, works on it"):
            leases.take(lake, "scores", "second")
        leases.take(lake, "judge_calls", "second").check()
    assert leases.take(lake, "scores", "second").epoch == 2


def test_a_driver_that_died_is_taken_over_and_fenced_off(lake: Lakehouse) -> None:
    lake.create(["leases"])
    dead = leases.take(lake, "scores", "dead")
    silent = F.current_timestamp() - F.expr(f"INTERVAL {leases.DEAD_AFTER_S + 5} SECONDS")
    lake.update("leases", F.col("name") == "scores", {"heartbeat_at": silent})
    assert leases._this_driver() != leases._this_driver(), "two runs of one process are two"
    heir = leases.take(lake, "scores", "heir")
    assert heir.epoch == dead.epoch + 1
    dead.renew()  # too late: changes nothing
    heir.check()
    with pytest.raises(BusyError, match=r"heir, last seen .* has taken over"):
        dead.check()


def test_only_a_process_of_this_machine_that_is_no_more_is_known_to_be_gone() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = socket.gethostname()
    assert leases._is_gone(f"process {ended.pid} on {here} (ab12)")
    for alive in (
        f"process {os.getpid()} on {here} (ab12)",
        f"process {ended.pid} on elsewhere (ab12)",
        f"process 1 on {here} (ab12)",
        "first",
        None,
    ):
        assert not leases._is_gone(alive)


def test_of_drivers_that_start_together_one_wins(lake: Lakehouse) -> None:
    lake.create(["leases"])
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda i: taken(lake, f"driver {i}"), range(3)))
    winners = [lease for lease in found if lease]
    assert len(winners) == 1
    winners[0].check()
