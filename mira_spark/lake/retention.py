"""Whether the versions a selection is made from can be read as long as it is to be kept."""

import re
from collections.abc import Iterable

from pyspark.errors import AnalysisException

from mira_spark.errors import InputError, joined
from mira_spark.lake.tables import Lakehouse

_FILES, _LOG = "delta.deletedFileRetentionDuration", "delta.logRetentionDuration"
DEFAULT_DAYS = {_FILES: 7.0, _LOG: 30.0}
_DAYS = {"hour": 1 / 24, "day": 1.0, "week": 7.0, "month": 30.0, "year": 365.0}
_PART = re.compile(r"(\d+)\s+(hour|day|week|month|year)s?")


def check(lake: Lakehouse, tables: tuple[str, ...], keep_days: int) -> None:
    """Raise InputError when Delta may remove versions of a table before `keep_days` days; it names
    each table and the statement that makes it keep them."""
    problems = []
    for table in tables:
        properties = lake.properties(table)
        for key, default in DEFAULT_DAYS.items():
            days = _days(properties.get(key), default)
            if days < keep_days:
                problems.append(
                    f"{lake.name(table)}: {key} is {days:g} days, selection.keep_days is "
                    f"{keep_days}: ALTER TABLE {lake.name(table)} SET TBLPROPERTIES "
                    f"('{key}' = 'interval {keep_days} days'), or --set selection.keep_days="
                    f"{int(days)}, or --set selection.materialize=text"
                )
    if problems:
        raise InputError(joined(problems))


def _days(interval: str | None, default: float) -> float:
    if interval is None:
        return default
    return sum(int(count) * _DAYS[unit] for count, unit in _PART.findall(interval.lower()))


def unreadable_versions(lake: Lakehouse, table: str, versions: Iterable[int]) -> dict[int, str]:
    """The versions of `table` that cannot be read any more, with what became of them."""
    reasons = {}
    wanted = sorted(set(versions))
    live = set(lake.read(table).inputFiles()) if wanted else set()
    for version in wanted:
        try:
            files = set(lake.read(table, version).inputFiles())
        except AnalysisException as error:
            late = "RETENTION_DURATION" in (error.getCondition() or "")
            reasons[version] = (
                "it is older than the table's delta.deletedFileRetentionDuration"
                if late
                else "its log was cleaned or the table was made anew"
            )
            continue
        try:  # VACUUM only removes files that the table no longer uses
            if files - live:
                lake.spark.read.format("binaryFile").load(sorted(files - live))
        except AnalysisException:
            reasons[version] = "its files were removed by VACUUM"
    return reasons
