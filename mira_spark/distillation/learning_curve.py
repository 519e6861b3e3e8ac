"""What more labels would bring."""

from collections.abc import Mapping

from mira_spark.distillation.training import SHARES
from mira_spark.labels.agreement import Estimate


def next_doubling(gains: Mapping[float, float]) -> float:
    """How much the gain would rise with twice the labels.

    `gains` are those of students that learnt from 0.25, 0.5 and 1.0 of the labels. The next
    doubling is expected to bring less than the last in the ratio in which the last brought less
    than the one before; as much as the last where that brought no less, 0 where it brought nothing.
    """
    before, last = gains[0.5] - gains[0.25], gains[1.0] - gains[0.5]
    if last <= 0:
        return 0.0
    return last * min(1.0, last / before) if before > 0 else last


def expected_next_doubling(curve: Mapping[float, Estimate]) -> float | None:
    """`next_doubling` of the gains measured by share of the labels; None where one is missing."""
    gains = {share: gain.value for share, gain in curve.items() if gain.value is not None}
    return next_doubling(gains) if len(gains) == len(SHARES) + 1 else None
