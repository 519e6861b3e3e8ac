"""A scoring interrupted while Spark starts, in a job, in the child of a worker; or without Java."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mira_spark.process.interruption import _LINE
from tests.process.test_interruption import Program, descendants
from tests.scoring_lake import stored

DRILLS = Path(__file__).parents[1] / "drills"
DOCUMENTS = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that no session has open, with four units to score."""
    folder = tmp_path_factory.mktemp("lake")
    sizes = (str(DOCUMENTS), "4", "2")
    command = [sys.executable, "-m", "tests.scoring_lake", str(folder), *sizes]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return folder


def scoring(folder: Path, **drill: str) -> Program:
    command = [sys.executable, "-m", "mira_spark", "score-documents"]
    paths = os.pathsep.join([str(DRILLS), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths} | drill
    return Program([*command, "--config", str(folder / "lake.yaml")], env=environment)


def until(running: Program, condition: Callable[[], bool]) -> None:
    while not condition():
        assert running.process.poll() is None, running.until("nothing more")
        os.sched_yield()


def commands(running: Program) -> list[str]:
    """The command lines of what it began."""
    lines = []
    for child in descendants(running.process.pid):
        with contextlib.suppress(OSError):  # it may end meanwhile
            lines.append(Path(f"/proc/{child}/cmdline").read_bytes().decode())
    return lines


@pytest.mark.long
def test_an_interrupted_scoring_ends_at_once_and_the_next_one_goes_on(
    folder: Path, tmp_path: Path
) -> None:
    starting = scoring(folder)
    until(starting, lambda: any("deploy.SparkSubmit" in c for c in commands(starting)))
    assert starting.interrupt() == (75, f"{_LINE}\n")

    for in_a_child in (False, True):
        assert interrupted_scoring(folder, tmp_path / f"rows {in_a_child}", in_a_child) == (
            75,
            f"{_LINE}\n",
        )

    code, written = with_java_killed(folder, tmp_path / "rows")
    assert code == 75
    assert re.fullmatch(
        r"OutsideError: Spark's Java process has ended, perhaps for want of memory; what was done "
        r"is kept, and the same command goes on from here \(.*\)\n",
        written,
    ), written

    rest = scoring(folder)
    written = rest.process.communicate(timeout=600)[0].decode()
    assert rest.process.returncode == 0, written
    assert len({row[0] for row in stored(folder)}) == len(stored(folder)) == DOCUMENTS


def with_java_killed(folder: Path, rows: Path) -> tuple[int, str]:
    """A scoring whose Java process is killed, as when memory ran out."""
    rows.mkdir()
    running = scoring(folder, MIRA_DRILL_ROWS=str(rows), MIRA_DRILL_PAUSE="600")
    until(running, lambda: any(rows.iterdir()))
    java = descendants(running.process.pid)[0]
    os.kill(java, signal.SIGKILL)
    written = running.process.communicate(timeout=600)[0].decode()
    return running.process.returncode, written


def interrupted_scoring(folder: Path, rows: Path, in_a_child: bool) -> tuple[int, str]:
    """Interrupted when a worker of Spark, or a child of such a worker, has its first text."""
    rows.mkdir()
    running = scoring(folder, MIRA_DRILL_ROWS=str(rows), MIRA_DRILL_PAUSE="600")
    until(running, lambda: any(rows.iterdir()))
    # The second attempt at a task reads its documents in a child; first attempts are in its way.
    while in_a_child and not any("mira_spark.scoring.isolation" in c for c in commands(running)):
        assert running.process.poll() is None, running.until("nothing more")
        for worker in rows.iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(worker.name), signal.SIGKILL)
    return running.interrupt()
