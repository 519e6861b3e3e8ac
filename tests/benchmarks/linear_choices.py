"""What the linear student's settings are worth on the labels of a finished run:
`python -m tests.benchmarks.linear_choices [--folder .mira]`.

Mean Spearman over all slots on the validation rows, by group; one setting is changed at a time. The
last lines tell what stopping each slot by itself would give: at the passes that err least on a
tenth of the training rows kept aside and, with hindsight, at the best on the very rows shown.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mira_spark.corpus.draws import draw
from mira_spark.distillation import training
from mira_spark.distillation.linear import train_linear
from mira_spark.distillation.reliability import spearman
from mira_spark.settings.students import LinearSettings
from tests.benchmarks.students import groups, staged

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
ASIDE = 0.1


def by_slot(rows: pa.Table, settings: LinearSettings) -> tuple[BY_SLOT, BY_SLOT]:
    """Spearman with the judge and mean squared error on the validation rows, slot by slot."""
    slots = len(rows["scores"][0])
    with tempfile.TemporaryDirectory() as temporary:
        shards = staged(rows, Path(temporary) / "shards")
        student = train_linear(shards, slots, settings)
        if settings.dtype == "F16":  # as it comes back from an artefact
            halves = {n: a.astype(np.float16) for n, a in student.tensors().items()}
            student = replace(student, **{n: a.astype(np.float32) for n, a in halves.items()})
        found = training.predict(student, shards, "validation")
    ranks, errors = [], []
    for predicted, judged in zip(found.predicted.T, found.judged.T, strict=True):
        known = ~np.isnan(judged)
        rank = spearman(predicted[known], judged[known])
        ranks.append(np.nan if rank is None else rank)
        errors.append(np.mean((predicted[known] - judged[known]) ** 2) if known.any() else np.nan)
    return np.array(ranks), np.array(errors)


def aside(rows: pa.Table) -> pa.Table:
    """The training rows alone, a tenth of them for validation."""
    kept = rows.filter(pc.equal(rows["split"], "train"))
    shares = [draw(doc_id, "aside") for doc_id in kept["doc_id"].to_pylist()]
    splits = ["validation" if share < ASIDE else "train" for share in shares]
    return kept.set_column(kept.schema.get_field_index("split"), "split", pa.array(splits))


def line(name: str, of_groups: list[BY_SLOT], started: float) -> None:
    """Write the means of a variant."""
    means = "".join(f"{np.nanmean(ranks):9.4f}" for ranks in of_groups)
    sys.stdout.write(f"{name:26}{means}{time.perf_counter() - started:9.0f}\n")
    sys.stdout.flush()


def main() -> None:
    """A line for each variant, a column for each group."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path(".mira"))
    tables = list(groups(parser.parse_args().folder).items())
    sys.stdout.write(f"{'':26}" + "".join(f"{group:>9}" for group, _ in tables) + "  seconds\n")
    ranks: dict[str, list[BY_SLOT]] = {}
    for name, changes in VARIANTS.items():
        settings, started = LinearSettings.model_validate(changes), time.perf_counter()
        ranks[name] = [by_slot(rows, settings)[0] for _, rows in tables]
        line(name, ranks[name], started)
    started = time.perf_counter()
    stopped, hindsight = [], []
    for group, (_, rows) in enumerate(tables):
        tried = [
            by_slot(aside(rows), LinearSettings.model_validate(VARIANTS[name]))[1]
            for name in PASSES
        ]
        least = np.nan_to_num(np.stack(tried), nan=np.inf).argmin(axis=0)
        of_passes = np.stack([ranks[name][group] for name in PASSES])
        stopped.append(np.take_along_axis(of_passes, least[None], axis=0)[0])
        hindsight.append(np.fmax.reduce(of_passes))
    line("each slot by rows aside", stopped, started)
    line("each slot with hindsight", hindsight, started)


if __name__ == "__main__":
    main()
