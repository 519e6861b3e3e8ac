"""The paper's rule: the trimmed mean of the scores that may be believed, in whole thousandths of a
point (MIRA, arXiv 2605.30288, section 3)."""

import numpy as np
import numpy.typing as npt

NO_QUALITY = -1
"""No slot counts: the caller writes null."""
FEWEST_TRIMMED = 5


def paper_quality(
    dimension_scores: npt.NDArray[np.int16], counts: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int16]:
    """The trimmed mean of each row's scores that count, half rounded up, int16 [rows]; -1 = none.

    `dimension_scores` [rows, slots], 0 to 10,000; `counts` [rows, slots] or [slots]. With five
    scores or more, one lowest and one highest are dropped. Integers only: the same on every
    machine.
    """
    counts = np.broadcast_to(counts, dimension_scores.shape)
    scores = dimension_scores.astype(np.int64)
    count = counts.sum(axis=1)
    total = np.where(counts, scores, 0).sum(axis=1)
    lowest = np.where(counts, scores, np.iinfo(np.int16).max).min(axis=1)
    highest = np.where(counts, scores, -1).max(axis=1)
    is_trimmed = count >= FEWEST_TRIMMED
    total = np.where(is_trimmed, total - lowest - highest, total)
    n = np.where(is_trimmed, count - 2, count)
    mean = (2 * total + n) // np.maximum(2 * n, 1)
    return np.where(n > 0, mean, NO_QUALITY).astype(np.int16)
