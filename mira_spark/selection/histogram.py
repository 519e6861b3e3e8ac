"""The histogram of a selection's candidates: counted once for pinned versions, then read."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, functions as F

from mira_spark.errors import InputError, ReconciliationError, joined
from mira_spark.lake.scale import FULL_SCALE
from mira_spark.lake.tables import Lakehouse
from mira_spark.selection import positions
from mira_spark.selection.candidates import OVERSIZED
from mira_spark.selection.pinned import Pinned
from mira_spark.selection.positions import Positions
from mira_spark.settings.selection import SMALLEST_DOCUMENT_SHARE, SelectionSettings

WRITES = ("score_histogram",)
KEYS = ("student_id", "source_group", "source", "quality", "set_aside", "document_tokens")
SUMS = ("documents", "tokens")
QUARANTINED = "quarantined"
MOST_ROWS_OF_SOURCE = FULL_SCALE + int(1 / SMALLEST_DOCUMENT_SHARE)
"""Where none of its documents is set aside: one for each quality, 0 to FULL_SCALE, and one for each
document of more than SMALLEST_DOCUMENT_SHARE of its tokens, of which there are fewer than fit."""


class Part(NamedTuple):
    """Documents of one source that compete, `aside` None, or do not for that one reason."""

    student_id: str
    source_group: str
    source: str
    aside: str | None
    documents: int
    tokens: int


@dataclass(frozen=True)
class Bins:
    """All documents as counted in parts, and those that compete as levels to walk; `rows` are those
    of `score_histogram`, by KEYS."""

    parts: Sequence[Part]
    levels: Positions
    rows: pa.Table

    @property
    def documents(self) -> int:
        """Of all parts, whether they compete or not."""
        return sum(part.documents for part in self.parts)

    @property
    def tokens(self) -> int:
        """Of all parts, whether they compete or not."""
        return sum(part.tokens for part in self.parts)

    @property
    def set_aside(self) -> dict[str, int]:
        """Documents that do not compete, by reason."""
        counts: dict[str, int] = {}
        for part in self.parts:
            if part.aside:
                counts[part.aside] = counts.get(part.aside, 0) + part.documents
        return counts

    @property
    def competing(self) -> dict[str, tuple[int, int]]:
        """Documents and tokens that compete, of every source."""
        counts = dict.fromkeys(self.groups, (0, 0))
        return counts | {p.source: (p.documents, p.tokens) for p in self.parts if p.aside is None}

    @property
    def groups(self) -> dict[str, str]:
        """Source to group."""
        return {part.source: part.source_group for part in self.parts}

    def by_source(self) -> dict[str, "Bins"]:
        """The parts of each source."""
        parts: dict[str, list[Part]] = {}
        for part in self.parts:
            parts.setdefault(part.source, []).append(part)
        return {source: Bins(own, self.levels, self.rows) for source, own in parts.items()}

    def within(self, most_tokens: Mapping[str, int]) -> "Bins":
        """With documents set aside that have more tokens than their source's may have."""
        return bins_from_rows(self.rows, most_tokens)


def bins_from_rows(rows: pa.Table, most_tokens: Mapping[str, int] | None = None) -> Bins:
    """From columns KEYS and SUMS as in `score_histogram`, of which there may be as many rows as
    sources times qualities, 10,001, and more for large documents; those with more than
    `most_tokens`, by source, are set aside."""
    is_quarantined = _where(pc.is_null(rows["quality"]), QUARANTINED)
    asides = [rows["set_aside"], is_quarantined, _oversized(rows, most_tokens or {})]
    stated = rows.append_column("aside", pc.coalesce(*asides))
    names = ["student_id", "source_group", "source", "aside"]
    columns = _summed(stated, names)
    competing = _summed(stated.filter(pc.is_null(stated["aside"])), ["source", "quality"])
    levels = positions.levels(
        competing[0].combine_chunks(), *(column.to_numpy() for column in competing[1:])
    )
    return Bins(list(map(Part, *(column.to_pylist() for column in columns))), levels, rows)


def _where(condition: pa.ChunkedArray, reason: str) -> pa.ChunkedArray:
    return pc.if_else(condition, reason, pa.scalar(None, "string"))


def _oversized(rows: pa.Table, most_tokens: Mapping[str, int]) -> pa.ChunkedArray:
    place = pc.index_in(rows["source"], pa.array(list(most_tokens), pa.string()))
    most = pa.array(list(most_tokens.values()), pa.int64()).take(place.combine_chunks())
    return _where(pc.greater(rows["document_tokens"], most), OVERSIZED)


def _summed(rows: pa.Table, names: list[str]) -> list[pa.ChunkedArray]:
    """The columns of these names and SUMS, one row for each of what the names hold."""
    sums = rows.group_by(names, use_threads=False).aggregate([(name, "sum") for name in SUMS])
    return [sums[name] for name in (*names, *(f"{name}_sum" for name in SUMS))]


def counted_bins(
    lake: Lakehouse,
    settings: SelectionSettings,
    state: Pinned,
    rows: Callable[[], DataFrame],
    run_id: str,
) -> Bins:
    """The bins of `candidates.competing_documents`, which `rows` gives; those of students that are
    not recorded yet are counted and recorded first.

    InputError when a group has scores of two students, or none of its champion, or when no document
    competes.
    """
    found, students = _read(lake, settings, state), set(state.students.values())
    if missing := sorted(students - _students(found)):
        stamp = _stamp(settings, state)
        once = hashlib.sha256(json.dumps([stamp, missing]).encode()).hexdigest()[:24]
        stamped = {name: F.lit(value) for name, value in stamp.items()}
        of_missing = rows().filter(F.col("student_id").isin(missing))
        counted = histogram_rows(of_missing).withColumns(stamped)
        # Two drivers that count the same write it once.
        lake.append(counted, "score_histogram", run_id, transaction=(once, 1))
        found = _read(lake, settings, state)
    _check(found, state.students)
    return found


def histogram_rows(rows: DataFrame) -> DataFrame:
    """KEYS and SUMS of the documents; those that compete and may be oversized, as they have more
    than SMALLEST_DOCUMENT_SHARE of their source's tokens, have rows of their own."""
    competes = F.expr("set_aside IS NULL AND quality IS NOT NULL")
    totals = rows.groupBy("source").agg(F.sum(F.when(competes, F.col("n_tokens"))).alias("total"))
    part, whole = SMALLEST_DOCUMENT_SHARE.as_integer_ratio()
    is_large = F.col("n_tokens") * whole > F.col("total") * part
    large = F.when(competes & is_large, F.col("n_tokens"))
    stated = rows.join(F.broadcast(totals), on="source").withColumn("document_tokens", large)
    sums = (F.count("*").alias("documents"), F.sum("n_tokens").alias("tokens"))
    return stated.groupBy(*KEYS).agg(*sums)


def recorded_bins(lake: Lakehouse, settings: SelectionSettings, state: Pinned) -> Bins | None:
    """The bins recorded for these versions, students and candidates; None without. InputError as of
    `counted_bins`."""
    found = _read(lake, settings, state)
    if _students(found) != set(state.students.values()):
        return None
    _check(found, state.students)
    return found


def _read(lake: Lakehouse, settings: SelectionSettings, state: Pinned) -> Bins:
    known = lake.read("score_histogram")
    known = known.filter(F.col("student_id").isin(sorted(state.students.values())))
    for name, value in _stamp(settings, state).items():
        known = known.filter(F.col(name) == F.lit(value))
    return bins_from_rows(known.select(*KEYS, *SUMS).toArrow())


def _students(found: Bins) -> set[str]:
    return {part.student_id for part in found.parts}


def _stamp(settings: SelectionSettings, state: Pinned) -> dict[str, int | str]:
    documents_version, scores_version = state.versions
    return {
        "documents_version": documents_version,
        "scores_version": scores_version,
        "candidates": state.candidates_id(settings),
    }


def _check(found: Bins, champions: Mapping[str, str]) -> None:
    if not found.parts:
        raise InputError("scores has none of the champions: run mira score-documents first")
    by_group: dict[str, set[str]] = {}
    for part in found.parts:
        by_group.setdefault(part.source_group, set()).add(part.student_id)
    problems = [
        f"{group} has scores of {' and '.join(sorted(students))}: they cannot be compared; "
        "run mira score-documents"
        for group, students in sorted(by_group.items())
        if len(students) > 1
    ]
    problems += [
        f"{group} has no scores of its champion {student}: run mira score-documents first"
        for group, student in sorted(champions.items())
        if student not in by_group.get(group, ())
    ]
    if problems:
        raise InputError(joined(problems))
    if not any(part.aside is None and part.documents for part in found.parts):
        aside = ", ".join(f"{n:,} {why}" for why, n in sorted(found.set_aside.items()))
        raise InputError(
            f"selection: no document competes, {aside}: see selection.where, exclude and score"
        )
    if found.rows.group_by(list(KEYS)).aggregate([]).num_rows < found.rows.num_rows:
        raise ReconciliationError(
            "score_histogram has some of these bins twice: run mira scores repair, then mira run"
        )
