"""The report's figures per group and source, and its examples: rows of tables summed and sorted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mira_spark.distillation.figure_words import FIGURES, PREDICTORS

ReportRow = Mapping[str, Any]


class FigureTable(NamedTuple):
    """A student's figures: the columns' names, and a row of them by the figure's words, None where
    a predictor has none."""

    predictors: list[str]
    rows: dict[str, list[ReportRow | None]]


@dataclass(frozen=True)
class Sums:
    """Figures of a source, a group or everything, by addition."""

    documents: int = 0
    tokens: int = 0
    kept_documents: int = 0
    kept_tokens: int = 0
    scored: int = 0
    quality_sum: int = 0
    quarantined: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            *(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True))
        )

    @property
    def mean(self) -> float | None:
        """Mean quality of the scored documents, thousandths of a point."""
        return self.quality_sum / self.scored if self.scored else None

    @property
    def share(self) -> float | None:
        """Share of the tokens that is kept."""
        return self.kept_tokens / self.tokens if self.tokens else None


@dataclass(frozen=True)
class SourceFigures:
    """One source. `cut` is its quality_cut: negative where all is kept, None where it was not
    scored and so could not be selected."""

    name: str
    sums: Sums
    cut: int | None


@dataclass(frozen=True)
class GroupFigures:
    """One group and its sources, those with most tokens first."""

    name: str
    sources: tuple[SourceFigures, ...]

    @property
    def sums(self) -> Sums:
        """The group's figures."""
        return sum((s.sums for s in self.sources), Sums())

    @property
    def cuts(self) -> list[int]:
        """The different cuts of its sources; one under policy `group`, none when not scored."""
        return sorted({s.cut for s in self.sources if s.cut is not None})


def groups(
    sources: Sequence[ReportRow], cutoffs: Sequence[ReportRow], histogram: Sequence[ReportRow]
) -> list[GroupFigures]:
    """Every group by name; rows as `ReportData` describes them."""
    group_of = {r["source"]: r["source_group"] for r in (*sources, *cutoffs)}
    size_of = {r["source"]: (r["documents"], r["tokens"]) for r in sources}
    cutoff_of = {r["source"]: r for r in cutoffs}
    bins_of = by(histogram, "source")
    by_group: dict[str, list[SourceFigures]] = {}
    for source, source_group in group_of.items():
        cutoff = cutoff_of.get(source)
        sums = _sums(size_of.get(source, (0, 0)), cutoff, bins_of.get(source, []))
        figures = SourceFigures(source, sums, cutoff["quality_cut"] if cutoff else None)
        by_group.setdefault(source_group, []).append(figures)
    return [
        GroupFigures(name, tuple(sorted(by_group[name], key=lambda s: (-s.sums.tokens, s.name))))
        for name in sorted(by_group)
    ]


def _sums(size: tuple[int, int], cutoff: ReportRow | None, bins: Sequence[ReportRow]) -> Sums:
    """The cutoff knows the source's size at the selection's version; `size` is for the others."""
    if cutoff is None:
        return Sums(*size)
    scored = [b for b in bins if b["bin"] is not None]
    return Sums(
        documents=cutoff["total_documents"],
        tokens=cutoff["total_tokens"],
        kept_documents=cutoff["kept_documents"],
        kept_tokens=cutoff["kept_tokens"],
        scored=sum(b["documents"] for b in scored),
        quality_sum=sum(b["quality_sum"] for b in scored),
        quarantined=sum(b["documents"] for b in bins if b["bin"] is None),
    )


def total(of: Sequence[GroupFigures]) -> Sums:
    """The figures of the whole corpus."""
    return sum((g.sums for g in of), Sums())


def by(rows: Sequence[ReportRow], key: str) -> dict[Any, list[ReportRow]]:
    """Each value of the column `key` to the rows that have it, in the order of `rows`."""
    rows_by_value: dict[Any, list[ReportRow]] = {}
    for row in rows:
        rows_by_value.setdefault(row[key], []).append(row)
    return rows_by_value


def examples(rows: Sequence[ReportRow]) -> dict[str, dict[str, list[ReportRow]]]:
    """Source to end (highest, lowest, on either side of the cut) to its rows, each with its `best`
    and `worst` dimension.

    A row has source, end, doc_id, quality, n_tokens, `excerpt` (None: may not be shown) and, in
    slot order, `dimensions` (names), `dimension_scores` and `counts` (in the quality).
    Best and worst are (name, thousandths) among the slots that count.
    """
    by_source: dict[str, dict[str, list[ReportRow]]] = {}
    for row in rows:
        slots = zip(row["dimensions"], row["dimension_scores"], row["counts"], strict=True)
        counted = [(name, score) for name, score, counts in slots if counts and score is not None]
        named = dict(row) | {
            "best": max(counted, key=lambda d: d[1], default=None),
            "worst": min(counted, key=lambda d: d[1], default=None),
        }
        by_source.setdefault(row["source"], {}).setdefault(row["end"], []).append(named)
    return by_source


def figures(rows: Sequence[ReportRow]) -> dict[str, FigureTable]:
    """Student to its figures beside those of its references; figures that nobody has are left
    out."""
    tables = {}
    for student, own in by(rows, "student_id").items():
        values = {(row["figure"], row["predictor"]): row for row in own}
        predictors = [p for p in PREDICTORS if any(who == p for _, who in values)]
        tables[student] = FigureTable(
            [PREDICTORS[p] for p in predictors],
            {
                words: [values.get((figure, p)) for p in predictors]
                for figure, words in FIGURES.items()
                if any(name == figure for name, _ in values)
            },
        )
    return tables
