"""The judge's scale of 0 to 10 points, and how it is stored: in whole thousandths of a point."""

POINTS = 10
"""The highest score."""
POINT = 1_000
"""One point, stored."""
FULL_SCALE = POINTS * POINT
"""The highest score, stored."""
