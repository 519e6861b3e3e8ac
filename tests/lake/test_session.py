"""The local session: one process a folder, and what is said to the other."""

import os
import subprocess
import sys
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
        "Known: budget, caps, duplicates, "
    )
    assert not (tmp_path / "x").exists()
