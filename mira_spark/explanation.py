"""Why one document is in a selection or not: what it was scored, and where its source is cut."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import Row
from pyspark.sql import functions as F

from mira_spark import candidates, selections
from mira_spark.allocation import KEEP_ALL, KEEP_NONE
from mira_spark.bins import Bin
from mira_spark.columns import POINT
from mira_spark.errors import ArtefactError, InputError
from mira_spark.selection import ScoreColumn
from mira_spark.selections import Selection
from mira_spark.students import artefact
from mira_spark.tables import Lakehouse
from mira_spark.walk import Cut

NEW, UNGROUPED, NO_SCORE, QUARANTINED = "new", "no student", "not scored", "quarantined"


@dataclass(frozen=True)
class Dimension:
    """A slot of the rubric: the score in thousandths of a point, None where there is none, and
    whether it counts in the document's source, None where the student's folder is gone."""

    name: str
    score: int | None
    is_counted: bool | None


@dataclass(frozen=True)
class Explanation:
    """What a selection made of a document; qualities in thousandths of a point.

    `set_aside` is why it did not compete, with `because` in words; None for one that did. `level`
    is what it competes by, `quality` what its student gave. `better_than` are the shares of its
    source's and its group's competing documents below it. `is_listed` is what the list of the
    selection says, None where it keeps none.
    """

    doc_id: str
    source: str
    selection: Selection
    source_group: str | None = None
    student_id: str | None = None
    rubric_id: str | None = None
    dimensions: Sequence[Dimension] = ()
    quality: int | None = None
    level: int | None = None
    tie_hash: int | None = None
    cut: Cut | None = None
    better_than: tuple[float, float] | None = None
    set_aside: str | None = None
    because: str = ""
    is_listed: bool | None = None

    @property
    def is_in(self) -> bool:
        """Whether it is selected, as the view has it."""
        return self.follows if self.is_listed is None else self.is_listed

    @property
    def follows(self) -> bool:
        """Whether it is selected, as the cut has it."""
        if self.set_aside or self.cut is None or self.tie_hash is None:
            return False
        return is_kept(self.level, self.tie_hash, self.doc_id, self.cut)


def is_kept(level: int | None, tie_hash: int, doc_id: str, cut: Cut) -> bool:
    """Whether a document that competes by `level` is at or before the cut, as
    `selection.selected_condition` has it; None, a quarantined one's, never is."""
    if level is None or level != cut.quality_cut:
        return level is not None and level > cut.quality_cut
    if cut.tie_hash_cut is None or cut.tie_doc_id_cut is None:
        return False
    kept = cut.tie_hash_cut, cut.tie_doc_id_cut.encode()
    return (tie_hash, doc_id.encode()) <= kept


def verdict(found: Explanation) -> str:
    """In or out and by how much, or why it did not compete; one line."""
    is_in = "in" if found.is_in else "out"
    if found.is_listed is not None and found.is_listed != found.follows:
        return (
            f"{is_in}: so says the list of the selection; by what the users' tables say now it "
            f"would be {'in' if found.follows else 'out'}"
        )
    if found.set_aside or found.cut is None or found.level is None:
        return f"{is_in}: it did not compete, {found.because or found.set_aside}"
    return f"{is_in}: {_distance(found.level, found.tie_hash, found.doc_id, found.cut)}"


def _distance(level: int, tie_hash: int | None, doc_id: str, cut: Cut) -> str:
    if cut.quality_cut == KEEP_ALL:
        return "all that compete of its source fit, there is no cut"
    if cut.quality_cut == KEEP_NONE:
        return "no document of its source fits"
    by = level - cut.quality_cut
    if by:
        where = "above" if by > 0 else "below"
        return f"{abs(by) / POINT:.3f} points {where} the cut of its source"
    if cut.tie_hash_cut is None:
        return "at the cut of its source, where none is kept"
    order = "before or at" if is_kept(level, tie_hash or 0, doc_id, cut) else "after"
    last = f" {cut.tie_doc_id_cut!r}" if cut.tie_doc_id_cut else ""
    return (
        f"it ties with the cut of its source; its hash {tie_hash} and id are {order} the last kept "
        f"there, {cut.tie_hash_cut}{last}"
    )


def of(lake: Lakehouse, one: Selection, doc_id: str) -> Explanation:
    """Why the document is in this selection or not. InputError when there is no such document, or
    a version that the selection was made from cannot be read any more."""
    selections.check_readable(lake, [one], selections.PINNED)
    document, is_there = _document(lake, one, doc_id)
    found: dict[str, Any] = {"doc_id": doc_id, "source": document["source"], "selection": one}
    if not one.settings.is_predicate:
        items = selections.items(lake, one).filter(F.col("doc_id") == doc_id)
        found["is_listed"] = not items.isEmpty()
    if not is_there:
        version = one.version("documents")
        because = f"it is not in version {version} of documents, only in a later one"
        return Explanation(**found, set_aside=NEW, because=because)
    cuts = selections.cutoffs(lake, one).filter(F.col("source") == document["source"]).collect()
    if not cuts:
        because = f"no student scores its source, {document['source']}"
        return Explanation(**found, set_aside=UNGROUPED, because=because)
    found |= {name: cuts[0][name] for name in ("source_group", "student_id")}
    found["cut"] = selections.cut_of(cuts[0])
    rows = _rows(lake, one, document)
    own = [row for row in rows if row["doc_id"] == doc_id]
    if not own:
        because = f"{cuts[0]['student_id']} had not scored it at version {one.versions[1]}"
        return Explanation(**found, set_aside=NO_SCORE, because=because)
    return Explanation(**found, **_scored(lake, one, cuts[0], own[0], rows))


def _document(lake: Lakehouse, one: Selection, doc_id: str) -> tuple[Row, bool]:
    """Its row at the pinned version or else now, and whether it is the first."""
    for version in (one.version("documents"), None):
        rows = lake.read("documents", version).filter(F.col("doc_id") == doc_id)
        found = rows.select("doc_id", "source", "bucket", "content_hash").collect()
        if found:
            return found[0], version is not None
    raise InputError(
        f"there is no document {doc_id!r} in {lake.name('documents')}, neither at version "
        f"{one.version('documents')}, which {one.title} is of, nor now"
    )


def _rows(lake: Lakehouse, one: Selection, document: Row) -> list[Row]:
    """The candidates' rows of the document, and of its equals where they compete with it."""
    wanted = F.col("content_hash") == F.lit(document["content_hash"])
    if one.settings.duplicates == "keep":
        for name in ("source", "bucket", "doc_id"):
            wanted &= F.col(name) == F.lit(document[name])
    rows = selections.scored(lake, one).filter(wanted)
    own = rows.select("doc_id", F.col("quality").alias("own_quality"))
    return selections.competing(lake, one, rows).join(own, on="doc_id", how="left").collect()


def _scored(
    lake: Lakehouse, one: Selection, cutoff: Row, row: Row, equals: Sequence[Row]
) -> dict[str, Any]:
    of_student = F.col("student_id") == cutoff["student_id"]
    student = lake.read("students").filter(of_student).collect()
    level, aside, because = row["quality"], row["set_aside"], ""
    if aside == candidates.DUPLICATE:
        kept = [r["doc_id"] for r in equals if not r["set_aside"] and r["quality"] is not None]
        because = f"a duplicate of {', '.join(kept)}"
    elif aside == candidates.UNSCORED and isinstance(one.settings.score, ScoreColumn):
        because = f"{one.settings.score.table} has no {one.settings.score.column} of it"
    elif aside:
        because = f"{aside} by the settings of the selection"
    elif level is None:
        aside, because = QUARANTINED, f"quarantined: {row['reason']}"
    return {
        "rubric_id": student[0]["rubric_id"] if student else None,
        "dimensions": _dimensions(row, student),
        "quality": row["own_quality"],
        "level": level,
        "tie_hash": row["tie_hash"],
        "set_aside": aside,
        "because": because,
        "better_than": None if level is None else _better_than(lake, one, cutoff, level),
    }


def _dimensions(row: Row, student: Sequence[Row]) -> list[Dimension]:
    if not student:
        return []
    names: list[str] = student[0]["dimensions"]
    counted: Sequence[bool | None] = [None] * len(names)
    try:
        folder, digest = Path(student[0]["artefact_uri"]), student[0]["artefact_sha256"]
        manifest = artefact.read_manifest(folder, digest)
        counted = manifest.reliability.get(row["source"], manifest.group_reliability)
    except ArtefactError:  # an old student's folder may be gone
        pass
    scores = row["dimension_scores"] or [None] * len(names)
    return [Dimension(*slot) for slot in zip(names, scores, counted, strict=True)]


def _better_than(
    lake: Lakehouse, one: Selection, cutoff: Row, level: int
) -> tuple[float, float] | None:
    histogram = lake.read("score_histogram")
    stamp = {
        "documents_version": one.version("documents"),
        "scores_version": one.version("scores"),
        "candidates": one.candidates,
        "student_id": cutoff["student_id"],
        "source_group": cutoff["source_group"],
    }
    for name, value in stamp.items():
        histogram = histogram.filter(F.col(name) == F.lit(value))
    columns = list(Bin.__annotations__)
    found = [Bin(**row.asDict()) for row in histogram.select(*columns).collect()]
    of_source = [b for b in found if b.source == cutoff["source"]]
    return (share_below(of_source, level), share_below(found, level)) if found else None


def share_below(found: Iterable[Bin], level: int) -> float:
    """The share of the competing documents that compete by less than `level`; 0 of none."""
    counts = [
        (b.documents, b.quality < level)
        for b in found
        if b.quality is not None and b.set_aside is None
    ]
    below = sum(documents for documents, is_below in counts if is_below)
    return below / max(1, sum(documents for documents, _ in counts))
