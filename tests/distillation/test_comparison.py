"""A student is measured beside the judge, dimension by dimension."""

import numpy as np

from mira_spark.distillation.comparison import compare
from mira_spark.distillation.training import Evaluation


def held_out(rows: int) -> Evaluation:
    """Two sources in ten domains; a student that is right but for one point in slot 1."""
    random = np.random.default_rng(0)
    judged = random.integers(0, 10, (rows, 3)).astype(np.float32)
    repeated = np.where(np.arange(rows)[:, None] % 5, np.float32(np.nan), judged)
    return Evaluation(
        doc_ids=[f"d{row}" for row in range(rows)],
        sources=[f"s{row % 2}" for row in range(rows)],
        domains=[f"domain {row % 10}" for row in range(rows)],
        spoilt=np.zeros(rows, bool),
        folds=np.arange(rows, dtype=np.int32) % 5,
        n_tokens=np.full(rows, 7, np.int64),
        n_bytes=np.full(rows, 30, np.int64),
        predicted=judged + np.array([0, 1, 0], np.float32),
        judged=judged,
        repeated=repeated,
        reversed=np.full_like(judged, np.nan),
    )


def test_a_student_is_measured_slot_by_slot_beside_the_judges_repeat() -> None:
    rows = held_out(100)
    compared = compare(rows, rows.predicted, {(None, 0), ("s0", 1)}, ["a", "b", "c"])
    assert compared.metrics["student/slot_01/mae"] == 1
    assert compared.metrics["student/slot_01/spearman"] > 0.999
    assert compared.metrics["judge/slot_00/mae"] == 0, "this judge repeats itself"
    assert set(compared.figures) == {"reliability", "calibration", "predicted_against_judged"}
    cells = compared.cells
    assert len(cells) == 3 * 3 * 2
    assert set(cells[cells["predictor"] == "judge"]["rows"]) == {20, 10}
    marked = compared.figures["reliability"].data[1]
    assert list(zip(marked.x, marked.y, strict=True)) == [(0, 0), (1, 1)]


def test_no_held_out_rows_are_measured_as_far_as_they_go() -> None:
    rows = held_out(0)
    compared = compare(rows, rows.predicted, set(), ["a", "b", "c"])
    assert compared.metrics == {}
    assert set(compared.cells["rows"]) == {0}
