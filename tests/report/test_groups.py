"""A student's figures as the report shows them: in words, beside its references."""

from typing import Any

from mira_spark.report.groups import figures


def a_figure(predictor: str, figure: str, value: float | None) -> dict[str, Any]:
    return {"student_id": "s", "predictor": predictor, "figure": figure, "value": value,
            "low": None, "high": None}  # fmt: skip


def test_figures_stand_in_rows_by_figure_and_columns_by_predictor() -> None:
    length = a_figure("length", "gain_40", 0.2)
    student = a_figure("student", "gain_40", 0.8)
    within = a_figure("student", "spearman_within_source", None)
    table = figures([length, within, student])["s"]
    assert table.predictors == ["student", "length"]
    assert table.rows == {
        "the same within source": [within, None],
        "gain at 40% of the tokens": [student, length],
    }
    assert list(table.rows) == ["the same within source", "gain at 40% of the tokens"]
