"""Score every document by the configured baselines. Reads `documents` and the target sets; writes
`baseline_scores` and `baselines`."""

from collections.abc import Mapping, Sequence
from functools import partial

from pyspark.sql import functions as F

from mira_spark.errors import InputError
from mira_spark.lake import storage
from mira_spark.lake.history import Snapshot
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import reach
from mira_spark.scoring import batches, units, work as scoring_work, workers
from mira_spark.scoring.baseline_fitting import fit_baseline, made_from
from mira_spark.scoring.baseline_record import (
    BaselineWork,
    MadeBaseline,
    latest_baseline,
    record_baseline,
    settings_json,
)
from mira_spark.scoring.baselines import saved, scores
from mira_spark.scoring.checks import SCORE_KEY
from mira_spark.scoring.unit_jobs import Done, do_units
from mira_spark.scoring.units import Bucket, Tally, Unit
from mira_spark.scoring.work import UnscoredCounter, UnscoredRows, tallies, unit_rows
from mira_spark.settings.root import Settings

SETTINGS = ("baselines", "scoring")
WRITES = ("baseline_scores", "baselines")


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The version of `documents`, and the state of every target set and model; nothing where no
    baseline is set."""
    sections = settings.baselines.sections
    if not sections:
        return {}
    documents = str(lake.snapshot("documents"))
    made = {n: made_from(lake.spark, n, each, documents) for n, each in sections.items()}
    states = {f"{what} of {name}": state for name, each in made.items()
              for what, state in each.items() if what != "documents"}  # fmt: skip
    return {"documents": documents} | states


def missing(lake: Lakehouse, settings: Settings) -> list[str]:
    """A reason for each baseline whose record or scores are gone."""
    reasons = []
    for name in settings.baselines.sections:
        made = latest_baseline(lake, name)
        rows = lake.read("baseline_scores")
        if made is None or rows.filter(F.col("baseline_id") == made.scorer.student_id).isEmpty():
            reasons.append(f"there are no scores of {name}")
    return reasons


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """Each baseline scores the documents that have no score of it, in units as `score_documents`.

    All are fitted first, or found as they are: what is wrong with one is told before any work. One
    counts once it has scored all documents.
    """
    if not settings.baselines.sections:
        return Outcome("no baseline is set: see baselines in the settings")
    pinned = lake.snapshot("documents")
    documents = tallies(lake.read("documents", pinned.version))
    if not documents:
        raise InputError(f"{lake.name('documents')} is empty: run mira ingest-corpus first")
    made = [_current_baseline(lake, settings, name, pinned) for name in settings.baselines.sections]
    reach("baselines.made")
    outcomes = []
    for each in made:
        work = BaselineWork(lake, settings.scoring, run_id, pinned.version, each)
        outcomes.append(_score_all(work, documents))
    return _together(outcomes)


def _current_baseline(
    lake: Lakehouse, settings: Settings, name: str, pinned: Snapshot
) -> MadeBaseline:
    """The recorded baseline where nothing that it follows from has changed, else a new one."""
    section, latest = settings.baselines.sections[name], latest_baseline(lake, name)
    said = settings_json(section)
    origin = made_from(lake.spark, name, section, str(pinned))
    is_same = latest is not None and (latest.settings, latest.made_from) == (said, origin)
    if latest is not None and is_same and saved.is_there(latest.scorer):
        return latest
    documents = lake.read("documents", pinned.version)
    fitted = fit_baseline(lake.spark, name, section, documents)
    home = storage.location(settings.folder, "baselines", name)
    scorer = saved.lay(home, fitted.saved, settings.driver_files)
    return MadeBaseline(name, scorer, said, origin, fitted.target and fitted.target.line)


def _score_all(work: BaselineWork, documents: Mapping[Bucket, Tally]) -> Outcome:
    """Score all documents by one baseline."""
    todo = work.open_units(documents)
    done = do_units(todo, partial(_score, work), f"scoring by {work.made.name}")
    reach("units.done")
    found, quarantined = scoring_work.tally(work.scores())
    wanted = units.total(documents.values())
    if found.documents + done.unscored != wanted.documents or (
        found != wanted and not done.unscored
    ):
        raise work.unlike("all documents", wanted, found)
    if not done.unscored:
        record_baseline(work.lake, work.made, work.run_id)
    new = sum(unit.documents for unit in todo) - done.unscored
    message = f"{work.made.name}: {new:,} documents scored, {found.documents:,} in all"
    if work.made.target is not None:
        message += f", target set of {work.made.target}"
    share = quarantined / found.documents if found.documents else 0
    if quarantined:
        message += f", {quarantined:,} quarantined ({share:.2%}), see baseline_scores.reason"
    status = "degraded" if share > work.settings.max_quarantined else "done"
    if done.unscored:
        status = "stopped"
        message += f", {done.unscored:,} not yet: {done.reason}. The same command goes on with them"
    return Outcome(message, status, new, new, quarantined)


def _score(work: BaselineWork, unit: Unit) -> Done:
    """Score the unit's documents that have no score, and prove it."""
    rows = unit_rows(work.documents(), unit)
    if unit.scored.documents:
        done = unit_rows(work.scores(work.lake.version("baseline_scores")), unit)
        rows = rows.join(done.select(*SCORE_KEY), on=SCORE_KEY, how="left_anti")
    chosen = work.settings
    scored = rows.select(*scores.TEXT_COLUMNS).mapInArrow(
        workers.score_baseline(unit.scorer, chosen.hung_after_s, batches.batching(chosen)),
        scores.SCORES_DDL,
        profile=workers.profile(chosen.cores_per_task, chosen.gpus_per_task),
    )
    left = UnscoredCounter()
    work.append(left.taken_out(scored), unit)
    found, quarantined = scoring_work.tally(unit_rows(work.scores(), unit))
    unscored = left.counted() if found != unit.there else UnscoredRows()
    if found.plus(unscored.tally) != unit.there:
        raise work.unlike(unit.place, unit.there, found)
    return Done(quarantined, unscored.tally.documents, unscored.reason)


def _together(outcomes: Sequence[Outcome]) -> Outcome:
    """The worst status, and all messages and rows."""
    worst = max(outcomes, key=lambda each: ("done", "degraded", "stopped").index(each.status))
    sums = (sum(getattr(each, name) for each in outcomes)
            for name in ("rows_in", "rows_out", "rows_rejected"))  # fmt: skip
    return Outcome("; ".join(each.message for each in outcomes), worst.status, *sums)
