"""Score every document with its group's student. Reads `documents`, `source_groups`, `students`;
writes `scores`, `score_checks` and the view `scored_documents`."""

from collections.abc import Mapping
from functools import partial

from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus import sampling
from mira_spark.corpus.groups import source_groups
from mira_spark.errors import InputError, ReconciliationError
from mira_spark.lake import runs
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import reach
from mira_spark.scoring import batches, checks, under_way, units, work as scoring_work, workers
from mira_spark.scoring.checks import SCORE_KEY
from mira_spark.scoring.current_scores import current_scores_query
from mira_spark.scoring.scorer import Scorer
from mira_spark.scoring.scorers import champion_scorers, equal_students
from mira_spark.scoring.unit_jobs import Done, Note, do_units
from mira_spark.scoring.units import Bucket, Tally, Unit
from mira_spark.scoring.work import UnscoredCounter, UnscoredRows, Work, tallies, unit_rows
from mira_spark.settings.root import Settings
from mira_spark.students import configs

SETTINGS = ("scoring",)
WRITES = ("scores", "score_checks")


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The version of `documents` and the champion of every group."""
    scorers = _scorers(lake, settings)
    if not scorers:
        raise InputError("no group has a champion student: run mira distill-students first")
    students = {f"student of {g}": s.student_id for g, s in scorers.items()}
    return {"documents": str(lake.snapshot("documents"))} | students


def missing(lake: Lakehouse, settings: Settings) -> list[str]:
    """That the step was begun after it last ended, or that others changed its scores, if so:
    documents may have no score."""
    if runs.was_interrupted(lake, "score_documents"):
        return ["its last run did not end"]
    scorers = _scorers(lake, settings)
    known = checks.latest_proof(lake, [scorer.student_id for scorer in scorers.values()])
    return [] if known.one_each else ["scores are not as it left them"]


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """One job and one idempotent commit for each unit of what has no score yet.

    What an outage left unscored is counted, and the step ends stopped.
    """
    place = settings.student_registry
    work = scoring_work.work_now(lake, settings.scoring, settings.source_grouping, place, run_id)
    note = partial(_note, settings)
    documents = tallies(work.documents())
    _check_grouped(lake, {source for source, _ in documents}, work.groups)
    again = _recalibrate(work, note)
    todo = work.open_units(documents, work.scorers)
    done = do_units(todo, partial(_score, work), "scoring", note)
    reach("units.done")
    scored, quarantined = _reconcile(work, documents, done.unscored)
    _view(work)
    reach("view.replaced")
    return _outcome(work, todo, again, scored, quarantined, done)


def retry(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """`run`, after the champions' quarantined scores are removed: those documents are scored again.

    Stopped in between, the next run scores them.
    """
    scorers = _scorers(lake, settings)
    students = [scorer.student_id for scorer in scorers.values()]
    lake.delete("scores", (F.col("status") == "quarantined") & F.col("student_id").isin(students))
    reach("quarantined.removed")
    return run(lake, settings, run_id)


def _scorers(lake: Lakehouse, settings: Settings) -> dict[str, Scorer]:
    groups = source_groups(lake, settings.source_grouping)
    return champion_scorers(lake, settings.student_registry, groups.values())


def _check_grouped(lake: Lakehouse, sources: set[str], groups: Mapping[str, str]) -> None:
    new = sorted(sources - set(groups))
    if new:
        raise InputError(
            f"{lake.name('source_groups')} does not know {', '.join(new)}: "
            "run mira group-sources first"
        )


def _note(settings: Settings, line: str) -> None:
    if settings.session == "local":
        under_way.leave_note(settings.driver_files, line)


def _recalibrate(work: Work, note: Note) -> int:
    """Score from the stored raw scores what a student of the same weights has scored; how many."""
    count = 0
    for group, other in equal_students(work.lake, work.scorers).items():
        pinned = work.lake.version("scores")
        stored = work.scores_of([other], pinned)
        todo = work.open_units(tallies(stored), {group: work.scorers[group]})
        done = work.scores(pinned).select(*SCORE_KEY)
        rows = stored.join(done, on=SCORE_KEY, how="left_anti")
        do_units(todo, partial(_copy, work, rows, other), "scores calibrated anew", note)
        count += sum(unit.documents for unit in todo)
    return count


def _copy(work: Work, stored: DataFrame, other: str, unit: Unit) -> Done:
    function = batches.reaggregate(unit.scorer)
    rows = unit_rows(stored, unit).select(*batches.STORED)
    work.append(rows.mapInArrow(function, batches.OUTPUT_DDL), unit, other)
    return Done()


def _score(work: Work, unit: Unit) -> Done:
    """Score the unit's documents that have no score, and prove it."""
    rows = unit_rows(work.documents(), unit)
    if unit.scored.documents:
        done = unit_rows(work.scores(work.lake.version("scores")), unit)
        done = done.select(*SCORE_KEY)
        rows = rows.join(done, on=SCORE_KEY, how="left_anti")
    chosen, scorer = work.settings, unit.scorer
    looked_at = configs.looked_at(scorer.student_config())
    text = sampling.pieces_column(F.make_valid_utf8("text"), looked_at)
    scored = (
        rows.withColumns({"source_group": F.lit(unit.source_group), "text": text})
        .select(*batches.INPUT)
        .mapInArrow(
            workers.score(scorer, chosen.hung_after_s, batches.batching(chosen)),
            batches.OUTPUT_DDL,
            profile=workers.profile(chosen.cores_per_task, chosen.gpus_per_task),
        )
    )
    left = UnscoredCounter()
    work.append(left.taken_out(scored), unit, "documents")
    scores, quarantined = scoring_work.tally(unit_rows(work.scores(), unit))
    unscored = left.counted() if scores != unit.there else UnscoredRows()
    if scores.plus(unscored.tally) != unit.there:
        raise ReconciliationError(_unlike(work, unit.place, unit.there, scores))
    reach("unit.reconciled")
    return Done(quarantined, unscored.tally.documents, unscored.reason)


def _unlike(work: Work, where: str, wanted: Tally, found: Tally) -> str:
    return (
        f"{work.lake.name('scores')}: {where}: {wanted.documents:,} documents at version "
        f"{work.version}, {found.documents:,} current scores"
        + (" of other documents" * (found.documents == wanted.documents))
        + ": run mira scores repair, then mira run"
    )


def _reconcile(work: Work, documents: Mapping[Bucket, Tally], unscored: int) -> tuple[int, int]:
    """(rows scored, rows quarantined) of the current scores; ReconciliationError unless they are
    the documents of the scored groups, each once, but for those left unscored. What was found is
    recorded."""
    lake, version = work.lake, work.lake.version("scores")
    scores, quarantined = scoring_work.tally(work.scores(version))
    scored_sources = {s for s, g in work.groups.items() if g in work.scorers}
    wanted = units.total(t for (source, _), t in documents.items() if source in scored_sources)
    if wanted.documents - unscored != scores.documents or (wanted != scores and not unscored):
        raise ReconciliationError(_unlike(work, "all sources", wanted, scores))
    # Where the join had to tell what counts, it may not have to the next time.
    belong = work.all_belong or checks.orphans(lake, work.version, version).isEmpty()
    students = () if unscored else work.students
    checks.record_check(lake, work.pinned, students, belong, work.run_id)
    return scores.documents - quarantined, quarantined


def _outcome(
    work: Work, todo: list[Unit], again: int, scored: int, quarantined: int, done: Done
) -> Outcome:
    new = sum(unit.documents for unit in todo) - done.unscored
    message = f"{new:,} documents scored in {len(todo)} units, {scored + quarantined:,} in all"
    if again:
        message += f"; {again:,} scores calibrated anew, without the model"
    share = quarantined / max(1, scored + quarantined)
    if quarantined:
        message += f"; {quarantined:,} quarantined ({share:.2%}), see scores.reason"
    without = sorted(set(work.groups.values()) - set(work.scorers))
    if without:
        message += f"; no champion for {', '.join(without)}: its documents have no score"
    degraded = share > work.settings.max_quarantined or bool(without)
    status = "degraded" if degraded else "done"
    if done.unscored:
        status = "stopped"
        message = (
            f"{done.unscored:,} documents are not scored yet: {done.reason}. The same command goes "
            f"on with them; {message}"
        )
    return Outcome(message, status, new, new + again, quarantined)


def _view(work: Work) -> None:
    lake, pinned = work.lake, work.lake.version("scores")
    documents = None if work.all_belong else work.version
    query = current_scores_query(lake, work.grouping_id, work.students, pinned, documents)
    lake.create_view(
        "scored_documents",
        "SELECT c.doc_id, c.source, c.source_group, c.quality, "
        "map_from_arrays(t.dimensions, c.dimension_scores) AS dimensions, c.status, c.reason, "
        "c.n_tokens, c.content_hash, c.bucket, c.student_id, c.documents_version, c.scored_at "
        f"FROM ({query}) AS c JOIN {lake.name('students')} AS t ON t.student_id = c.student_id",
        "the current score of every document: quality and dimensions in thousandths of a point",
    )
