"""One driver at a time: whoever spends money or GPU time on a table holds its lease.

A lease is a row of `leases`. It is taken by one conditional MERGE, so that of two drivers Delta
lets one win; the holder renews it from a thread, and a holder that was silent for DEAD_AFTER_S is
taken over. Every taking raises the epoch: a driver that lost its lease sees another epoch before
its next commit and leaves.
"""

import contextlib
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from pyspark.errors import PySparkException
from pyspark.sql import Column, Row
from pyspark.sql import functions as F

from mira_spark.errors import BusyError
from mira_spark.failpoints import reach
from mira_spark.tables import Lakehouse

DEAD_AFTER_S = 60
RENEW_EVERY_S = 20
_DRIVER = re.compile(r"process (?P<process>\d{1,9}) on (?P<host>\S+) \([0-9a-f]+\)")


@dataclass
class Lease:
    """A lease that was taken: `check` before every commit to the table it stands for."""

    lake: Lakehouse
    name: str
    holder: str
    epoch: int
    seen: float = field(default_factory=time.monotonic)

    def check(self, within_s: float = 0) -> None:
        """Raises BusyError when another driver has taken the lease since.

        The table is not read when the lease was seen to be ours `within_s` seconds ago: less than
        DEAD_AFTER_S nobody can have taken it.
        """
        if time.monotonic() - self.seen < within_s:
            return
        row = _row(self.lake, self.name)
        if row is None or (row["holder"], row["epoch"]) != (self.holder, self.epoch):
            raise BusyError(f"{_told(self.lake, self.name, row)} has taken over and goes on")
        self.seen = time.monotonic()

    def renew(self) -> None:
        """Say that the holder lives."""
        self.lake.update("leases", self._mine(), {"heartbeat_at": F.current_timestamp()})

    def release(self) -> None:
        """Let the next driver have it at once."""
        self.lake.update("leases", self._mine(), {"holder": F.lit(None).cast("string")})

    def _mine(self) -> Column:
        mine = (F.col("holder") == self.holder) & (F.col("epoch") == self.epoch)
        return mine & (F.col("name") == self.name)


@contextlib.contextmanager
def held(lake: Lakehouse, name: str, holder: str | None = None) -> Iterator[Lease]:
    """The lease, renewed until the block ends. Raises BusyError, naming who holds it.

    `holder` names this driver; by default host, process and a random part.
    """
    reach("lease.asked")
    lease = take(lake, name, holder or _this_driver())
    ended = threading.Event()
    renewer = threading.Thread(target=_renew, args=(lease, ended), daemon=True)
    renewer.start()
    try:
        reach("lease.taken")
        yield lease
    finally:
        ended.set()
        renewer.join()
        reach("lease.ending")
        with contextlib.suppress(PySparkException):  # it runs out by itself
            lease.release()
        reach("lease.ended")


def take(lake: Lakehouse, name: str, holder: str) -> Lease:
    """The lease for `holder`: from nobody, from one silent for DEAD_AFTER_S, or from a process of
    this machine that is no more; else BusyError."""
    taken = lake.rows_of([(name, holder, 1)], "name string, holder string, epoch bigint")
    taken = taken.withColumn("heartbeat_at", F.current_timestamp())
    changes = {c: F.col(f"new.{c}") for c in ("holder", "heartbeat_at")}
    changes["epoch"] = F.col("old.epoch") + 1
    before = _row(lake, name)
    gone = before["holder"] if before and _is_gone(before["holder"]) else None
    with contextlib.suppress(PySparkException):  # a lost race: the row says to whom
        lake.upsert(taken, "leases", "name", only_if=_free(gone), changes=changes)
    row = _row(lake, name)
    if row is None or row["holder"] != holder:
        raise BusyError(f"{_told(lake, name, row)} works on it: wait until it ends")
    return Lease(lake, name, holder, row["epoch"])


def _free(gone: str | None) -> Column:
    holder = F.col("old.holder")
    silent = F.unix_timestamp(F.current_timestamp()) - F.unix_timestamp("old.heartbeat_at")
    return holder.isNull() | (silent > DEAD_AFTER_S) | holder.eqNullSafe(F.lit(gone))


def _is_gone(holder: str | None) -> bool:
    """Whether the holder was a process of this machine and is no more."""
    found = _DRIVER.fullmatch(holder or "")
    if found is None or found["host"] != socket.gethostname():
        return False
    try:
        os.kill(int(found["process"]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _renew(lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(RENEW_EVERY_S):
        with contextlib.suppress(PySparkException):  # a conflict; the next renewal is in time
            lease.renew()


def _row(lake: Lakehouse, name: str) -> Row | None:
    silent = F.unix_timestamp(F.current_timestamp()) - F.unix_timestamp("heartbeat_at")
    rows = lake.read("leases").filter(F.col("name") == name)
    found = rows.select("holder", "epoch", silent.alias("silent_s")).collect()
    return found[0] if found else None


def _told(lake: Lakehouse, name: str, row: Row | None) -> str:
    if row is None or row["holder"] is None:
        return f"{lake.name(name)}: another driver"
    return f"{lake.name(name)}: {row['holder']}, last seen {row['silent_s']} s ago,"


def _this_driver() -> str:
    return f"process {os.getpid()} on {socket.gethostname()} ({secrets.token_hex(3)})"
