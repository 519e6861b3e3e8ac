"""From the scores of a document's dimensions to its quality, in whole thousandths of a point."""

import numpy as np
import numpy.typing as npt

NO_QUALITY = -1  # no reliable slot: the caller writes null
FEWEST_TRIMMED = 5


def quality(
    dimension_scores: npt.NDArray[np.int16], mask: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int16]:
    """The trimmed mean of each row's reliable scores, half rounded up, int16 [rows]; -1 = none.

    `dimension_scores` [rows, slots], 0 to 10,000; `mask` [rows, slots] or [slots], true = reliable.
    With five reliable scores or more, one lowest and one highest are dropped. Integers only: the
    same on every machine.
    """
    mask = np.broadcast_to(mask, dimension_scores.shape)
    scores = dimension_scores.astype(np.int64)
    count = mask.sum(axis=1)
    total = np.where(mask, scores, 0).sum(axis=1)
    lowest = np.where(mask, scores, np.iinfo(np.int16).max).min(axis=1)
    highest = np.where(mask, scores, -1).max(axis=1)
    trimmed = count >= FEWEST_TRIMMED
    total = np.where(trimmed, total - lowest - highest, total)
    kept = np.where(trimmed, count - 2, count)
    mean = (2 * total + kept) // np.maximum(2 * kept, 1)
    return np.where(kept > 0, mean, NO_QUALITY).astype(np.int16)
