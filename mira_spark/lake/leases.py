"""One driver at a time: whoever writes tables that several drivers share holds their lease.

A lease is a row of `leases`. It is taken by a MERGE on the condition that the row is still as it
was seen, so that of two drivers Delta lets one win. The holder renews it from a thread. A driver
that finds a holder watches it: it leaves when the row changes, and takes over when it has not
changed for DEAD_AFTER_S by the watcher's own clock. Clocks of other machines are never compared.

Every taking raises the epoch. A taking over also writes the epoch into the properties of the
tables, so that Delta refuses what the former holder had begun to write; what it begins later looks
the lease up in the course of the write (see `Lakehouse`).
"""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, functions as F

from mira_spark.errors import BusyError
from mira_spark.lake.claims import is_conflict
from mira_spark.lake.tables import Lakehouse
from mira_spark.process import identity
from mira_spark.process.failpoints import reach
from mira_spark.process.progress import note

DEAD_AFTER_S = 60
RENEW_EVERY_S = 20
WATCH_EVERY_S = 4
_ATTEMPTS = 10
EPOCH = "mira.lease_epoch"


class _Row(NamedTuple):
    """A row of `leases`; `beat` is its last sign of life, in microseconds."""

    holder: str | None
    epoch: int
    beat: int


@dataclass
class Lease:
    """The lease of some tables, a `Claim`; `lake` itself carries none."""

    lake: Lakehouse
    tables: Collection[str]
    holder: str
    epochs: Mapping[str, int]
    clock: Callable[[], float] = time.monotonic
    seen: float = field(init=False)
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self.seen = self.clock()

    def row_while_valid(self) -> DataFrame:
        """A frame of one row, True, while this driver has all the tables, else of none; looked up
        each time the frame is executed."""
        mine = self.lake.read("leases").filter(self._own_rows()).agg(F.count("*").alias("mine"))
        return mine.filter(F.col("mine") == len(self.tables)).select(F.lit(True))

    def check(self, within_s: float = 0) -> None:
        """Raises BusyError when another driver has taken one of the tables, and what the renewals
        failed by when none succeeded for DEAD_AFTER_S."""
        if self.clock() - self.seen < within_s:
            return
        rows = _rows(self.lake, self.tables)
        for table, epoch in self.epochs.items():
            row = rows.get(table)
            if row is None or (row.holder, row.epoch) != (self.holder, epoch):
                raise BusyError(f"{_who(self.lake, table, row)} has taken over and goes on")
        if self.failure is not None:
            raise self.failure
        self.seen = self.clock()

    def renew(self) -> None:
        """Record that the holder lives; one that is silent for DEAD_AFTER_S counts as dead."""
        self.lake.update("leases", self._own_rows(), {"heartbeat_at": F.current_timestamp()})

    def release(self) -> None:
        """Give the tables back: the next driver need not wait until this one counts as dead."""
        self.lake.update("leases", self._own_rows(), {"holder": F.lit(None).cast("string")})

    def _own_rows(self) -> Column:
        """The rows that this taking wrote."""
        ours = ((F.col("name") == n) & (F.col("epoch") == e) for n, e in self.epochs.items())
        return (F.col("holder") == self.holder) & reduce(Column.__or__, ours)


@contextlib.contextmanager
def write_lease(lake: Lakehouse, session: str, tables: Collection[str]) -> Iterator[Lakehouse]:
    """The lake to write `tables` with: under their lease where the session is `platform`; as it is
    where it is `local`, since the folder's lock keeps other processes out."""
    if session == "local" or not tables:
        yield lake
        return
    with hold_lease(lake, tables) as leased:
        yield leased


@contextlib.contextmanager
def hold_lease(
    lake: Lakehouse, tables: Collection[str], holder: str | None = None
) -> Iterator[Lakehouse]:
    """The lake with a claim to `tables`, renewed until the block ends. Raises BusyError, naming who
    holds one of them.

    `holder` names this driver; by default its process, the machine, and a random part.
    """
    reach("lease.asked")
    lease = take_lease(lake, tables, holder or identity.this_driver())
    ended = threading.Event()
    renewer = threading.Thread(target=_renew, args=(lease, ended), daemon=True)
    renewer.start()
    try:
        reach("lease.taken")
        yield dataclasses.replace(lake, claim=lease)
    except BaseException:
        with contextlib.suppress(Exception):  # the first error is the one to report
            _end(lease, ended, renewer)
        raise
    _end(lease, ended, renewer)


def _end(lease: Lease, ended: threading.Event, renewer: threading.Thread) -> None:
    ended.set()
    renewer.join()
    reach("lease.ending")
    for _ in range(_ATTEMPTS):  # it would run out by itself, but the next driver would wait
        with _conflicts_suppressed():
            lease.release()
            break
    reach("lease.ended")


def take_lease(
    lake: Lakehouse,
    tables: Collection[str],
    holder: str,
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> Lease:
    """The lease of all `tables` for `holder`, a name used once: from nobody, from a process of this
    machine that is no more, or from a driver that was silent for DEAD_AFTER_S while this watched
    it; else BusyError.
    """
    before = _watch_until_silent(lake, tables, clock, wait)
    for _ in range(_ATTEMPTS):
        after = _take_rows(lake, tables, holder, before)
        mine = {t: row for t, row in after.items() if row.holder == holder}
        if len(mine) == len(tables):
            lease = Lease(lake, tables, holder, {t: row.epoch for t, row in mine.items()}, clock)
            for table in tables:
                if table in before and before[table].holder:  # what it began to write is refused
                    lake.set_properties(table, {EPOCH: str(lease.epochs[table])})
            return lease
        if mine:  # another driver was first at the rest
            lake.update("leases", F.col("holder") == holder, {"holder": F.lit(None).cast("string")})
            after = {t: row for t, row in after.items() if t not in mine}
        _check_unchanged(lake, before, after)
        before = _rows(lake, tables)
    raise BusyError(f"{lake.name('leases')}: too many drivers take leases at once: try again")


def _watch_until_silent(
    lake: Lakehouse,
    tables: Collection[str],
    clock: Callable[[], float],
    wait: Callable[[float], None],
) -> dict[str, _Row]:
    """The rows of the tables, once nobody holds one or all who do were silent for DEAD_AFTER_S."""
    rows = first = _rows(lake, tables)
    since = clock()
    while alive := _alive(rows):
        _check_unchanged(lake, first, rows)
        if clock() - since >= DEAD_AFTER_S:
            break
        if rows is first:
            holder = _who(lake, alive[0], rows[alive[0]])
            holder = f"{holder} holds its lease"
            note(f"{holder}: waiting up to {DEAD_AFTER_S} s for a sign of life")
        wait(WATCH_EVERY_S)
        rows = _rows(lake, tables)
    return rows


def _alive(rows: Mapping[str, _Row]) -> list[str]:
    """The tables that have a holder who is not known to be gone."""
    return [table for table, row in rows.items() if row.holder and not identity.is_gone(row.holder)]


def _check_unchanged(lake: Lakehouse, before: Mapping[str, _Row], now: Mapping[str, _Row]) -> None:
    """BusyError when a driver gave a sign of life."""
    for table in _alive(now):
        if now[table] != before.get(table):
            raise BusyError(f"{_who(lake, table, now[table])} works on it: wait until it ends")


def _take_rows(
    lake: Lakehouse, tables: Collection[str], holder: str, before: Mapping[str, _Row]
) -> dict[str, _Row]:
    """The rows after this driver tried to take those that are as `before`."""
    nothing = _Row(None, 0, 0)
    new = [(table, holder, before.get(table, nothing).epoch + 1) for table in tables]
    rows = lake.spark.createDataFrame(new, "name string, holder string, epoch bigint")
    rows = rows.withColumn("heartbeat_at", F.current_timestamp())
    unchanged = F.lit(False)
    for table, row in before.items():
        same = F.unix_micros("leases.heartbeat_at") == row.beat
        same &= F.col("leases.holder").eqNullSafe(F.lit(row.holder)) & (
            F.col("leases.epoch") == row.epoch
        )
        unchanged |= (F.col("leases.name") == table) & same
    with _conflicts_suppressed():  # the rows say who was first
        lake.upsert(rows, "leases", "name", only_if=unchanged)
    return _rows(lake, tables)


@contextlib.contextmanager
def _conflicts_suppressed() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not is_conflict(error):
            raise


def _rows(lake: Lakehouse, tables: Collection[str]) -> dict[str, _Row]:
    """The tables' rows; of two of one name, which two first takings could leave, one counts."""
    rows = lake.read("leases").filter(F.col("name").isin(list(tables)))
    beat = F.unix_micros("heartbeat_at")
    ordered = rows.select("name", "holder", "epoch", beat).orderBy("epoch", "holder").collect()
    return {name: _Row(*row) for name, *row in ordered}


def _renew(lease: Lease, ended: threading.Event) -> None:
    renewed = lease.clock()
    while not ended.wait(RENEW_EVERY_S):
        try:
            lease.renew()
        except Exception as error:  # after a conflict the next renewal is in time
            silent = lease.clock() - renewed
            lease.failure = None if is_conflict(error) or silent < DEAD_AFTER_S else error
        else:
            renewed, lease.failure = lease.clock(), None


def _who(lake: Lakehouse, table: str, row: _Row | None) -> str:
    holder = row.holder if row is not None and row.holder else "another driver"
    return f"{lake.name(table)}: {holder.partition(' (')[0]}"
