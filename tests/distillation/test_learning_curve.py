"""What twice the labels are expected to bring."""

import pytest

from mira_spark.distillation.learning_curve import next_doubling


@pytest.mark.parametrize(
    ("gains", "more"),
    [
        ((0.2, 0.4, 0.5), 0.05),
        ((0.2, 0.3, 0.4), 0.1),
        ((0.2, 0.3, 0.5), 0.2),
        ((0.2, 0.2, 0.3), 0.1),
        ((0.3, 0.2, 0.3), 0.1),
        ((0.2, 0.4, 0.4), 0.0),
        ((0.2, 0.4, 0.3), 0.0),
    ],
)
def test_the_next_doubling_brings_less_in_the_ratio_of_the_last_two(
    gains: tuple[float, float, float], more: float
) -> None:
    assert next_doubling(dict(zip((0.25, 0.5, 1.0), gains, strict=True))) == pytest.approx(more)
