"""The judge's scale of 0 to 10 points and the weights of dimensions; both are stored in whole
thousandths."""

POINTS = 10
"""The highest score."""
POINT = 1_000
"""One point, stored."""
FULL_SCALE = POINTS * POINT
"""The highest score, stored."""
WEIGHT = 1_000
"""The weight 1, stored."""
MAX_WEIGHT = 1_000
"""The highest weight of a dimension."""
