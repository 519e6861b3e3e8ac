"""Drivers that die or come in twos, and executors that are killed: each a process of its own.

All score the same small lakes, which are put back to their beginning for every test.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import deltalake
import pytest
from pyspark.sql import SparkSession

from mira_spark.errors import BusyError
from mira_spark.lake import leases
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import _EXIT_CODE
from tests import cluster, scoring_lake
from tests.scoring_lake import FAILPOINTS, SCHEMA, stored, tries

DRILLS = Path(__file__).parents[1] / "drills"
MIRA = str(Path(sys.executable).parent / "mira")
KILLED_EVERY_S = 6
TAKEN_OVER_S = 90


class Lake:
    """A lake that no session has open, its first state, and its scores when nothing disturbs."""

    def __init__(self, folder: Path, *sizes: int) -> None:
        self.folder, self.first = folder / "lake", folder / "first"
        command = [sys.executable, "-m", "tests.scoring_lake", str(self.folder), *map(str, sizes)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout + made.stderr
        shutil.copytree(self.folder, self.first)
        assert ended(self.scoring()).startswith("0: ")
        self.undisturbed = stored(self.folder)

    def put_back(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self.first, self.folder)

    def scoring(self, session: str = "local", **drill: str) -> subprocess.Popen[str]:
        """`mira score-documents` begun; `drill` is what its environment says besides."""
        command = [MIRA, "score-documents", "--config", str(self.folder / "lake.yaml")]
        command += ["--set", f"session={session}"]
        options = cluster.options("local[2]", cluster.conf(self.folder))
        submit = {"PYSPARK_SUBMIT_ARGS": " ".join([*options, "pyspark-shell"])}
        environment = os.environ | {"PYTHONPATH": str(DRILLS)} | drill
        environment |= submit if session == "platform" else {}
        return subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def holder(self) -> str | None:
        """Who holds the lease of `scores`."""
        table = deltalake.DeltaTable(str(self.folder / "warehouse" / f"{SCHEMA}.db" / "leases"))
        rows = table.to_pyarrow_table().to_pylist()
        return next((row["holder"] for row in rows if row["name"] == "scores"), None)


def ended(process: subprocess.Popen[str]) -> str:
    """Exit code and output."""
    output = process.communicate(timeout=600)[0]
    return f"{process.returncode}: {output}"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(tmp_path_factory.mktemp("small"), 16, 4, 2)


@pytest.fixture
def lake_of_16(small: Lake) -> Lake:
    small.put_back()
    return small


@pytest.mark.long
@pytest.mark.parametrize("place", FAILPOINTS)
def test_a_driver_that_dies_anywhere_loses_and_repeats_nothing(
    lake_of_16: Lake, place: str
) -> None:
    died = ended(lake_of_16.scoring("platform", MIRA_FAILPOINTS=f"{place}=exit"))
    assert died.startswith(f"{_EXIT_CODE}: "), died
    before = stored(lake_of_16.folder, "run_id", "scored_at")
    again = ended(lake_of_16.scoring("platform"))
    assert again.startswith("0: "), again
    assert stored(lake_of_16.folder) == lake_of_16.undisturbed
    assert set(map(str, before)) <= set(
        map(str, stored(lake_of_16.folder, "run_id", "scored_at"))
    ), "what was there is there unchanged"


@pytest.mark.long
def test_of_two_copies_started_together_one_scores_and_one_leaves(small: Lake) -> None:
    for _ in range(10):
        small.put_back()
        copies = small.scoring(), small.scoring()
        scores, leaves = sorted(map(ended, copies))
        assert scores.startswith("0: "), scores
        assert "16 documents scored in 4 units" in scores
        assert leaves.startswith("75: "), leaves
        assert re.search(r"is in use by process \d+: wait until it ends", " ".join(leaves.split()))
        assert stored(small.folder) == small.undisturbed


@pytest.mark.long
@pytest.mark.parametrize("host", ["this_machine", "elsewhere"])
def test_a_killed_holder_is_taken_over(
    lake_of_16: Lake, spark: SparkSession, lake: Lakehouse, tmp_path: Path, host: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """By another driver with a catalog of its own over the same table of leases."""
    named = {"MIRA_DRILL_HOST": host} if host == "elsewhere" else {}
    driver = lake_of_16.scoring("platform", MIRA_DRILL_PAUSE="5", **named)
    while lake_of_16.holder() is None:
        assert not waited(driver, 0.2), ended(driver)
    for table in ("leases", "scores"):
        spark.sql(f"CREATE TABLE {lake.name(table)} USING delta LOCATION "
                  f"'{lake_of_16.folder}/warehouse/{SCHEMA}.db/{table}'")  # fmt: skip
    with pytest.raises(BusyError, match=r"process \d+ on \S+ works on it: wait until it ends"):
        leases.take_lease(lake, ["scores"], "heir")
    driver.kill()
    driver.communicate()
    killed = time.monotonic()
    heir = leases.take_lease(lake, ["scores"], "heir")
    seconds = time.monotonic() - killed
    with capsys.disabled():
        sys.stdout.write(f"\na holder on {host} was taken over after {seconds:.0f} s\n")
    assert seconds <= TAKEN_OVER_S
    assert heir.epochs == {"scores": 2}
    heir.release()
    for table in ("leases", "scores"):
        spark.sql(f"DROP TABLE {lake.name(table)}")
    assert ended(lake_of_16.scoring("platform")).startswith("0: ")
    assert stored(lake_of_16.folder) == lake_of_16.undisturbed


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Eight units of 36 files; a file is a task of half a second in the drill."""
    cluster.built()
    return Lake(tmp_path_factory.mktemp("large"), 2_880, 360, 10)


@pytest.mark.long
@pytest.mark.parametrize("speculation", ["false", "true"])
def test_executors_killed_every_few_seconds_change_nothing(
    large: Lake, tmp_path: Path, speculation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    large.put_back()
    rows = tmp_path / "rows"
    rows.mkdir()
    drill = {"PYTHONPATH": str(DRILLS), "MIRA_DRILL_ROWS": str(rows), "MIRA_DRILL_PAUSE": "0.05"}
    conf = {
        "spark.speculation": speculation,
        "spark.sql.files.maxPartitionBytes": "4m",  # a file to a task
        "spark.task.maxFailures": "20",  # as where machines come and go
    }
    options = ["--config", str(large.folder / "lake.yaml"), "--set", "session=platform"]
    command = cluster.spark_submit(large.folder, options, 3, conf)
    environment = cluster.environment(tmp_path / "python") | drill
    begun, kills, random = time.monotonic(), 0, Random(1)
    with (tmp_path / "output").open("w+") as output:
        driver = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=output,
                                  stderr=subprocess.STDOUT)  # fmt: skip
        while not waited(driver, KILLED_EVERY_S):
            found = cluster.executors(driver.pid)
            if found and any(rows.iterdir()):
                begun = begun if kills else time.monotonic()
                os.kill(random.choice(found), signal.SIGKILL)
                kills += 1
        seconds = time.monotonic() - begun
        output.seek(0)
        assert driver.returncode == 0, output.read()[-5_000:]
    redone = tries(rows).total() / 2_880 - 1
    with capsys.disabled():
        sys.stdout.write(
            f"\nspeculation {speculation}: {kills} executors killed in {seconds:.0f} s, "
            f"{redone:.1%} of the rows redone (bar 15 %)\n"
        )
    assert stored(large.folder) == large.undisturbed
    assert seconds >= 120
    assert kills >= seconds / KILLED_EVERY_S / 2
    assert redone <= 0.15


def waited(process: subprocess.Popen[Any], seconds: float) -> bool:
    """Whether it ended within the time."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_there_is_a_drill_for_every_failpoint_of_the_step() -> None:
    root = Path(scoring_lake.__file__).parents[1] / "mira_spark"
    names = ("lake/leases.py", "lake/runs.py", "scoring/work.py", "steps/score_documents.py")
    source = "".join((root / name).read_text() for name in names)
    retry = "quarantined.removed"  # drilled by the test of `mira scores retry`
    assert sorted(re.findall(r'reach\("(.*?)"\)', source)) == sorted((*FAILPOINTS, retry))
