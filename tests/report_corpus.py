"""A corpus made up of groups, sources and a histogram of qualities."""

from dataclasses import dataclass
from itertools import cycle, islice, product

import numpy as np

from mira_spark.selection.frontier import BudgetAnswer, alternatives, answers
from mira_spark.selection.histogram import Bins
from mira_spark.settings.selection import SelectionSettings
from tests.counting import counted_bins

CHOSEN = SelectionSettings(budget="40%")
_KINDS = ("encyclopedia", "papers", "forum", "code", "news", "books", "reference", "lectures")
_PLACES = ("en", "de", "math", "physics", "python", "history", "law", "medicine", "web")
_DIMENSIONS = (
    "Clear structure", "Sound evidence", "Depth of explanation", "Worked examples", "Precise terms",
    "Complete reasoning", "Useful to a learner", "Correct language", "Little boilerplate",
    "Stated assumptions", "Original thought", "Right level of detail", "Named sources",
    "Coherent from begin to end", "Self-contained",
)  # fmt: skip


@dataclass(frozen=True)
class Corpus:
    """Groups of sources with a histogram each; everything of it is the same for the same sizes."""

    groups: dict[str, list[str]]
    dimensions: list[str]
    bins: Bins

    @property
    def sources(self) -> list[tuple[str, str]]:
        """(group, source), as the groups have them."""
        return [(group, source) for group, own in self.groups.items() for source in own]

    def answer(self, budget: str) -> BudgetAnswer:
        """What `mira what-if` says of a budget."""
        (found,) = answers(self.bins, alternatives(CHOSEN, budget, CHOSEN.policy), self.bins.tokens)
        return found


def corpus(
    groups: int = 3, sources: int = 13, dimensions: int = 15, qualities: int = 400
) -> Corpus:
    """So many groups and sources; `qualities` are the different ones of a source."""
    draw = np.random.default_rng(0)
    kinds = islice(product(range(1, 100), _KINDS, _PLACES), 7 * sources)
    names = [f"{kind}_{place}" + (f"_{n}" if n > 1 else "") for n, kind, place in kinds][::7]
    of_group = {f"group_{chr(97 + g)}": sorted(names[g::groups]) for g in range(groups)}
    rows = []
    for (group, own), middle in zip(of_group.items(), cycle((5_600, 6_800, 4_900)), strict=False):
        for source in own:
            scored = draw.normal(middle + draw.normal(0, 500), 900 + draw.integers(400), qualities)
            large = int(np.exp(draw.normal(4.0, 1.2))) + 1
            for quality in np.unique(np.clip(scored, 0, 10_000).astype(int)).tolist():
                documents = int(draw.integers(1, 2 * large))
                tokens = documents * int(draw.integers(200, 1_500))
                rows.append((student_id(group), group, source, quality, None, documents, tokens))
    return Corpus(of_group, list(_DIMENSIONS[:dimensions]), counted_bins(*rows))


def student_id(group: str) -> str:
    """Of the group's champion."""
    return f"mira_{group}/3"
