"""What the heuristic judge measures, as one number: a stand-in, which reads nothing."""

import math
from statistics import fmean

from mira_spark.judges.heuristic.judge import PROPERTY_NAMES, label


def mean_points(text: str) -> float:
    """The mean, 0 to 10, over all properties that apply to the text; NaN where none does."""
    points = [point.score for point in label(text, PROPERTY_NAMES) if point is not None]
    return fmean(points) if points else math.nan
