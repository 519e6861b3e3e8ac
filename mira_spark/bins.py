"""The histogram of a selection's candidates: counted once for pinned versions, then read."""

from collections.abc import Iterable, Sequence
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
    lake: Lakehouse, settings: SelectionSettings, state: Pinned, rows: DataFrame, run_id: str
) -> list[Bin]:
    """The bins of `candidates.of`; counted and recorded unless the table has them for these
    versions and students. InputError when a group has scores of two students."""
    stamp = {
        "documents_version": state.versions[0],
        "scores_version": state.versions[1],
        "candidates": settings.candidates_id,
    }
    known = lake.read("score_histogram")
    for name, value in stamp.items():
        known = known.filter(F.col(name) == F.lit(value))
    columns = list(Bin.__annotations__)
    students = set(state.students.values())
    found = [Bin(**row.asDict()) for row in known.select(*columns).collect()]
    if {b.student_id for b in found} != students:
        keys = ("student_id", "source_group", "source", "quality", "set_aside")
        counted = rows.groupBy(*keys).agg(
            F.count("*").alias("documents"), F.sum("n_tokens").alias("tokens")
        )
        found = [Bin(**row.asDict()) for row in counted.collect()]
        lake.append_rows([vars(b) | stamp for b in found], "score_histogram", run_id)
    _check(found)
    return found


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
