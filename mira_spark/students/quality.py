"""One quality of a document's dimension scores: the table that says what each slot counts for in
each source, and the rule that applies it."""

from collections.abc import Sequence
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mira_spark.lake.scale import FULL_SCALE, MAX_WEIGHT, WEIGHT
from mira_spark.settings.students import Rule
from mira_spark.students.paper_rule import paper_quality
from mira_spark.students.shrunk_rule import ShrunkCells, shrunk_quality

MAX_SLOPE = 1500
Thousandths = Annotated[int, Field(ge=0, le=FULL_SCALE)]


class SourceCells(BaseModel):
    """What is known of one source's slots, in slot order.

    `counts`: whether the slot counts for the source under the table's rule. `judged_mean` and
    `mean_prediction` are thousandths of a point over the same labels, `slope` is thousandths, 0 to
    1,500: how far the judge moves where the student does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    counts: tuple[bool, ...]
    judged_mean: tuple[Thousandths, ...]
    mean_prediction: tuple[Thousandths, ...]
    slope: tuple[Annotated[int, Field(ge=0, le=MAX_SLOPE)], ...]

    @model_validator(mode="after")
    def _of_one_length(self) -> Self:
        lengths = {len(getattr(self, name)) for name in type(self).model_fields}
        if len(lengths) > 1:
            raise ValueError(f"the cells have {sorted(lengths)} slots, expected as many of each")
        return self


class QualityTable(BaseModel):
    """How a student's dimension scores become one quality.

    `weights` are the rubric's, thousandths, one per slot; the paper's rule has no use for them. A
    source that `sources` does not name uses the cells of the `group`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Rule
    weights: tuple[Annotated[int, Field(ge=0, le=MAX_WEIGHT * WEIGHT)], ...]
    sources: dict[str, SourceCells]
    group: SourceCells

    def cells(self, source: str | None) -> SourceCells:
        """The source's cells, or the group's."""
        return self.group if source is None else self.sources.get(source, self.group)

    def counts(self, source: str | None) -> tuple[bool, ...]:
        """Which slots count for the source; a slot of weight 0 never does under `shrunk`."""
        own = self.cells(source).counts
        if self.rule == "paper":
            return own
        return tuple(c and w > 0 for c, w in zip(own, self.weights, strict=True))


def quality(
    dimension_scores: npt.NDArray[np.int16], sources: Sequence[str | None], table: QualityTable
) -> npt.NDArray[np.int16]:
    """The quality of each row, int16 [rows], thousandths of a point, 0 to 10,000; -1 where no slot
    counts for the row's source. `dimension_scores` is [rows, slots]."""
    number = {source: n for n, source in enumerate(dict.fromkeys(sources))}
    row = np.array([number[source] for source in sources], np.intp)
    slots = dimension_scores.shape[1]
    counts = np.array([table.counts(s) for s in number], bool).reshape(-1, slots)
    if table.rule == "paper":
        return paper_quality(dimension_scores, counts[row])
    cells = [table.cells(source) for source in number]

    def column(name: str) -> npt.NDArray[np.int64]:
        return np.array([getattr(c, name) for c in cells], np.int64).reshape(-1, slots)[row]

    weight = np.where(counts, np.array(table.weights, np.int64), 0)[row]
    known = ShrunkCells(column("judged_mean"), column("mean_prediction"), column("slope"), weight)
    return shrunk_quality(dimension_scores, known)
