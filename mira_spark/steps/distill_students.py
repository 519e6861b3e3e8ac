"""Train one student for each group on its labels. Reads `labels`, `documents`; writes a model per
group in MLflow, `students`, `student_reliability`."""

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from mira_spark import (
    calibration,
    current,
    distillation,
    labelling,
    registry,
    reliability,
    scoring,
    tables,
)
from mira_spark.columns import POINT
from mira_spark.distillation import Evaluation
from mira_spark.errors import InputError
from mira_spark.progress import track
from mira_spark.reliability import Cell, Gate
from mira_spark.rubrics import Rubric
from mira_spark.runs import Outcome, package_version
from mira_spark.settings import Settings
from mira_spark.students import artefact
from mira_spark.students.artefact import Manifest
from mira_spark.students.linear import LinearStudent
from mira_spark.tables import Lakehouse

SETTINGS = ("distillation", "reliability")


@dataclass(frozen=True)
class Trained:
    """A student with what was measured of it on the half of the validation rows kept for that."""

    student: LinearStudent
    manifest: Manifest
    labelling_id: str
    labels: int
    validation_rows: int
    cells: list[Cell]
    gate: Gate


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """Per group its rubric and number of labels; growth up to `retrain_after` is no change."""
    ids = current.labelling_ids(settings, current.signed_rubrics(lake, settings))
    counts = _counts(lake, ids)
    if sum(counts.values()) == 0:
        raise InputError(f"{lake.name('labels')} has no labels yet: run label_documents first")
    trained = _trained_on(lake, ids)
    grown = 1 + settings.distillation.retrain_after
    found = {}
    for group, labelling_id in ids.items():
        now, then = counts[group], trained.get(group, 0)
        same = then <= now <= then * grown
        found[f"labels of {group}"] = f"{then if same else now} of labelling {labelling_id}"
    return found


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """A student for every group whose labels or rubric changed, or all when the settings did."""
    rubrics = current.signed_rubrics(lake, settings)
    ids = current.labelling_ids(settings, rubrics)
    version = lake.version("labels")
    failed = []
    rows = 0
    for rubric in track(list(rubrics.values()), len(rubrics), "students"):
        shards = settings.folder.absolute() / "staging" / rubric.source_group
        labelling_id = ids[rubric.source_group]
        _stage(lake, _labels(lake, [labelling_id]), shards)
        trained = _train(lake, settings, rubric, labelling_id, shards, version)
        _publish(lake, settings, trained, run_id)
        shutil.rmtree(shards, ignore_errors=True)
        rows += trained.labels
        if not trained.gate.passed:
            failed.append(f"{rubric.source_group}: {'; '.join(trained.gate.reasons)}")
    message = f"{len(rubrics)} students from {rows:,} labels"
    if failed:
        message += f"; gate failed, champion unchanged: {' | '.join(failed)}"
    return Outcome(message, "degraded" if failed else "done", rows_in=rows, rows_out=len(rubrics))


def _labels(lake: Lakehouse, labelling_ids: Iterable[str]) -> DataFrame:
    """The labels a student may learn from."""
    of_labelling = F.col("labelling_id").isin(list(labelling_ids))
    return lake.read("labels").filter(of_labelling & F.col("set_aside").isNull())


def _counts(lake: Lakehouse, ids: dict[str, str]) -> dict[str, int]:
    rows = _labels(lake, ids.values()).groupBy("source_group").count().collect()
    return dict.fromkeys(ids, 0) | {r["source_group"]: r["count"] for r in rows}


def _trained_on(lake: Lakehouse, ids: dict[str, str]) -> dict[str, int]:
    """Group to the labels its latest student of the current labelling was made from."""
    of_labelling = F.col("labelling_id").isin(list(ids.values()))
    rows = lake.read("students").filter(of_labelling).orderBy("created_at").collect()
    return {r["source_group"]: r["train_rows"] + r["validation_rows"] for r in rows}


def _stage(lake: Lakehouse, labels: DataFrame, shards: Path) -> None:
    """Labels with their texts as Parquet, in the order of doc_id, for the driver to stream."""
    texts = lake.read("documents").select("doc_id", "content_hash", "text")
    rows = labels.join(texts, on=["doc_id", "content_hash"], how="inner")
    columns = ["doc_id", "source", "text", "scores", "repeat_scores", "split"]
    tables.write_shards(rows.select(*columns).orderBy("doc_id"), shards)


def _train(
    lake: Lakehouse,
    settings: Settings,
    rubric: Rubric,
    labelling_id: str,
    shards: Path,
    labels_version: int,
) -> Trained:
    """Train on one split; on the other fit the calibration with one half and measure with the
    other."""
    labels = _labels(lake, [labelling_id])
    student = distillation.train_linear(shards, len(rubric.anchors), settings.distillation)
    held_out = distillation.predict(student, shards, "validation")
    fitted = np.array([labelling.share_of(d, "calibration") < 0.5 for d in held_out.doc_ids], bool)
    curves = calibration.fit(held_out.predicted[fitted], held_out.judged[fitted])
    cells = reliability.cells(
        calibration.apply(curves, held_out.predicted[~fitted]) / POINT,
        held_out.judged[~fitted],
        [s for s, first in zip(held_out.sources, fitted, strict=True) if not first],
        _repeats(labels, rubric, held_out)[~fitted],
        settings.reliability,
    )
    masks, group_mask = reliability.masks(
        cells, sorted(set(held_out.sources)), settings.reliability
    )
    manifest = Manifest(
        rubric_id=rubric.rubric_id,
        source_group=rubric.source_group,
        anchors=tuple(a.name for a in rubric.anchors),
        calibration=curves,
        reliability={source: tuple(mask.tolist()) for source, mask in masks.items()},
        group_reliability=tuple(group_mask.tolist()),
        labels_version=labels_version,
        package_version=package_version(),
    )
    champion = _champion_spearman(lake, settings, rubric, shards)
    gate = reliability.gate(cells, champion, settings.reliability)
    validation_rows = len(held_out.doc_ids)
    return Trained(student, manifest, labelling_id, labels.count(), validation_rows, cells, gate)


def _repeats(labels: DataFrame, rubric: Rubric, held_out: Evaluation) -> npt.NDArray[np.float32]:
    """What the judge said when asked again, [rows, slots] in the order of `held_out`; NaN where it
    was not."""
    asked = labels.filter(F.col("repeat_scores").isNotNull() & (F.col("split") == "validation"))
    found = {
        r["doc_id"]: r["repeat_scores"] for r in asked.select("doc_id", "repeat_scores").collect()
    }
    none = [None] * len(rubric.anchors)
    rows = [found.get(doc_id, none) for doc_id in held_out.doc_ids]
    return np.array(rows, dtype=np.float32).reshape(-1, len(rubric.anchors))


def _champion_spearman(
    lake: Lakehouse, settings: Settings, rubric: Rubric, shards: Path
) -> float | None:
    """The champion's mean Spearman on the same held-out rows; None without one on this rubric."""
    scorer = current.scorers(lake, settings, [rubric.source_group]).get(rubric.source_group)
    if scorer is None:
        return None
    champion, manifest = scoring.loaded(scorer)
    if manifest.rubric_id != rubric.rubric_id:
        return None
    held_out = distillation.predict(champion, shards, "validation")
    calibrated = calibration.apply(manifest.calibration, held_out.predicted) / POINT
    nothing = np.full_like(held_out.judged, np.nan)
    cells = reliability.cells(
        calibrated, held_out.judged, held_out.sources, nothing, settings.reliability
    )
    return reliability.mean_spearman(cells)


def _publish(lake: Lakehouse, settings: Settings, trained: Trained, run_id: str) -> None:
    """Lay the artefact where executors read it, register it, record it, and promote it if it
    passed."""
    students = registry.students_folder(settings)
    students.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=students) as temporary:
        digest = artefact.write(Path(temporary) / "student", trained.student, trained.manifest)
        folder = students / digest
        if not folder.exists():
            (Path(temporary) / "student").rename(folder)
    student_id = registry.register(
        settings,
        trained.manifest.source_group,
        folder,
        {"kind": trained.student.kind, "rubric_id": trained.manifest.rubric_id}
        | settings.distillation.model_dump(),
        _metrics(trained),
    )
    _record(lake, trained, student_id, folder, digest, run_id)
    if trained.gate.passed:
        registry.promote(settings, student_id)


def _metrics(trained: Trained) -> dict[str, float]:
    found: dict[str, float] = {"labels": trained.labels}
    found["validation_rows"] = trained.validation_rows
    found["reliable_cells_share"] = float(np.mean([c.reliable for c in trained.cells]))
    spearman = reliability.mean_spearman(trained.cells)
    if spearman is not None:
        found["spearman_reliable"] = spearman
    for cell in trained.cells:
        if cell.source is None and cell.mae is not None and cell.spearman is not None:
            found |= {f"mae_{cell.slot:02d}": cell.mae, f"spearman_{cell.slot:02d}": cell.spearman}
    return found


def _record(
    lake: Lakehouse, trained: Trained, student_id: str, folder: Path, digest: str, run_id: str
) -> None:
    manifest = trained.manifest
    cells = [
        {
            "student_id": student_id,
            "source": cell.source,
            "slot": cell.slot,
            "validation_rows": cell.rows,
            "mae": cell.mae,
            "spearman": cell.spearman,
            "judge_mae": cell.judge_mae,
            "reliable": cell.reliable,
        }
        for cell in trained.cells
    ]
    lake.append_rows(cells, "student_reliability", run_id)
    student = {
        "student_id": student_id,
        "source_group": manifest.source_group,
        "rubric_id": manifest.rubric_id,
        "labelling_id": trained.labelling_id,
        "kind": trained.student.kind,
        "dimensions": list(manifest.anchors),
        "artefact_uri": str(folder),
        "artefact_sha256": digest,
        "weights_sha256": artefact.read_manifest(folder).files[artefact.MODEL],
        "labels_version": manifest.labels_version,
        "train_rows": trained.labels - trained.validation_rows,
        "validation_rows": trained.validation_rows,
        "spearman": reliability.mean_spearman(trained.cells),
        "gate": "passed" if trained.gate.passed else "failed",
        "gate_reasons": trained.gate.reasons,
        "created_at": datetime.now(UTC),
    }
    lake.append_rows([student], "students", run_id)
