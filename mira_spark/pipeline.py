"""The steps in order, each done only where it is stale, recorded however it ends."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from pyspark.sql import Row

from mira_spark.corpus import input_rows
from mira_spark.embedders.opening import check_embedder
from mira_spark.errors import EXIT_CODES, ConfigError, InputError
from mira_spark.labels import forms
from mira_spark.lake import leases, runs
from mira_spark.lake.creation import create_tables
from mira_spark.lake.root_check import check_root
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import detail, note, say
from mira_spark.selection import lost_versions
from mira_spark.settings.root import Settings
from mira_spark.steps import (
    discover_rubrics,
    distill_students,
    find_contamination,
    find_duplicates,
    group_sources,
    ingest_corpus,
    label_documents,
    report_selection,
    score_baselines,
    score_documents,
    select_documents,
)


class Step(Protocol):
    """What a module in `steps/` has."""

    @property
    def SETTINGS(self) -> tuple[str, ...]:
        """The sections of the settings that change what it does."""

    @property
    def WRITES(self) -> tuple[str, ...]:
        """The tables it writes."""

    def inputs(self, lake: Lakehouse, settings: Settings) -> dict[str, str]:
        """What decides its work, by name; InputError while it waits for another step."""

    def missing(self, lake: Lakehouse, settings: Settings) -> list[str]:
        """What of its finished work was removed since, a reason each."""

    def run(self, lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
        """Do what is to be done, and say what was."""


STEPS: dict[str, Step] = {
    "ingest_corpus": ingest_corpus,
    "find_duplicates": find_duplicates,
    "find_contamination": find_contamination,
    "group_sources": group_sources,
    "discover_rubrics": discover_rubrics,
    "label_documents": label_documents,
    "distill_students": distill_students,
    "score_documents": score_documents,
    "score_baselines": score_baselines,
    "select_documents": select_documents,
    "report_selection": report_selection,
}
CHECKED_TOGETHER = 4
"""Steps that `status` looks at at a time: while a job of one starts, another's rows are read."""


def check(settings: Settings, steps: Sequence[str]) -> None:
    """ConfigError for what would keep one of the steps from its work, whatever the tables hold."""
    if "ingest_corpus" in steps:
        input_rows.named_inputs(settings.corpus)
    if {"discover_rubrics", "label_documents"} & set(steps):
        forms.check_judges(settings.judge)
    if {"group_sources", "discover_rubrics"} & set(steps):
        check_embedder(settings.embedder, settings.judge)


def perform(
    lake: Lakehouse,
    settings: Settings,
    run_id: str,
    steps: Sequence[str] = tuple(STEPS),
    force: bool = False,
) -> int:
    """Do the named steps in order, where stale or `force`; the exit code of the worst outcome.

    A step that stops ends the sequence. BusyError when another driver writes the same tables.
    """
    check(settings, steps)
    if settings.session == "platform":
        check_root(lake.spark, settings.folder)
    create_tables(lake)
    for line in lost_versions.drop_views_of_lost_tables(lake):
        note((line, "yellow"))
    finished = runs.last_finished(lake, settings.selection.name)
    idle: list[dict[str, object]] = []
    worst = 0
    for name in steps:
        detail(f"{name} begins")
        current, last = step_inputs(lake, settings, name), finished.get(name)
        if last is not None and not force and not _reasons(lake, settings, current, last):
            outcome = Outcome(runs.NOTHING_TO_DO, last["status"])
            idle.append(runs.idle_row(current, last, run_id))
        else:
            lake.append_rows(idle, "runs", run_id)  # before a step that may fail
            idle.clear()
            with leases.write_lease(lake, settings.session, STEPS[name].WRITES) as claimed:
                outcome = _perform(claimed, settings, run_id, current, last, force)
        is_last = name == steps[-1] or outcome.status == "stopped"
        _tell(name, outcome, is_last)
        worst = max(worst, EXIT_CODES[outcome.status])
        if is_last:
            break
    lake.append_rows(idle, "runs", run_id)
    detail("all is recorded")
    return worst


def _perform(
    lake: Lakehouse,
    settings: Settings,
    run_id: str,
    current: runs.StepInputs,
    last: Row | None,
    force: bool,
) -> Outcome:
    """Do the step, unless another driver has done so since it ended as `last` says."""
    now = (
        runs.last_finished(lake, settings.selection.name).get(current.step) if lake.claim else last
    )
    if now is not None and now != last and not force:
        current = step_inputs(lake, settings, current.step)
        if not _reasons(lake, settings, current, now):
            lake.append_rows([runs.idle_row(current, now, run_id)], "runs", run_id)
            return Outcome(runs.NOTHING_TO_DO, now["status"])
    with runs.record_run(lake, current, run_id) as outcomes:
        outcomes.append(STEPS[current.step].run(lake, settings, run_id))
    return outcomes[0]


def retry_scores(lake: Lakehouse, settings: Settings, run_id: str) -> int:
    """Score again what is quarantined, as a run of `score_documents`; the exit code."""
    create_tables(lake)
    current = step_inputs(lake, settings, "score_documents")
    with (
        leases.write_lease(lake, settings.session, score_documents.WRITES) as claimed,
        runs.record_run(claimed, current, run_id) as outcomes,
    ):
        outcomes.append(score_documents.retry(claimed, settings, run_id))
    _tell(current.step, outcomes[0], is_last=True)
    return EXIT_CODES[outcomes[0].status]


def _tell(name: str, outcome: Outcome, is_last: bool) -> None:
    """The last is the result; so is what is not as it should be."""
    colour = "green" if outcome.status == "done" else "yellow"
    write = say if is_last or outcome.status != "done" else note
    write((name, "bold"), " ", (outcome.status, colour), f": {outcome.message}")


def step_inputs(lake: Lakehouse, settings: Settings, name: str) -> runs.StepInputs:
    """What decides the step's work now."""
    step = STEPS[name]
    return runs.StepInputs(name, settings.digest(step.SETTINGS), step.inputs(lake, settings))


def _reasons(
    lake: Lakehouse, settings: Settings, current: runs.StepInputs, last: Row | None
) -> list[str]:
    """Why the step has work to do: what decides it changed, or what it made was removed."""
    return runs.stale_reasons(current, last) or STEPS[current.step].missing(lake, settings)


def status(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """Per step: `done`, `degraded: with what`, `stale: why`, or `waiting: for what` when its inputs
    are not there yet."""
    finished = runs.last_finished(lake, settings.selection.name)

    def state(name: str) -> str:
        """What `status` says of one step."""
        last = finished.get(name)
        try:
            reasons = _reasons(lake, settings, step_inputs(lake, settings, name), last)
        except (InputError, ConfigError) as error:
            return f"waiting: {error}"
        if reasons or last is None:
            return f"stale: {'; '.join(reasons)}"
        return "done" if last["status"] == "done" else f"degraded: {last['message']}"

    with ThreadPoolExecutor(CHECKED_TOGETHER) as pool:
        return dict(zip(STEPS, pool.map(state, STEPS), strict=True))
