"""The histogram of a selection's candidates: counted once for pinned versions, then read."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from mira_spark import histograms
from mira_spark.current import Pinned
from mira_spark.errors import InputError
from mira_spark.histograms import Steps
from mira_spark.selection import SelectionSettings
from mira_spark.tables import Lakehouse


@dataclass(frozen=True)
class Bin:
    """Documents of one source that compete by one quality (None: quarantined), or do not compete
    for the reason in `set_aside`."""

    student_id: str
    source_group: str
    source: str
    quality: int | None
    set_aside: str | None
    documents: int
    tokens: int


def recorded(
    lake: Lakehouse,
    settings: SelectionSettings,
    state: Pinned,
    rows: Callable[[], DataFrame],
    run_id: str,
) -> list[Bin]:
    """The bins of `candidates.of`, which `rows` gives: `standing`, or counted and recorded."""
    found = standing(lake, settings, state)
    if found is None:
        keys = ("student_id", "source_group", "source", "quality", "set_aside")
        sums = (F.count("*").alias("documents"), F.sum("n_tokens").alias("tokens"))
        counted = rows().groupBy(*keys).agg(*sums).collect()
        found = [Bin(**row.asDict()) for row in counted]
        stamp = _stamp(settings, state)
        once = hashlib.sha256(json.dumps([stamp, sorted(state.students.values())]).encode())
        # Two drivers that count the same write it once.
        transaction = (once.hexdigest()[:24], lake.last_removal("score_histogram") + 1)
        rows_of = [vars(b) | stamp for b in found]
        lake.append_rows(rows_of, "score_histogram", run_id, transaction)
        _check(found)
    return found


def standing(lake: Lakehouse, settings: SelectionSettings, state: Pinned) -> list[Bin] | None:
    """The bins recorded for these versions, students and candidates; None without. InputError when
    a group has scores of two students."""
    known = lake.read("score_histogram")
    for name, value in _stamp(settings, state).items():
        known = known.filter(F.col(name) == F.lit(value))
    found = [Bin(**row.asDict()) for row in known.select(*Bin.__annotations__).collect()]
    if {b.student_id for b in found} != set(state.students.values()):
        return None
    _check(found)
    return found


def _stamp(settings: SelectionSettings, state: Pinned) -> dict[str, int | str]:
    documents_version, scores_version = state.versions
    return {
        "documents_version": documents_version,
        "scores_version": scores_version,
        "candidates": state.candidates_id(settings),
    }


def _check(found: Sequence[Bin]) -> None:
    if not found:
        raise InputError("scores has none of the champions: run score_documents first")
    by_group: dict[str, set[str]] = {}
    for b in found:
        by_group.setdefault(b.source_group, set()).add(b.student_id)
    for group, students in sorted(by_group.items()):
        if len(students) > 1:
            raise InputError(
                f"{group} has scores of {' and '.join(sorted(students))}: they cannot be compared; "
                "run score_documents"
            )


def levels(found: Iterable[Bin]) -> Steps:
    """The bins of candidates as steps to walk."""
    competing = [b for b in found if b.quality is not None and b.set_aside is None]
    return histograms.levels(
        [b.source for b in competing],
        [b.quality or 0 for b in competing],
        [b.documents for b in competing],
        [b.tokens for b in competing],
    )


def documents(found: Iterable[Bin]) -> int:
    """Documents of all bins, whether they compete or not."""
    return sum(b.documents for b in found)


def tokens(found: Iterable[Bin]) -> int:
    """Tokens of all bins, whether they compete or not."""
    return sum(b.tokens for b in found)
