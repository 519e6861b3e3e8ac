"""A student is measured beside its references on the very rows it is judged by."""

from pathlib import Path

import numpy as np
import pytest

from mira_spark.distillation import comparison, reliability, training
from mira_spark.errors import InputError
from mira_spark.judges.protocol import Anchor
from mira_spark.rubrics.rubric import Rubric
from mira_spark.settings.students import DistillationSettings, LinearSettings, ReliabilitySettings
from mira_spark.students import aggregation
from tests.staging import Row, staged

RUBRIC = Rubric("r", "group_a", tuple(Anchor(slot, f"slot {slot}", "") for slot in range(3)))
LINEAR = DistillationSettings(linear=LinearSettings(bits=12))
WORDS = np.array(
    ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
)


def documents(count: int) -> list[Row]:
    """Slot 0 counts a word, slot 1 follows the length, slot 2 is the source's own."""
    random = np.random.default_rng(0)
    rows: list[Row] = []
    for i in range(count):
        size = int(random.integers(5, 60))
        text = " ".join(random.choice(WORDS, size))
        wanted = min(10, round(60 * text.count("alpha") / size))
        scores: list[int | None] = [wanted, size // 6, 3 + 4 * (i % 2)]
        rows.append((f"d{i}", f"s{i % 2}", text, scores, "validation" if i % 2 else "train"))
    return [(*row[:1], f"s{i % 3 % 2}", *row[2:]) for i, row in enumerate(rows)]


def compared(shards: Path) -> comparison.Comparison:
    student = training.train(shards, RUBRIC, LINEAR, shards)
    seen = training.predict(student, shards, "validation")
    points = np.clip(seen.predicted, 0, 10)
    cells = reliability.cells(
        points, seen.judged, seen.sources, seen.repeated, ReliabilitySettings(min_rows=5)
    )
    thousandths = (points * 1000).astype(np.int16)
    quality = aggregation.quality(thousandths, np.ones(3, bool))
    names = tuple(anchor.name for anchor in RUBRIC.anchors)
    return comparison.compare(shards, seen, points, quality, cells, names)


def test_what_each_reference_can_know_shows(tmp_path: Path) -> None:
    rows = documents(400)
    repeats = {row[0]: row[3] for row in rows[1::10]}
    found = compared(staged(tmp_path / "shards", rows, repeats=repeats))
    metrics = found.metrics
    assert metrics["student/slot_00/spearman"] > 0.8
    assert metrics["length/slot_01/spearman"] > 0.9
    assert metrics["tfidf_ridge/slot_00/spearman"] > metrics["length/slot_00/spearman"]
    assert "slot_mean/slot_00/spearman" not in metrics, "a constant ranks nothing"
    assert metrics["judge/slot_00/mae"] == 0, "this judge repeats itself"
    assert metrics["gain_within_source/source_mean_low"] > 0
    assert 0.5 <= metrics["leak/source_auc"] <= 1
    assert set(found.figures) == {"reliability", "calibration", "predicted_against_judged"}
    everything = {"student", "slot_mean", "source_mean", "length", "tfidf_ridge", "judge"}
    assert set(found.cells["predictor"]) == everything


def test_few_or_no_held_out_rows_are_measured_as_far_as_they_go(tmp_path: Path) -> None:
    rows = documents(24)
    for name, kept in (("few", rows), ("none", [row for row in rows if row[4] == "train"])):
        found = compared(staged(tmp_path / name, kept))
        assert found.metrics.keys() is not None
        assert set(found.cells["rows"]) <= set(range(13))


def test_the_rows_measured_do_not_depend_on_how_the_files_are_cut(tmp_path: Path) -> None:
    rows = documents(120)
    first = compared(staged(tmp_path / "a", rows, 7))
    second = compared(staged(tmp_path / "b", rows, 120))
    assert first.metrics == second.metrics


def test_labels_without_one_answer_train_nothing_that_passes(tmp_path: Path) -> None:
    nothing: list[Row] = [(*row[:3], [None, None, None], row[4]) for row in documents(60)]
    shards = staged(tmp_path / "shards", nothing)
    student = training.train(shards, RUBRIC, LINEAR, tmp_path)
    seen = training.predict(student, shards, "validation")
    cells = reliability.cells(
        seen.predicted, seen.judged, seen.sources, seen.repeated, ReliabilitySettings()
    )
    assert not reliability.gate(cells, None, ReliabilitySettings()).passed
    with pytest.raises(InputError, match="found no row with split 'train'"):
        training.train(staged(tmp_path / "none", []), RUBRIC, LINEAR, tmp_path)
