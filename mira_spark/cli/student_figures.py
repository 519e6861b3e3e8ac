"""What a student's quality is worth, as tables on the terminal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, Row, functions as F

from mira_spark.distillation.figure_words import FIGURES, PREDICTORS
from mira_spark.distillation.figures import GAIN_40, SPEARMAN, STUDENT, WITHIN
from mira_spark.distillation.planted_noise import ALL_KINDS
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import say, show_table
from mira_spark.scoring.scorers import champion_scorers
from mira_spark.settings.students import Registry

StoredFigures = Row | dict[str, Any]


@dataclass(frozen=True)
class StudentWorth:
    """A student's row of `students`, and those of `student_figures` that are of all its sources, of
    `noise_checks`, and of `student_reliability`, each with the name of its dimension."""

    student: dict[str, Any]
    figures: list[dict[str, Any]]
    noise: list[dict[str, Any]]
    cells: list[dict[str, Any]]


def student_worth(lake: Lakehouse, student: Row) -> StudentWorth:
    """A student's figures beside those of its references, planted noise by kind, and its cells."""
    is_its = F.col("student_id") == student["student_id"]
    figures = lake.read("student_figures").filter(is_its).filter("source IS NULL")
    noise = lake.read("noise_checks").filter(is_its).filter("source IS NULL")
    cells = lake.read("student_reliability").filter(is_its).orderBy("source", "slot")
    return StudentWorth(
        student.asDict(),
        [row.asDict() for row in figures.orderBy("figure", "predictor").collect()],
        [row.asDict() for row in noise.orderBy(F.col("kind") != ALL_KINDS, "kind").collect()],
        [
            {**row.asDict(), "dimension": student["dimensions"][row["slot"]]}
            for row in cells.collect()
        ],
    )


def show_worth(worth: StudentWorth) -> None:
    """Print a student's figures beside those of its references, its gate, planted noise by kind,
    and its cells."""
    student = worth.student
    say((student["student_id"], "bold"), f" {student['kind']}, rule {student['rule']}")
    say(
        f"from {student['labels']:,} labels, measured on {student['held_out_rows']:,} that it did "
        "not learn from"
    )
    if student["borrowed_from"] is not None:
        say(f"borrowed from {student['borrowed_from']}: see there what it is worth")
    say(f"gate: {student['gate']}")
    for reason in student["gate_reasons"]:
        say(f"  {reason}")
    figures = {(row["figure"], row["predictor"]): row for row in worth.figures}
    cells = [
        (title, *(_value(figures.get((figure, predictor))) for predictor in PREDICTORS))
        for figure, title in FIGURES.items()
    ]
    if figures:
        show_table(("", *PREDICTORS.values()), cells)
    if student["next_doubling"] is not None:
        say(f"twice the labels would add about {student['next_doubling']:.3f} to the gain at 40%")
    if worth.noise:
        noise = [(r["kind"], f"{r['pairs']:,}", _with_interval(r, "auc")) for r in worth.noise]
        show_table(("spoilt", "pairs", "document above its copy"), noise)
    if worth.cells:
        _show_cells(worth.cells)


def show_champions(lake: Lakehouse, place: Registry, groups: Sequence[str]) -> None:
    """Print a line for each group's champion: what selecting by its quality is worth."""
    headings = ("group", "labels", "Spearman", "within source", "gain at 40%", "planted noise",
                "twice adds")  # fmt: skip
    scorers = champion_scorers(lake, place, groups)
    ids = [scorer.student_id for scorer in scorers.values()]
    students = lake.read("students").filter(F.col("student_id").isin(ids))
    noise = _by_student(lake, "noise_checks", (F.col("kind") == ALL_KINDS), ids)
    worth = {
        figure: _by_student(
            lake,
            "student_figures",
            (F.col("predictor") == STUDENT) & (F.col("figure") == figure),
            ids,
        )
        for figure in (SPEARMAN, WITHIN, GAIN_40)
    }
    cells = []
    for row in students.orderBy("source_group").collect():
        student, more = row["student_id"], row["next_doubling"]
        cells.append(
            (
                row["source_group"],
                f"{row['labels']:,}",
                *(_with_interval(worth[figure].get(student)) for figure in worth),
                _with_interval(noise.get(student), "auc"),
                "" if more is None else f"{more:+.2f}",
            )
        )
    title = "What the qualities are worth, on labels that no student learnt from"
    show_table(headings, cells, 1, title)


def next_doublings(lake: Lakehouse, place: Registry, groups: Iterable[str]) -> dict[str, float]:
    """Group to what twice the labels would add to its champion's gain, where that is known."""
    scorers = champion_scorers(lake, place, groups)
    ids = [scorer.student_id for scorer in scorers.values()]
    rows = lake.read("students").filter(F.col("student_id").isin(ids)).collect()
    return {r["source_group"]: r["next_doubling"] for r in rows if r["next_doubling"] is not None}


def _by_student(lake: Lakehouse, table: str, wanted: Column, ids: Sequence[str]) -> dict[str, Row]:
    rows = lake.read(table).filter(F.col("source").isNull() & F.col("student_id").isin(list(ids)))
    return {row["student_id"]: row for row in rows.filter(wanted).collect()}


def _show_cells(rows: Sequence[StoredFigures]) -> None:
    """The slots that count, by source."""
    headings = ("source", "dimension", "rows", "counts", "judged", "slope", "MAE", "Spearman")
    show_table(
        headings,
        [
            (
                row["source"] or "all",
                row["dimension"],
                f"{row['rows']:,}",
                "yes" if row["counts"] else "no",
                _decimals(row["judged_mean"]),
                _decimals(row["slope"]),
                _decimals(row["mae"]),
                _decimals(row["spearman"]),
            )
            for row in rows
        ],
        texts=2,
    )


def _value(row: StoredFigures | None) -> str:
    return "" if row is None else _decimals(row["value"])


def _with_interval(row: StoredFigures | None, name: str = "value") -> str:
    if row is None or row[name] is None:
        return ""
    prefix = "" if name == "value" else f"{name}_"
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    interval = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
    return f"{row[name]:.2f}{interval}"


def _decimals(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
