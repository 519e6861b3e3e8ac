"""The record of every step: what decided its work, what it found done, and how it ended."""

import contextlib
import functools
import importlib.metadata
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pyspark.sql import Row, functions as F

from mira_spark.errors import MiraError
from mira_spark.lake.clock import clock_after
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import reach

NOTHING_TO_DO = "nothing to do"
SELECTION_NAME = "selection name"
"""The key in the inputs of a step that works on one selection."""


@dataclass
class Outcome:
    """What a step did. `status` is done, degraded or stopped; rows are None where meaningless."""

    message: str
    status: str = "done"
    rows_in: int | None = None
    rows_out: int | None = None
    rows_rejected: int | None = None


@dataclass(frozen=True)
class StepInputs:
    """What decides a step's work: when those of its last finished run are equal, there is
    nothing to do."""

    step: str
    settings_digest: str
    inputs: Mapping[str, str] = field(default_factory=dict)


def new_run_id() -> str:
    """A fresh id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dt%H%M%S}_{secrets.token_hex(3)}"


@functools.cache
def package_version() -> str:
    """The installed version; `unknown` when run from a zip without metadata."""
    try:
        return importlib.metadata.version("mira-spark")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def last_finished(lake: Lakehouse, selection: str) -> dict[str, Row]:
    """Step to its latest row that ended done or degraded, when it last had something to do; steps
    that never did are absent. Of a step that works on one selection, the latest of this name."""
    ended = lake.read("runs").filter(F.col("status").isin("done", "degraded"))
    ended = ended.filter(F.col("message") != NOTHING_TO_DO)
    ended = ended.filter(F.coalesce(F.col("inputs")[SELECTION_NAME], F.lit(selection)) == selection)
    latest = F.max_by(F.struct("*"), F.struct("started_at", "run_id")).alias("row")
    return {r["step"]: r["row"] for r in ended.groupBy("step").agg(latest).collect()}


def was_interrupted(lake: Lakehouse, step: str) -> bool:
    """Whether the step was begun again after it last ended done or degraded, and did not end so."""
    rows = lake.read("runs").filter(F.col("step") == step)
    ended = F.col("status").isin("done", "degraded")
    latest = rows.agg(
        F.max("started_at").alias("begun"), F.max(F.when(ended, F.col("started_at"))).alias("ended")
    ).collect()[0]
    return latest["ended"] is not None and latest["begun"] > latest["ended"]


def stale_reasons(current: StepInputs, last: Row | None) -> list[str]:
    """Why the step has work to do, one reason each; empty when its last finished run covers it."""
    if last is None:
        return ["never finished"]
    before: dict[str, str] = last["inputs"]
    reasons = ["settings changed"] if last["settings_digest"] != current.settings_digest else []
    reasons += [f"{key} changed" for key, v in current.inputs.items() if before.get(key, v) != v]
    reasons += [f"{key} is new" for key in current.inputs if key not in before]
    return reasons + [f"{key} is gone" for key in before if key not in current.inputs]


def idle_row(current: StepInputs, last: Row, run_id: str) -> dict[str, object]:
    """The row of a step that was asked for and had nothing to do; it ends as it ended last time."""
    now = datetime.now(UTC)
    ended = {"status": last["status"], "finished_at": now, "message": NOTHING_TO_DO}
    return _row(current, run_id, now) | ended


@contextlib.contextmanager
def record_run(lake: Lakehouse, current: StepInputs, run_id: str) -> Iterator[list[Outcome]]:
    """Write a row when the step starts and another when it ends, however it ends.

    It starts after all that is recorded, also where the machine's clock was set back since: the
    latest start is the latest run. The caller puts the Outcome into the list it is given. Rows are
    only ever appended: two drivers never conflict on this table.
    """
    clock = clock_after(lake, "runs", "started_at")
    row = _row(current, run_id, clock())
    reach("run.starting")
    lake.append_rows([row | {"status": "running"}], "runs", run_id)
    outcomes: list[Outcome] = []
    try:
        reach("run.started")
        yield outcomes
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt) or getattr(error, "exit_code", 1) == 75
        kind = "" if isinstance(error, MiraError) else f"{type(error).__name__}: "
        status = "stopped" if stopped else "failed"
        with contextlib.suppress(Exception):  # the first error is the one to report
            _finish(lake, row, Outcome(f"{kind}{error}"[:2000], status), clock())
        raise
    reach("run.ending")
    _finish(lake, row, outcomes[0], clock())
    reach("run.ended")


def _row(current: StepInputs, run_id: str, now: datetime) -> dict[str, object]:
    return {
        "run_id": run_id,
        "step": current.step,
        "started_at": now,
        "settings_digest": current.settings_digest,
        "package_version": package_version(),
        "inputs": dict(current.inputs),
    }


def _finish(lake: Lakehouse, row: Mapping[str, object], outcome: Outcome, now: datetime) -> None:
    ended = vars(outcome) | {"finished_at": now}
    lake.append_rows([{**row, **ended}], "runs", str(row["run_id"]))
