"""What the linear student's settings are worth on the labels of a finished run:
`python -m tests.benchmarks.linear_choices [--folder .mira]`.

Mean Spearman over all slots on the rows of the first fold, by group; one setting is changed at a
time. The last lines tell what stopping each slot by itself would give: at the passes that err least
on the second fold, after learning from the others, and, with hindsight, at the best on the very
rows shown.
"""

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mira_spark.distillation import training
from mira_spark.distillation.linear import train_parts
from mira_spark.distillation.rank_correlation import rank_correlation
from mira_spark.distillation.shards import Labelled
from mira_spark.settings.students import LinearSettings
from mira_spark.students.linear import LinearStudent
from tests.benchmarks import demo_labels

BY_SLOT = npt.NDArray[np.float64]

VARIANTS: dict[str, dict[str, object]] = {
    "as it is": {},
    "2^16 rows": {"bits": 16},
    "2^20 rows": {"bits": 20},
    "byte 4-grams": {"byte_grams": True},
    "byte 4-grams, 2^20 rows": {"byte_grams": True, "bits": 20},
    "float16": {"dtype": "F16"},
    "ridge 0.15": {"ridge": 0.15},
    "ridge 1.5": {"ridge": 1.5},
    "4 passes": {"passes": 4},
    "8 passes": {"passes": 8},
    "12 passes": {"passes": 12},
    "48 passes": {"passes": 48},
}
PASSES = ("4 passes", "8 passes", "12 passes", "as it is", "48 passes")


def by_slot(
    learnt: Labelled, shown: Labelled, slots: int, settings: LinearSettings
) -> tuple[BY_SLOT, BY_SLOT]:
    """Spearman with the judge and mean squared error on the rows shown, slot by slot."""
    student, _ = train_parts(learnt, slots, settings, [])
    if settings.dtype == "F16":
        student = halved(student)
    rows = training.predict(student, shown)
    rows = rows.only(~rows.spoilt)
    ranks, errors = [], []
    for predicted, judged in zip(rows.predicted.T, rows.judged.T, strict=True):
        known = ~np.isnan(judged)
        rank = rank_correlation(predicted[known], judged[known])
        ranks.append(np.nan if rank is None else rank)
        errors.append(np.mean((predicted[known] - judged[known]) ** 2) if known.any() else np.nan)
    return np.array(ranks), np.array(errors)


def halved(student: LinearStudent) -> LinearStudent:
    """As it comes back from an artefact in float16."""
    weights: dict[str, Any] = {
        name: array.astype(np.float16).astype(np.float32)
        for name, array in student.tensors().items()
    }
    return LinearStudent(
        slots=student.slots, dtype=student.dtype, byte_grams=student.byte_grams, **weights
    )


def line(name: str, of_groups: list[BY_SLOT], started: float) -> None:
    """Write the means of a variant."""
    means = "".join(f"{np.nanmean(ranks):9.4f}" for ranks in of_groups)
    sys.stdout.write(f"{name:26}{means}{time.perf_counter() - started:9.0f}\n")
    sys.stdout.flush()


def compare(of_groups: list[tuple[Labelled, int]]) -> None:
    """A line for each variant; labels and slots of each group."""
    ranks: dict[str, list[BY_SLOT]] = {}
    for name, changes in VARIANTS.items():
        settings, started = LinearSettings.model_validate(changes), time.perf_counter()
        ranks[name] = [
            by_slot(labels.without(0), labels.of_folds(0), slots, settings)[0]
            for labels, slots in of_groups
        ]
        line(name, ranks[name], started)
    started = time.perf_counter()
    stopped, hindsight = [], []
    for group, (labels, slots) in enumerate(of_groups):
        others = labels.without(0).without(1)
        tried = [
            by_slot(
                others, labels.of_folds(1), slots, LinearSettings.model_validate(VARIANTS[name])
            )[1]
            for name in PASSES
        ]
        least = np.nan_to_num(np.stack(tried), nan=np.inf).argmin(axis=0)
        of_passes = np.stack([ranks[name][group] for name in PASSES])
        stopped.append(np.take_along_axis(of_passes, least[None], axis=0)[0])
        hindsight.append(np.fmax.reduce(of_passes))
    line("each slot by rows aside", stopped, started)
    line("each slot with hindsight", hindsight, started)


def main() -> None:
    """A line for each variant, a column for each group."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path(".mira"))
    parser.add_argument("--group", help="this one alone")
    chosen = parser.parse_args()
    groups = demo_labels.groups(chosen.folder, demo_labels.documents(chosen.folder))
    groups = [group for group in groups if chosen.group in (None, group.name)]
    sys.stdout.write(f"{'':26}" + "".join(f"{group.name:>9}" for group in groups) + "  seconds\n")
    with ExitStack() as folders:
        compare(
            [
                (folders.enter_context(demo_labels.staged(group.labels)), len(group.dimensions))
                for group in groups
            ]
        )


if __name__ == "__main__":
    main()
