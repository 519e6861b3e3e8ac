"""The local session: one process a folder, and what is said to the other."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pyspark.sql import SparkSession

MIRA = Path(sys.executable).parent / "mira"


def test_a_folder_in_use_is_said_with_the_process_that_holds_it(
    spark: SparkSession, home: Path
) -> None:
    command = [str(MIRA), "status", "--set", f"folder={home}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 75
    assert ended.stdout.strip() == (
        f"BusyError: {home} is in use by process {os.getpid()}: wait until it ends, or give this "
        "one a folder of its own with --set folder=PATH"
    )


def test_spark_writes_to_its_log_and_not_between_our_lines(spark: SparkSession, home: Path) -> None:
    assert (home / "spark.log").stat().st_size > 0


def test_python_looks_for_no_module_in_the_jars_of_delta(spark: SparkSession) -> None:
    (workers,) = spark.sparkContext.parallelize([0], 1).map(lambda _: sys.path).collect()
    assert not [path for path in [*workers, *sys.path] if Path(path).name.startswith("io.delta")]


def test_settings_are_refused_before_anything_starts(tmp_path: Path) -> None:
    command = [
        str(MIRA),
        "demo",
        "--set",
        "selection.bugdet=1",
        "--set",
        f"folder={tmp_path / 'x'}",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert ended.stdout.startswith(
        "ConfigError: settings: selection.bugdet is not a setting; did you mean selection.budget? "
        "Known: budget, caps, "
    )
    assert not (tmp_path / "x").exists()


def test_two_sessions_never_fetch_their_jars_at_once(tmp_path: Path) -> None:
    """The second one has not called Java while the first one starts, and goes on after it."""
    called, java = tmp_path / "called", tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\ntouch {called}\nexit 1\n")
    java.chmod(0o755)
    script = (
        "import pathlib, sys; from mira_spark.lake.session import open_local; "
        "open_local(pathlib.Path(sys.argv[1]))"
    )
    others = Path(tempfile.gettempdir()) / f"mira_spark_{os.getuid()}.lock"
    with others.open("a") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        second = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "lake")],
            env=os.environ | {"JAVA_HOME": str(tmp_path)},
            stderr=subprocess.DEVNULL,
        )
        while not _waits_for_a_lock(second.pid):
            assert second.poll() is None, "it ended without waiting"
        assert not called.exists()
    assert second.wait(timeout=120) != 0
    assert called.exists()


def _waits_for_a_lock(pid: int) -> bool:
    """Linux lists who waits for a file lock behind an arrow."""
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any("->" in words and str(pid) in words for words in waiting)
