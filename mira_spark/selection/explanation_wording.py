"""Whether a document is in a selection and by how much, in words and from its own row alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mira_spark.lake.scale import POINT
from mira_spark.selection.allocation import KEEP_ALL, KEEP_NONE
from mira_spark.selection.record import Selection
from mira_spark.selection.walk import Cut


@dataclass(frozen=True)
class ScoredDimension:
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
    dimensions: Sequence[ScoredDimension] = ()
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


def contamination_text(row: Mapping[str, Any]) -> str:
    """What a row of `contaminated` says of a document."""
    more = f"; it holds {row['items']:,} of the set's items" if row["items"] > 1 else ""
    return (
        f"contaminated: {row['matches']:,} n-grams, {row['share']:.0%}, of item {row['item_id']} "
        f"({row['item_column']}) of {row['item_set']}, the first at character "
        f"{row['position']:,}{more}"
    )


def is_kept(level: int | None, tie_hash: int, doc_id: str, cut: Cut) -> bool:
    """Whether a document that competes by `level` is at or before the cut, as
    `order.selected_condition` has it; None, a quarantined one's, never is."""
    if level is None or level != cut.quality_cut:
        return level is not None and level > cut.quality_cut
    if cut.tie_hash_cut is None or cut.tie_doc_id_cut is None:
        return False
    kept = cut.tie_hash_cut, cut.tie_doc_id_cut.encode()
    return (tie_hash, doc_id.encode()) <= kept


def explanation_line(found: Explanation) -> str:
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
