"""A process that ends at any failpoint of a selection leaves the old view standing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BEFORE_VIEWS = ("histogram.written", "list.written", "cutoffs.written", "selection.written")


def select(folder: Path, budget: str, dying_at: str = "") -> list[dict[str, Any]]:
    """What the views showed before and, if it lived, after."""
    drill = {"MIRA_FAILPOINTS": f"{dying_at}=exit"} if dying_at else {}
    command = [sys.executable, "-m", "tests.selection_driver", str(folder), budget]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | drill, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert ended.returncode == (70 if dying_at else 0), ended.stdout + ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.long
def test_a_process_that_dies_anywhere_leaves_the_old_view(tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    _, old = select(folder, "30%")
    assert old["selected"] == old["selected_default"] != []
    for place, budget in zip(BEFORE_VIEWS, ("40%", "41%", "42%", "43%"), strict=True):
        (before,) = select(folder, budget, place)
        assert before["selected"] == before["selected_default"] == old["selected"]
    (before,) = select(folder, "50%", "view.named")
    assert before["selected"] == before["selected_default"] == old["selected"]
    between, new = select(folder, "50%")
    assert between["selected"] == old["selected"]
    assert between["selected_default"] == new["selected_default"] == new["selected"]
    assert set(old["selected"]) < set(new["selected"])
