"""What is measured of a student comes from validation rows that nothing was fitted on."""

from pathlib import Path

from mira_spark.corpus.draws import draw
from mira_spark.distillation import training
from mira_spark.distillation.trained import Assessment, assess
from mira_spark.settings.students import ReliabilitySettings
from tests.distillation.test_comparison import LINEAR, RUBRIC, documents
from tests.staging import Row, staged

SETTINGS = ReliabilitySettings(min_rows=5)
NAMES = tuple(anchor.name for anchor in RUBRIC.anchors)


def test_the_curves_are_fitted_on_other_rows_than_are_measured(tmp_path: Path) -> None:
    rows = documents(400)
    validation = [row[0] for row in rows if row[4] == "validation"]
    measured = {d for d in validation if draw(d, "calibration") >= 0.5}
    shards = staged(tmp_path / "shards", rows)
    student = training.train(shards, RUBRIC, LINEAR, shards)

    def found(rows: list[Row], name: str) -> Assessment:
        return assess(student, staged(tmp_path / name, rows), NAMES, SETTINGS)

    first = found(rows, "first")
    assert first.validation_rows == len(validation)
    assert {cell.rows for cell in first.cells if cell.source is None} == {len(measured)}
    assert first.masks.keys() == {"s0", "s1"}
    judged_anew = [(*r[:3], [0, 0, 0], r[4]) if r[0] in measured else r for r in rows]
    second = found(judged_anew, "second")
    assert second.curves == first.curves
    assert second.cells != first.cells


def test_without_validation_rows_nothing_is_reliable(tmp_path: Path) -> None:
    rows = [row for row in documents(60) if row[4] == "train"]
    shards = staged(tmp_path / "shards", rows)
    student = training.train(shards, RUBRIC, LINEAR, shards)
    found = assess(student, shards, NAMES, SETTINGS)
    assert found.validation_rows == 0
    assert not found.group_mask.any()
    assert found.masks == {}
