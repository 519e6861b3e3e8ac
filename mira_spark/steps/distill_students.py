"""Train one student for each group on its labels. Reads `labels`, `documents`; writes a model per
group in MLflow, `students`, `student_reliability`."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame, Row, functions as F

from mira_spark.distillation import (
    registry,
    reliability,
    shards as training,
    training as distillation,
)
from mira_spark.distillation.registry import Registration
from mira_spark.distillation.trained import Trained, assess
from mira_spark.errors import InputError
from mira_spark.labels import forms
from mira_spark.labels.labelling import labelling_ids
from mira_spark.lake import own_folders, runs
from mira_spark.lake.runs import Outcome, package_version
from mira_spark.lake.scale import POINT
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import reach
from mira_spark.process.progress import say, track
from mira_spark.rubrics.current import signed_rubrics
from mira_spark.rubrics.rubric import Rubric
from mira_spark.scoring import batches
from mira_spark.scoring.scorers import champion_scorers
from mira_spark.settings.root import Settings
from mira_spark.students import artefact, calibration
from mira_spark.students.artefact import Manifest

SETTINGS = ("distillation", "reliability")
WRITES = ("students", "student_reliability")
MAY_SCORE = ("passed", "forced")
"""What a student's gate must say."""


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """Per group its rubric and number of labels; growth up to `retrain_after` is no change, any
    label of a document that was withdrawn, or came back, is."""
    ids = _labelling_ids(settings, _signed_rubrics(lake, settings))
    counts = _counts(lake, ids)
    if sum(counts.values()) == 0:
        raise InputError(f"{lake.name('labels')} has no labels yet: run label_documents first")
    latest = _latest(lake, ids)
    grown = 1 + settings.distillation.retrain_after
    withdrawn = {group: n - counts[group] for group, n in _by_group(_given(lake, ids)).items()}
    found = {}
    for group, labelling_id in ids.items():
        student = latest.get(group)
        now, then = counts[group], 0
        if student is not None:
            then = student["train_rows"] + student["validation_rows"]
        same = then <= now <= then * grown
        what = f"{then if same else now} of labelling {labelling_id}"
        gone = withdrawn.get(group, 0)
        found[f"labels of {group}"] = what + (f", {gone} withdrawn" if gone else "")
    return found


def missing(lake: Lakehouse, settings: Settings) -> list[str]:
    """A reason for each group whose student may score, and that has no champion in MLflow: its
    registered model was deleted, or the server is another."""
    return [
        f"MLflow has no champion for {group}"
        for group in sorted(_groups_without_champion(lake, settings))
    ]


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """A student for every group whose labels or rubric changed; for all when the settings did, or
    when nothing did: then the step was forced."""
    rubrics = _signed_rubrics(lake, settings)
    ids = _labelling_ids(settings, rubrics)
    unchanged = _unchanged_groups(lake, settings, ids)
    rubrics = {group: rubric for group, rubric in rubrics.items() if group not in unchanged}
    versions = {table: lake.version(table) for table in ("labels", "documents")}
    failed = []
    rows = made = 0
    for rubric in track(list(rubrics.values()), len(rubrics), "students"):
        group = rubric.source_group
        shards = own_folders.own_folder(settings.folder, "staging", group)
        labels = _labels(lake, {group: ids[group]})
        own_folders.remove(shards)
        _stage(lake, labels, shards)
        try:
            trained = _train(lake, settings, rubric, ids[group], shards, versions["labels"])
        except InputError as error:  # this group has nothing to learn from; others may
            failed.append(f"{group}: {error}")
            continue
        finally:
            own_folders.remove(shards)
        for check in trained.gate.met:
            say(f"  {group}: met: {check}")
        for check in trained.gate.reasons:
            say(f"  {group}: ", ("not met", "red"), f": {check}")
        _publish(lake, settings, trained, versions, run_id)
        if trained.gate.passed:
            own_folders.remove(_checkpoints(settings, group))
        made, rows = made + 1, rows + trained.labels
        if not trained.gate.passed:
            failed.append(f"{group}: {'; '.join(trained.gate.reasons)}")
    message = f"{made} students from {rows:,} labels"
    if unchanged:
        message += f"; {', '.join(sorted(unchanged))} unchanged"
    if failed:
        message += f"; champion unchanged: {' | '.join(failed)}"
    return Outcome(message, "degraded" if failed else "done", rows_in=rows, rows_out=made)


def _given(lake: Lakehouse, ids: Mapping[str, str]) -> DataFrame:
    """The labels of these labellings that were not set aside."""
    of_labelling = F.col("labelling_id").isin(list(ids.values()))
    return lake.read("labels").filter(of_labelling & F.col("set_aside").isNull())


def _labels(lake: Lakehouse, ids: Mapping[str, str]) -> DataFrame:
    """The labels a student may learn from: none of a document that was withdrawn."""
    documents = lake.read("documents").select("doc_id")
    return _given(lake, ids).join(documents, on="doc_id", how="left_semi")


def _counts(lake: Lakehouse, ids: Mapping[str, str]) -> dict[str, int]:
    return dict.fromkeys(ids, 0) | _by_group(_labels(lake, ids))


def _by_group(labels: DataFrame) -> dict[str, int]:
    rows = labels.groupBy("source_group").count().collect()
    return {r["source_group"]: r["count"] for r in rows}


def _unchanged_groups(lake: Lakehouse, settings: Settings, ids: dict[str, str]) -> set[str]:
    """The groups of which nothing changed since the step last ended, and whose student passed."""
    last = runs.last_finished(lake, settings.selection.name).get("distill_students")
    if last is None or last["settings_digest"] != settings.digest(SETTINGS):
        return set()
    now, gone = inputs(lake, settings), _groups_without_champion(lake, settings)
    if last["inputs"] == now and not gone:
        return set()
    return {
        group
        for group, student in _latest(lake, ids).items()
        if student["gate"] in MAY_SCORE
        and group not in gone
        and last["inputs"].get(f"labels of {group}") == now[f"labels of {group}"]
    }


def _groups_without_champion(lake: Lakehouse, settings: Settings) -> set[str]:
    """The groups whose latest student may score, and that have no champion."""
    ids = _labelling_ids(settings, _signed_rubrics(lake, settings))
    latest = _latest(lake, ids)
    groups = {group for group, student in latest.items() if student["gate"] in MAY_SCORE}
    return groups - set(champion_scorers(lake, settings.student_registry, groups))


def _latest(lake: Lakehouse, ids: dict[str, str]) -> dict[str, Row]:
    """Group to the row of its latest student of the current labelling."""
    of_labelling = F.col("labelling_id").isin(list(ids.values()))
    rows = lake.read("students").filter(of_labelling).orderBy("created_at").collect()
    return {row["source_group"]: row for row in rows}


def _stage(lake: Lakehouse, labels: DataFrame, shards: Path) -> None:
    """Labels with their texts as Parquet for the driver to stream, in an order unlike any other.

    Equal texts are all on the side of the first of them by doc_id: a student is never measured on
    what it has read.
    """
    texts = lake.read("documents").select("doc_id", "content_hash", "text")
    sides = labels.groupBy("content_hash").agg(F.min_by("split", "doc_id").alias("split"))
    rows = labels.drop("split").join(sides, on="content_hash", how="inner")
    rows = rows.join(texts, on=["doc_id", "content_hash"], how="inner")
    ordered = rows.orderBy(F.xxhash64("doc_id"), "doc_id").select(*training.COLUMNS)
    own_folders.write_shards(ordered, shards)


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
    checkpoints = _checkpoints(settings, rubric.source_group)
    student = distillation.train(shards, rubric, settings.distillation, checkpoints)
    dimensions = tuple(anchor.name for anchor in rubric.anchors)
    found = assess(student, shards, dimensions, settings.reliability)
    manifest = Manifest(
        rubric_id=rubric.rubric_id,
        source_group=rubric.source_group,
        anchors=dimensions,
        calibration=found.curves,
        reliability={source: tuple(mask.tolist()) for source, mask in found.masks.items()},
        group_reliability=tuple(found.group_mask.tolist()),
        labels_version=labels_version,
        package_version=package_version(),
    )
    spearman = _champion_spearman(lake, settings, rubric, shards)
    return Trained(
        student=student,
        manifest=manifest,
        labelling_id=labelling_id,
        train_rows=sum(b.num_rows for b in training.rows(shards, "train", 4_096)),
        validation_rows=found.validation_rows,
        cells=found.cells,
        gate=reliability.gate(found.cells, spearman, settings.reliability),
        comparison=found.comparison,
    )


def _checkpoints(settings: Settings, group: str) -> Path:
    """Where an interrupted training leaves what it goes on from."""
    return own_folders.own_folder(settings.folder, "checkpoints", group)


def _champion_spearman(
    lake: Lakehouse, settings: Settings, rubric: Rubric, shards: Path
) -> float | None:
    """The champion's mean Spearman on the same held-out rows; None without one on this rubric."""
    scorer = champion_scorers(lake, settings.student_registry, [rubric.source_group]).get(
        rubric.source_group
    )
    if scorer is None:
        return None
    champion, manifest = batches.load_student(scorer)
    if manifest.rubric_id != rubric.rubric_id:
        return None
    held_out = distillation.predict(champion, shards, "validation")
    calibrated = calibration.apply(manifest.calibration, held_out.predicted) / POINT
    nothing = np.full_like(held_out.judged, np.nan)
    cells = reliability.cells(
        calibrated, held_out.judged, held_out.sources, nothing, settings.reliability
    )
    return reliability.mean_spearman(cells)


def _publish(
    lake: Lakehouse,
    settings: Settings,
    trained: Trained,
    versions: dict[str, int],
    run_id: str,
) -> None:
    """Lay the artefact where executors read it, register it, record it, and promote it if it
    passed."""
    students = registry.students_folder(settings.student_registry)
    students.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=students) as temporary:
        digest = artefact.write(Path(temporary) / "student", trained.student, trained.manifest)
        folder = students / digest
        if not folder.exists():
            (Path(temporary) / "student").rename(folder)
    student_id = registry.register(
        settings.student_registry,
        trained.manifest.source_group,
        folder,
        digest,
        Registration(
            parameters=trained.parameters(settings.distillation),
            metrics=trained.metrics(),
            inputs={lake.name(table): version for table, version in versions.items()},
            tables={"evaluation": trained.comparison.cells},
            figures=trained.comparison.figures,
            package_version=package_version(),
        ),
    )
    reach("student.registered")
    # Replaced, not appended: a registry that was emptied gives the same student the same id again.
    now = lake.clock("students", "created_at")()
    cells = trained.reliability_rows(student_id)
    row = trained.row(student_id, folder, digest, now)
    lake.replace_rows(cells, "student_reliability", "student_id", student_id, run_id)
    lake.replace_rows([row], "students", "student_id", student_id, run_id)
    reach("student.recorded")
    if trained.gate.passed:
        registry.promote(settings.student_registry, student_id)


def _signed_rubrics(lake: Lakehouse, settings: Settings) -> dict[str, Rubric]:
    sections = (settings.grouping, settings.discovery, settings.judge)
    return signed_rubrics(lake, forms.discoveries(lake, *sections))


def _labelling_ids(settings: Settings, rubrics: Mapping[str, Rubric]) -> dict[str, str]:
    generation = settings.labelling.generation
    asking_id = forms.asking_id(settings.judge, "labelling", generation)
    return labelling_ids(rubrics, asking_id)
