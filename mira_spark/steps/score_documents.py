"""Score every document with its group's student. Reads `documents`, `source_groups`, `students`;
writes `scores` and the view `scored_documents`."""

from concurrent.futures import ThreadPoolExecutor

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from mira_spark import current, scoring, units
from mira_spark.errors import InputError, ReconciliationError
from mira_spark.progress import track
from mira_spark.runs import Outcome
from mira_spark.scoring import Scorer
from mira_spark.settings import Settings
from mira_spark.tables import Lakehouse
from mira_spark.units import Unit

SETTINGS = ("scoring",)
UNITS_AT_ONCE = 2  # the next unit's tasks fill the cores that the last tasks of one leave idle


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The version of `documents` and the champion of every group."""
    groups = current.groups(lake, settings)
    scorers = current.scorers(lake, settings, groups.values())
    if not scorers:
        raise InputError("no group has a champion student: run distill_students first")
    students = {f"student of {g}": s.student_id for g, s in scorers.items()}
    return {"documents": str(lake.version("documents"))} | students


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """One `mapInArrow` job and one idempotent commit for each unit of what has no score yet."""
    version = lake.version("documents")
    groups = current.groups(lake, settings)
    scorers = current.scorers(lake, settings, groups.values())
    documents = lake.read("documents", version)
    pending = _pending(lake, documents, scorers)
    sizes = pending.groupBy("source", "bucket").agg(F.count("*"), F.sum("n_tokens")).collect()
    there = {row["source"]: row["count"] for row in documents.groupBy("source").count().collect()}
    rows = [tuple(row) for row in sizes]
    planned = units.plan(rows, there, groups, scorers, settings.scoring.unit_tokens)

    def score(unit: Unit) -> None:
        _score(lake, documents if unit.whole else pending, unit, version, run_id)

    with ThreadPoolExecutor(UNITS_AT_ONCE) as pool:
        for _ in track(pool.map(score, planned), len(planned), "units"):
            pass
    students = [s.student_id for s in scorers.values()]
    scored, quarantined = _reconcile(lake, documents, students, version, groups, scorers)
    _view(lake, students, version)
    return _outcome(
        settings, planned, scored, quarantined, sorted(set(groups.values()) - set(scorers))
    )


def _pending(lake: Lakehouse, documents: DataFrame, scorers: dict[str, Scorer]) -> DataFrame:
    """The documents without a score of a current student for the text they have.

    `scores` is pinned: a unit that reads the table as it is now would conflict with its neighbour.
    """
    of_students = F.col("student_id").isin([s.student_id for s in scorers.values()])
    scores = lake.read("scores", lake.version("scores"))
    done = scores.filter(of_students).select(*current.SCORE_KEY)
    return documents.join(done, on=current.SCORE_KEY, how="left_anti")


def _score(lake: Lakehouse, rows_of: DataFrame, unit: Unit, version: int, run_id: str) -> None:
    unit_id = unit.unit_id(lake.name("scores"), version)
    rows = (
        rows_of.filter(
            (F.col("source") == unit.source) & F.col("bucket").between(unit.first, unit.last)
        )
        .withColumn("source_group", F.lit(unit.source_group))
        .select(*scoring.INPUT)
        .mapInArrow(scoring.score(unit.scorer), scoring.OUTPUT_DDL)
        .withColumns(
            {
                "student_id": F.lit(unit.scorer.student_id),
                "documents_version": F.lit(version),
                "unit_id": F.lit(unit_id),
                "run_id": F.lit(run_id),
                "scored_at": F.current_timestamp(),
            }
        )
    )
    # Delta skips a unit it has committed before; _reconcile proves that its rows are there.
    lake.append(rows, "scores", run_id, transaction=(unit_id, 1))


def _reconcile(
    lake: Lakehouse,
    documents: DataFrame,
    students: list[str],
    version: int,
    groups: dict[str, str],
    scorers: dict[str, Scorer],
) -> tuple[int, int]:
    """(rows scored, rows quarantined) of the current scores; ReconciliationError unless they are
    the documents of the scored groups, each once."""
    sources = [s for s, g in groups.items() if g in scorers]
    expected = documents.filter(F.col("source").isin(sources)).select(*current.SCORE_KEY)
    found = current.scores(lake, students, version, lake.version("scores"))
    counts = {r["status"]: r["count"] for r in found.groupBy("status").count().collect()}
    missing = expected.join(found, on=current.SCORE_KEY, how="left_anti").count()
    wanted, have = expected.count(), sum(counts.values())
    if missing or wanted != have:
        raise ReconciliationError(
            f"{lake.name('scores')}: {wanted:,} documents at version {version}, {have:,} current "
            f"scores, {missing:,} documents without one"
        )
    return counts.get("scored", 0), counts.get("quarantined", 0)


def _outcome(
    settings: Settings, planned: list[Unit], scored: int, quarantined: int, without: list[str]
) -> Outcome:
    new = sum(unit.documents for unit in planned)
    message = f"{new:,} documents scored in {len(planned)} units, {scored + quarantined:,} in all"
    share = quarantined / max(1, scored + quarantined)
    if quarantined:
        message += f"; {quarantined:,} quarantined ({share:.2%}), see scores.reason"
    if without:
        message += f"; no champion for {', '.join(without)}: its documents have no score"
    degraded = share > settings.scoring.max_quarantined or bool(without)
    return Outcome(message, "degraded" if degraded else "done", new, new, quarantined)


def _view(lake: Lakehouse, students: list[str], version: int) -> None:
    query = current.scores_query(lake, students, version, lake.version("scores"))
    lake.create_view(
        "scored_documents",
        "SELECT c.doc_id, c.source, c.source_group, c.quality, "
        "map_from_arrays(t.dimensions, c.dimension_scores) AS dimensions, c.status, c.reason, "
        "c.n_tokens, c.content_hash, c.bucket, c.student_id, c.documents_version, c.scored_at "
        f"FROM ({query}) AS c JOIN {lake.name('students')} AS t ON t.student_id = c.student_id",
        "the current score of every document: quality and dimensions in thousandths of a point",
    )
