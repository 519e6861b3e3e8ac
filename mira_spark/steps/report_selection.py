"""Write the selection's report, one HTML file, also to MLflow. Reads every table; writes none."""

import math
from typing import Any

from pyspark.sql import DataFrame, Row, functions as F

from mira_spark.corpus.groups import current_grouping_id, source_groups
from mira_spark.distillation import registry
from mira_spark.distillation.planted_noise import ALL_KINDS
from mira_spark.errors import InputError
from mira_spark.labels.scored_documents import audits
from mira_spark.lake import runs, storage
from mira_spark.lake.columns import BUCKETS
from mira_spark.lake.runs import Outcome
from mira_spark.lake.scale import FULL_SCALE
from mira_spark.lake.tables import Lakehouse
from mira_spark.report import page, rows as report_rows
from mira_spark.report.budgets import budget_rows
from mira_spark.report.page import ReportData
from mira_spark.rubrics.audit import Audit
from mira_spark.rubrics.current import rubric_from_rows
from mira_spark.scoring.current_scores import current_scores
from mira_spark.selection import record, unscored
from mira_spark.selection.histogram import KEYS, SUMS, bins_from_rows
from mira_spark.settings.root import Settings
from mira_spark.settings.selection import SelectionSettings

SETTINGS = ("report", "selection")
WRITES: tuple[str, ...] = ()
LOGGED_COLUMNS = ("budget_tokens", "selected_tokens", "selected_documents")
LOOKED_AT = 1_000_000
_Rows = list[dict[str, Any]]


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The latest selection of the configured name."""
    return {"selection": _selection(lake, settings)["selection_id"]}


def missing(lake: Lakehouse, settings: Settings) -> list[str]:
    """Nothing is looked for."""
    return []


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """Write the report of the latest selection and log it in MLflow. The driver receives sums,
    small tables, and the beginnings of a handful of documents."""
    data = _report_data(lake, settings)
    path = (settings.report.path or settings.driver_files / "report.html").absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page.render(data), encoding="utf-8")
    place = str(path)
    if settings.report.path is None:
        place = storage.location(settings.folder, "report.html")
        if place != str(path):
            storage.write_file(path, place)
    registry.log_report(
        settings.student_registry,
        path,
        {name: float(data.selection[name]) for name in LOGGED_COLUMNS},
    )
    left = unscored.unscored_when_made(lake, record.selection_named(lake, settings.selection.name))
    return Outcome(f"the report is {place}" + (f"; {left}" if left else ""))


def _selection(lake: Lakehouse, settings: Settings) -> dict[str, Any]:
    name = settings.selection.name
    named = lake.read("selections").filter(F.col("name") == name)
    latest = _rows(named.orderBy(F.col("created_at").desc(), "selection_id").limit(1))
    if not latest:
        raise InputError(
            f"{lake.name('selections')} has no selection named {name}: "
            "run mira select-documents first"
        )
    return latest[0]


def _report_data(lake: Lakehouse, settings: Settings) -> ReportData:
    """What the report of the latest selection shows, at the versions it was made from."""
    selection = _selection(lake, settings)
    versions = {name: selection[name] for name in ("documents_version", "scores_version")}
    of_selection = F.col("selection_id") == selection["selection_id"]
    cutoffs = lake.read("selection_cutoffs").filter(of_selection)
    cutoff_rows = _rows(cutoffs)
    students = _students(lake, {c["student_id"] for c in cutoff_rows})
    of_students = F.col("student_id").isin([s["student_id"] for s in students])
    reliability = _rows(lake.read("student_reliability").filter(of_students))
    of_groups = of_students & F.col("source").isNull()
    noise = lake.read("noise_checks").filter(of_groups).orderBy(F.col("kind") != ALL_KINDS, "kind")
    rubric_of = {s["source_group"]: s["rubric_id"] for s in reversed(students)}
    rubrics = lake.read("rubrics").filter(F.col("rubric_id").isin(list(rubric_of.values())))
    histogram = lake.read("score_histogram")
    for name, version in versions.items():
        histogram = histogram.filter(F.col(name) == version)
    histogram = histogram.filter(F.col("candidates") == selection["candidates"])
    by_students = F.col("student_id").isin([c["student_id"] for c in cutoff_rows])
    bins = bins_from_rows(histogram.filter(by_students).select(*KEYS, *SUMS).toArrow())
    made = record.selection_named(lake, selection["selection_id"])
    sizes = _groups(lake, settings, selection["documents_version"])
    return ReportData(
        package_version=runs.package_version(),
        selection=selection,
        judges=_judges(lake, rubrics),
        groups=sizes,
        cutoffs=cutoff_rows,
        histogram=_rows(report_rows.binned(histogram, cutoffs)),
        rubrics=_rows(report_rows.anchors(rubrics)),
        audits=_audits(lake, students, rubrics),
        agreement=_agreement(lake, students),
        students=students,
        student_reliability=reliability,
        student_figures=_rows(lake.read("student_figures").filter(of_groups)),
        noise_checks=_rows(noise),
        judge_calls=_rows(report_rows.summed_calls(lake.read("judge_calls"))),
        examples=_examples(
            lake,
            settings,
            versions,
            cutoff_rows,
            _quality_cuts(made.settings, cutoff_rows),
            students,
            reliability,
        ),
        runs=_rows(report_rows.last_runs(lake.read("runs"))),
        **_documents_rows(lake, made, sizes),
        budgets=list(budget_rows(bins, made.settings, sum(row["tokens"] for row in sizes))),
    )


def _rows(rows: DataFrame) -> _Rows:
    return [row.asDict() for row in rows.collect()]


def _students(lake: Lakehouse, counting: set[str]) -> list[report_rows.Row]:
    by_age = lake.read("students").orderBy(F.col("created_at").desc(), "student_id")
    return report_rows.students_shown(_rows(by_age), counting)


def _audits(lake: Lakehouse, students: list[report_rows.Row], rubrics: DataFrame) -> list[Audit]:
    """Of the rubrics and labellings that the students learnt from, by group; none of a student that
    was borrowed."""
    by_rubric: dict[str, dict[int, Row]] = {}
    for row in rubrics.orderBy("rubric_id", "slot").collect():
        by_rubric.setdefault(row["rubric_id"], {})[row["slot"]] = row
    signed = [rubric_from_rows(list(slots.values())) for slots in by_rubric.values()]
    ids = {s["rubric_id"]: s["labelling_id"] for s in reversed(students)}
    return sorted(audits(lake, signed, ids, {}), key=lambda each: each.source_group)


def _agreement(lake: Lakehouse, students: list[report_rows.Row]) -> _Rows:
    """Of the labellings that the students learnt from."""
    ids = sorted({student["labelling_id"] for student in students})
    rows = lake.read("judge_agreement").filter(F.col("labelling_id").isin(ids))
    return _rows(rows.orderBy("source_group", "kind", "slot"))


def _judges(lake: Lakehouse, rubrics: DataFrame) -> list[str]:
    calls, points, labels = map(lake.read, ("judge_calls", "judgement_points", "labels"))
    found = report_rows.judges(calls, rubrics, points, labels)
    return [row["judge"] for row in found.collect()]


def _groups(lake: Lakehouse, settings: Settings, version: int) -> _Rows:
    group_of = source_groups(lake, settings.source_grouping)
    sizes = _rows(report_rows.sizes(lake.read("documents", version)))
    return [row | {"source_group": group_of.get(row["source"], "no group")} for row in sizes]


def _documents_rows(lake: Lakehouse, one: record.Selection, sizes: _Rows) -> dict[str, Any]:
    """What is warned of in the documents themselves. Languages are looked for in whole buckets,
    that is in documents drawn at random, so that no more than some LOOKED_AT are read."""
    documents = sum(row["documents"] for row in sizes)
    drawn = F.col("bucket") < math.ceil(BUCKETS * LOOKED_AT / max(LOOKED_AT, documents))
    selected = record.selection_documents(lake, one)
    corpus = lake.read("documents", one.version("documents"))
    repeats = report_rows.repeats(selected, lake.read("near_duplicates"))
    large = report_rows.oversized(record.pinned_scores(lake, one), record.cutoffs(lake, one))
    return {
        "languages": _rows(report_rows.languages(corpus.filter(drawn), selected.filter(drawn))),
        "oversized": _rows(large),
        "repeats": _rows(repeats)[0] if one.settings.duplicates != "near" else {},
    }


def _quality_cuts(chosen: SelectionSettings, cutoffs: _Rows) -> dict[str, int]:
    """Source to the quality at which it is cut; none where documents compete by something else,
    and without sources of which all or none fits."""
    if chosen.score != "quality" or chosen.temperature:
        return {}
    cuts = {row["source"]: row["quality_cut"] for row in cutoffs}
    return {source: cut for source, cut in cuts.items() if 0 <= cut <= FULL_SCALE}


def _examples(
    lake: Lakehouse,
    settings: Settings,
    versions: dict[str, int],
    cutoffs: _Rows,
    quality_cuts: dict[str, int],
    students: list[report_rows.Row],
    reliability: _Rows,
) -> list[report_rows.Row]:
    sources = report_rows.example_sources(cutoffs)
    if not sources:
        return []
    by = {c["student_id"] for c in cutoffs}
    pinned = versions["documents_version"], versions["scores_version"]
    scores = current_scores(lake, current_grouping_id(lake, settings.source_grouping), by, *pinned)
    ends = _rows(report_rows.documents_to_read(scores, sources, quality_cuts))
    documents = lake.read("documents", versions["documents_version"])
    shown = _rows(report_rows.excerpts(documents, ends)) if ends else []
    excerpts = {row["doc_id"]: row["excerpt"] for row in shown}
    return report_rows.examples(ends, excerpts, students, reliability)
