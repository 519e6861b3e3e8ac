"""Score every document with its group's student. Reads `documents`, `source_groups`, `students`;
writes `scores` and the view `scored_documents`."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from mira_spark import corpus, current, leases, scoring, under_way, units, workers
from mira_spark.errors import InputError, ReconciliationError
from mira_spark.failpoints import reach
from mira_spark.leases import Lease
from mira_spark.progress import counted
from mira_spark.runs import Outcome
from mira_spark.scoring import Scorer
from mira_spark.scoring_progress import Advance
from mira_spark.settings import Settings
from mira_spark.students import artefact, configs
from mira_spark.tables import Lakehouse
from mira_spark.units import Bucket, Tally, Unit

SETTINGS = ("scoring",)
UNITS_AT_ONCE = 2  # the next unit's tasks fill the cores that the last tasks of one leave idle


@dataclass(frozen=True)
class Work:
    """What a run of the step has in hand: pinned documents, who scores them, and the lease.

    `appended_only`: no document was ever changed. `transaction` is above that of every unit
    committed before rows of `scores` were last removed: Delta would skip a unit it has seen.
    """

    lake: Lakehouse
    settings: Settings
    run_id: str
    version: int
    groups: Mapping[str, str]
    scorers: Mapping[str, Scorer]
    lease: Lease
    transaction: int
    appended_only: bool

    @property
    def students(self) -> list[str]:
        """The ids of all that score."""
        return [scorer.student_id for scorer in self.scorers.values()]

    def documents(self) -> DataFrame:
        """The documents as pinned."""
        return self.lake.read("documents", self.version)

    def scores(self, version: int | None = None) -> DataFrame:
        """The current scores."""
        return self.scores_of(self.students, version)

    def scores_of(self, students: Iterable[str], version: int | None) -> DataFrame:
        """What these students' scores are now of the documents as pinned."""
        pinned = (self.version, version, self.appended_only)
        return current.scores(self.lake, self.settings, students, *pinned)


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The version of `documents` and the champion of every group."""
    groups = current.groups(lake, settings)
    scorers = current.scorers(lake, settings, groups.values())
    if not scorers:
        raise InputError("no group has a champion student: run distill_students first")
    students = {f"student of {g}": s.student_id for g, s in scorers.items()}
    return {"documents": str(lake.version("documents"))} | students


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """One job and one idempotent commit for each unit of what has no score yet.

    Raises BusyError when another driver scores into this table.
    """
    with leases.held(lake, "scores") as lease:
        reach("lease.taken")
        groups = current.groups(lake, settings)
        scorers = current.scorers(lake, settings, groups.values())
        version, transaction = lake.version("documents"), lake.last_removal("scores") + 1
        appended_only = lake.only_appends_since("documents", 0)
        work = Work(
            lake, settings, run_id, version, groups, scorers, lease, transaction, appended_only
        )
        documents = tallies(work.documents())
        _check_grouped(lake, {source for source, _ in documents}, groups)
        again = _reaggregated(work, documents)
        planned = _planned(work, documents, work.scorers)
        _each(work, planned, partial(_score, work), "scoring")
        reach("units.done")
        scored, quarantined = _reconciled(work, documents)
        _view(work)
        reach("view.replaced")
    return _outcome(work, planned, again, scored, quarantined)


def tallies(rows: DataFrame) -> dict[Bucket, Tally]:
    """By source and bucket, rows, tokens, and the sum of a hash of doc_id and content_hash."""
    found = rows.groupBy("source", "bucket").agg(*_sums()).collect()
    return {(source, bucket): _tally(*sums) for source, bucket, *sums in found}


def _sums() -> tuple[Column, Column, Column]:
    hashed = F.xxhash64("doc_id", "content_hash").cast("decimal(38,0)")
    return F.count("*"), F.sum("n_tokens"), F.sum(hashed)


def _tally(rows: int, tokens: int | None, checksum: Decimal | None) -> Tally:
    return Tally(rows, tokens or 0, int(checksum or 0))


def _check_grouped(lake: Lakehouse, sources: set[str], groups: Mapping[str, str]) -> None:
    new = sorted(sources - set(groups))
    if new:
        raise InputError(
            f"{lake.name('source_groups')} does not know {', '.join(new)}: run group_sources first"
        )


def _planned(
    work: Work, documents: Mapping[Bucket, Tally], scorers: Mapping[str, Scorer]
) -> list[Unit]:
    # Pinned: a query of the table as it is now would conflict with a commit beside it.
    there = tallies(work.scores(work.lake.version("scores")))
    return units.plan(documents, there, work.groups, scorers, work.settings.scoring.unit_tokens)


def _each(work: Work, planned: list[Unit], do: Callable[[Unit], int], what: str) -> None:
    """`do` every unit, which gives how many rows were quarantined; two at a time."""
    advance = Advance.of(planned)
    pool = ThreadPoolExecutor(UNITS_AT_ONCE)
    try:
        started = {pool.submit(do, unit): unit for unit in planned}
        with counted(sum(unit.documents for unit in planned), what) as count:
            for future in as_completed(started):
                unit = started[future]
                advance.add(unit, future.result())
                count(unit.documents, advance.line())
                _note(work, advance.line())
    finally:
        _note(work, "")
        pool.shutdown(cancel_futures=True)  # after a failure no other unit is begun


def _note(work: Work, line: str) -> None:
    if work.settings.session == "local":
        under_way.note(work.settings.folder, line)


def _reaggregated(work: Work, documents: Mapping[Bucket, Tally]) -> int:
    """Score from the stored raw scores what a student of the same weights has scored; how many."""
    count = 0
    for group, other in current.twins(work.lake, work.scorers).items():
        pinned = work.lake.version("scores")
        stored = work.scores_of([other], pinned)
        planned = _planned(work, tallies(stored), {group: work.scorers[group]})
        done = work.scores(pinned).select(*current.SCORE_KEY)
        rows = stored.join(done, on=current.SCORE_KEY, how="left_anti")
        _each(work, planned, partial(_copy, work, rows, other), "scores calibrated anew")
        count += sum(unit.documents for unit in planned)
    return count


def _copy(work: Work, stored: DataFrame, other: str, unit: Unit) -> int:
    function = scoring.reaggregate(unit.scorer)
    rows = _of(stored, unit).select(*scoring.STORED).mapInArrow(function, scoring.OUTPUT_DDL)
    _append(work, rows, unit, other)
    return 0


def _score(work: Work, unit: Unit) -> int:
    """Score the unit's documents that have no score, and prove it; how many were quarantined."""
    rows = _of(work.documents(), unit)
    if unit.scored.documents:
        done = _of(work.scores(work.lake.version("scores")), unit).select(*current.SCORE_KEY)
        rows = rows.join(done, on=current.SCORE_KEY, how="left_anti")
    chosen, scorer = work.settings.scoring, unit.scorer
    config = artefact.read_config(Path(scorer.artefact_uri), scorer.artefact_sha256)
    text = corpus.looked_at(F.make_valid_utf8("text"), configs.looked_at(config))
    scored = (
        rows.withColumns({"source_group": F.lit(unit.source_group), "text": text})
        .select(*scoring.INPUT)
        .mapInArrow(
            workers.score(scorer, chosen.hung_after_s),
            scoring.OUTPUT_DDL,
            profile=workers.profile(chosen.cores_per_task, chosen.gpus_per_task),
        )
    )
    _append(work, scored, unit, "documents")
    quarantined = F.count_if(F.col("status") == "quarantined")
    *found, bad = _of(work.scores(), unit).agg(*_sums(), quarantined).collect()[0]
    if _tally(*found) != unit.there:
        raise ReconciliationError(_unlike(work, unit, _tally(*found)))
    reach("unit.reconciled")
    return int(bad)


def _of(rows: DataFrame, unit: Unit) -> DataFrame:
    here = (F.col("source") == unit.source) & F.col("bucket").between(unit.first, unit.last)
    return rows.filter(here)


def _append(work: Work, rows: DataFrame, unit: Unit, origin: str) -> None:
    """One commit, which Delta skips if it saw the unit before; the caller proves it is there."""
    unit_id = unit.unit_id(work.lake.name("scores"), work.version, origin)
    stamped = rows.withColumns(
        {
            "student_id": F.lit(unit.scorer.student_id),
            "documents_version": F.lit(work.version),
            "unit_id": F.lit(unit_id),
            "run_id": F.lit(work.run_id),
            "scored_at": F.current_timestamp(),
        }
    )
    work.lease.check(leases.RENEW_EVERY_S)
    reach("unit.planned")
    work.lake.append(stamped, "scores", work.run_id, transaction=(unit_id, work.transaction))
    reach("unit.committed")


def _unlike(work: Work, unit: Unit, found: Tally) -> str:
    return (
        f"{work.lake.name('scores')}: {unit.source}, buckets {unit.first} to {unit.last}: "
        f"{unit.there.documents:,} documents at version {work.version}, {found.documents:,} "
        "current scores" + (" of other documents" * (found.documents == unit.there.documents))
    )


def _reconciled(work: Work, documents: Mapping[Bucket, Tally]) -> tuple[int, int]:
    """(rows scored, rows quarantined) of the current scores; ReconciliationError unless they are
    the documents of the scored groups, each once."""
    scores = work.scores(work.lake.version("scores"))
    counts = {r["status"]: r["count"] for r in scores.groupBy("status").count().collect()}
    scored_sources = {s for s, g in work.groups.items() if g in work.scorers}
    wanted = sum(t.documents for (source, _), t in documents.items() if source in scored_sources)
    if wanted != sum(counts.values()):
        raise ReconciliationError(
            f"{work.lake.name('scores')}: {wanted:,} documents at version {work.version}, "
            f"{sum(counts.values()):,} current scores"
        )
    return counts.get("scored", 0), counts.get("quarantined", 0)


def _outcome(work: Work, planned: list[Unit], again: int, scored: int, quarantined: int) -> Outcome:
    new = sum(unit.documents for unit in planned)
    message = f"{new:,} documents scored in {len(planned)} units, {scored + quarantined:,} in all"
    if again:
        message += f"; {again:,} scores calibrated anew, without the model"
    share = quarantined / max(1, scored + quarantined)
    if quarantined:
        message += f"; {quarantined:,} quarantined ({share:.2%}), see scores.reason"
    without = sorted(set(work.groups.values()) - set(work.scorers))
    if without:
        message += f"; no champion for {', '.join(without)}: its documents have no score"
    degraded = share > work.settings.scoring.max_quarantined or bool(without)
    return Outcome(message, "degraded" if degraded else "done", new, new + again, quarantined)


def _view(work: Work) -> None:
    lake, pinned = work.lake, work.lake.version("scores")
    query = current.scores_query(lake, work.settings, work.students, work.version, pinned)
    lake.create_view(
        "scored_documents",
        "SELECT c.doc_id, c.source, c.source_group, c.quality, "
        "map_from_arrays(t.dimensions, c.dimension_scores) AS dimensions, c.status, c.reason, "
        "c.n_tokens, c.content_hash, c.bucket, c.student_id, c.documents_version, c.scored_at "
        f"FROM ({query}) AS c JOIN {lake.name('students')} AS t ON t.student_id = c.student_id",
        "the current score of every document: quality and dimensions in thousandths of a point",
    )
