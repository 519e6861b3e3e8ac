"""Units of work done two at a time, with what is told of them meanwhile."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import NamedTuple

from mira_spark.process.progress import counted
from mira_spark.scoring.progress import Advance
from mira_spark.scoring.units import Unit


class Done(NamedTuple):
    """What became of units: rows quarantined, rows that an outage left unscored, and why."""

    quarantined: int = 0
    unscored: int = 0
    reason: str = ""

    def plus(self, other: "Done") -> "Done":
        """Of both together; the first reason stands for all."""
        return Done(
            self.quarantined + other.quarantined,
            self.unscored + other.unscored,
            self.reason or other.reason,
        )


Note = Callable[[str], None]
"""Leaves a line for who asks how far the scoring is."""
UNITS_AT_ONCE = 2  # the next unit's tasks fill the cores that the last tasks of one leave idle


def do_units(
    todo: list[Unit], do: Callable[[Unit], Done], what: str, note: Note = lambda line: None
) -> Done:
    """`do` every unit, two at a time; what became of all together."""
    advance, total = Advance.start(todo), Done()
    pool = ThreadPoolExecutor(UNITS_AT_ONCE)
    try:
        started = {pool.submit(do, unit): unit for unit in todo}
        with counted(sum(unit.documents for unit in todo), what) as count:
            for future in as_completed(started):
                unit, done = started[future], future.result()
                advance.add(unit, done.quarantined)
                total = total.plus(done)
                count(unit.documents, advance.line())
                note(advance.line())
    finally:
        note("")
        pool.shutdown(cancel_futures=True)  # after a failure no other unit is begun
    return total
