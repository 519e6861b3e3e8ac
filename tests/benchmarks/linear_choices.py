"""What the linear student's settings are worth on the labels of a finished run:
`python -m tests.benchmarks.linear_choices [--folder .mira]`.

Mean Spearman over all slots on the validation rows, by group; one setting is changed at a time. The
last line is what stopping each slot at its best number of passes would give, with hindsight.
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
import pyarrow.parquet as pq
from scipy.stats import spearmanr

from mira_spark import distillation, labelling
from mira_spark.distillation import LinearSettings
from mira_spark.linear_training import train_linear
from mira_spark.shards import COLUMNS
from tests.benchmarks.students import groups

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
    "24 passes": {"passes": 24},
}


def by_slot(shards: Path, slots: int, settings: LinearSettings) -> npt.NDArray[np.float64]:
    """Spearman with the judge, slot by slot."""
    student = train_linear(shards, slots, settings)
    if settings.dtype == "F16":  # as it comes back from an artefact
        stored = {n: a.astype(np.float16).astype(np.float32) for n, a in student.tensors().items()}
        student = replace(student, **stored)
    found = distillation.predict(student, shards, "validation")
    values = []
    for slot in range(slots):
        known = ~np.isnan(found.judged[:, slot])
        predicted = found.predicted[known, slot]
        values.append(spearmanr(predicted, found.judged[known, slot]).statistic)
    return np.array(values)


def staged(rows: pa.Table, folder: Path) -> Path:
    """The labels as the step stages them."""
    order = np.argsort([labelling.share_of(d, "order") for d in rows["doc_id"].to_pylist()])
    pq.write_table(rows.select(list(COLUMNS)).take(order), folder / "labels.parquet")
    return folder


def main() -> None:
    """A line for each variant, a column for each group."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path(".mira"))
    of_groups = groups(parser.parse_args().folder)
    sys.stdout.write(f"{'':26}" + "".join(f"{group:>9}" for group in of_groups) + "  seconds\n")
    best: dict[str, npt.NDArray[np.float64]] = {}
    for name, changes in VARIANTS.items():
        settings, started, line = LinearSettings.model_validate(changes), time.perf_counter(), ""
        for group, rows in of_groups.items():
            with tempfile.TemporaryDirectory() as temporary:
                shards = staged(rows, Path(temporary))
                found = by_slot(shards, len(rows["scores"][0]), settings)
            line += f"{np.nanmean(found):9.3f}"
            if "passes" in name or not changes:
                best[group] = np.fmax(best.get(group, found), found)
        sys.stdout.write(f"{name:26}{line}{time.perf_counter() - started:9.0f}\n")
        sys.stdout.flush()
    hindsight = "".join(f"{np.nanmean(values):9.3f}" for values in best.values())
    sys.stdout.write(f"{'best passes of each slot':26}{hindsight}\n")


if __name__ == "__main__":
    main()
