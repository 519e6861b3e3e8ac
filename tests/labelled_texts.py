"""Documents whose labels a linear student can learn: what each slot says stands in the text."""

import numpy as np

from mira_spark.judges.protocol import Anchor
from mira_spark.rubrics.rubric import Rubric
from mira_spark.settings.students import DistillationSettings, LinearSettings
from tests.staging import Row

SLOTS = 3
RUBRIC = Rubric("r", "group_a", tuple(Anchor(slot, f"slot {slot}", "") for slot in range(SLOTS)))
LINEAR = DistillationSettings(linear=LinearSettings(bits=12))
WORDS = np.array(
    ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
)


def documents(count: int, folds: int = 5) -> list[Row]:
    """Slot 0 counts a word, slot 1 follows the length, slot 2 is the source's own."""
    random = np.random.default_rng(0)
    rows: list[Row] = []
    for i in range(count):
        size, source = int(random.integers(5, 60)), i % 3 % 2
        text = " ".join(random.choice(WORDS, size))
        counted = min(10, round(60 * text.count("alpha") / size))
        scores: list[int | None] = [counted, size // 6, 3 + 4 * source]
        rows.append((f"d{i}", f"s{source}", text, scores, i % folds))
    return rows
