"""What kills a student's process is found and set aside; everything else has its scores."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mira_spark.errors import MiraError
from mira_spark.scoring import isolation
from mira_spark.scoring.engine import Engine
from mira_spark.scoring.isolation import IsolationLimits
from mira_spark.scoring.scorer import Scorer
from tests.scoring.test_batches import a_manifest, documents, linear, written

DRILLS = str(Path(__file__).parents[1] / "drills")
# Seconds enough for a clean document on a machine that has other work.
LIMITS = IsolationLimits(piece_s=4, document_s=5, memory=400 << 20)


@pytest.fixture
def scorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scorer:
    monkeypatch.syspath_prepend(DRILLS)
    return written(tmp_path / "student", linear(1), a_manifest())


def found(scorer: Scorer, batches: list[pa.RecordBatch]) -> tuple[np.ndarray, list[str | None]]:
    parts = isolation.score_isolated(iter(batches), scorer, LIMITS)
    scores, reasons = [], []
    for _, some, why in parts:
        scores.append(some)
        reasons += why
    return np.concatenate(scores), reasons


HOW = {
    "kill: segfault": "killed its worker: signal SIGSEGV",
    "kill: exit": "killed its worker: exit code 3",
    "kill: abort": "killed its worker: signal SIGABRT",
    "kill: hang": "killed its worker: it took more than 5 s",
    "kill: memory": "killed its worker: it took",
}


def test_killers_are_found_one_by_one(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "_PIECE", 8)
    clean = [f"text {i}" for i in range(15)]
    texts = list(clean)
    places = dict(zip((0, 3, 6, 7, 14), HOW, strict=True))
    for place, killer in places.items():
        texts[place] = killer
    scores, reasons = found(scorer, [documents(texts[:9]), documents([]), documents(texts[9:])])
    expected, _ = Engine(linear(1)).scores(pa.array(clean))
    for i in range(15):
        if i in places:
            assert np.isnan(scores[i]).all()
            assert str(reasons[i]).startswith(HOW[places[i]]), i
        else:
            np.testing.assert_array_equal(scores[i], expected[i])
            assert reasons[i] is None


def test_clean_documents_have_the_same_scores_as_in_the_worker(scorer: Scorer) -> None:
    texts = [f"word{i} " * (i % 7) for i in range(600)]
    scores, reasons = found(scorer, [documents(texts)])
    expected, _ = Engine(linear(1)).scores(pa.array(texts))
    np.testing.assert_array_equal(scores, expected)
    assert reasons == [None] * 600


def test_a_student_that_cannot_be_loaded_is_an_error(scorer: Scorer) -> None:
    other = replace(scorer, artefact_sha256="0" * 64)
    with pytest.raises(MiraError, match="could not be started: exit code 1"):
        list(isolation.score_isolated(iter([]), other, LIMITS))


def test_no_process_is_left_behind(scorer: Scorer) -> None:
    parts = isolation.score_isolated(iter([documents(["a"])] * 3), scorer, LIMITS)
    next(parts)
    assert "mira_spark.scoring.isolation" in own_processes()
    parts.close()  # type: ignore[attr-defined]
    assert "mira_spark.scoring.isolation" not in own_processes()


def own_processes() -> str:
    """The command lines of this process's children."""
    listing = ["ps", "-ww", "-o", "args=", "--ppid", str(os.getpid())]
    return subprocess.run(listing, capture_output=True, text=True, check=True).stdout
