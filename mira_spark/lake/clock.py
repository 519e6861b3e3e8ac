"""A clock that goes on after what a table holds."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pyspark.sql import functions as F

from mira_spark.lake.tables import Lakehouse
from mira_spark.process.clock import steady_clock


def clock_after(lake: Lakehouse, table: str, column: str) -> Callable[[], datetime]:
    """A clock (UTC) whose times are later than every time in the column, also where the machine's
    own clock was set back."""
    latest = lake.read(table).agg(F.max(F.unix_micros(column))).collect()[0][0]
    epoch = datetime.fromtimestamp(0, UTC)
    return steady_clock(None if latest is None else epoch + timedelta(microseconds=latest))
