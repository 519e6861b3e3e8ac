"""Train one student for each group on its labels. Reads `labels`, `documents`; writes a model per
group in MLflow, `students`, `student_reliability`, `student_figures`, `student_predictions`,
`noise_checks`."""

from collections.abc import Mapping
from dataclasses import astuple
from functools import partial
from pathlib import Path

import numpy as np
from pyspark.sql import functions as F

from mira_spark.corpus.groups import source_groups
from mira_spark.distillation import borrowing, cells, planted_noise, registry, staging, training
from mira_spark.distillation.assessment import Assessment, assess, gain, measured_quality
from mira_spark.distillation.champion_lead import lead_over
from mira_spark.distillation.champions import latest_students
from mira_spark.distillation.comparison import compare
from mira_spark.distillation.gate import gate
from mira_spark.distillation.learning_curve import expected_next_doubling
from mira_spark.distillation.publishing import publish
from mira_spark.distillation.shards import Labelled
from mira_spark.distillation.trained import Trained
from mira_spark.errors import InputError
from mira_spark.labels import forms, usable_labels
from mira_spark.labels.labelling import labelling_ids
from mira_spark.lake import own_folders, runs
from mira_spark.lake.runs import Outcome, package_version
from mira_spark.lake.storage import Root
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import note, track
from mira_spark.rubrics.current import signed_rubrics
from mira_spark.rubrics.rubric import Rubric
from mira_spark.scoring import noise
from mira_spark.scoring.scorer import load_student
from mira_spark.scoring.scorers import champion_scorers, champions_without_artefact
from mira_spark.settings.root import Settings
from mira_spark.students.artefact import Manifest

SETTINGS = ("distillation", "quality", "gate")
WRITES = (
    "students", "student_reliability", "student_figures", "student_predictions", "noise_checks",
)  # fmt: skip
MAY_SCORE = ("passed", "forced", borrowing.BORROWED)
"""What a student's gate must say."""
MORE_LABELS = "labelling.documents_per_source and labelling.documents_per_domain give more"


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """Per group its rubric and number of labels; growth up to `retrain_after` is no change, any
    label of a document that was withdrawn, or came back, is."""
    ids = _labelling_ids(settings, _signed_rubrics(lake, settings))
    counts = usable_labels.counts(lake, ids)
    if sum(counts.values()) == 0:
        raise InputError(f"{lake.name('labels')} has no labels yet: run mira label-documents first")
    latest = latest_students(lake, ids)
    grown = 1 + settings.distillation.retrain_after
    withdrawn = usable_labels.withdrawn_counts(lake, ids, counts)
    found = {}
    for group, labelling_id in ids.items():
        student = latest.get(group)
        now = counts[group]
        then = 0 if student is None else student["labels"]
        same = then <= now <= then * grown
        what = f"{then if same else now} of labelling {labelling_id}"
        gone = withdrawn.get(group, 0)
        found[f"labels of {group}"] = what + (f", {gone} withdrawn" if gone else "")
    return found


def missing(lake: Lakehouse, settings: Settings) -> list[str]:
    """A reason for each group whose student may score and that has no champion, or whose champion
    has lost its artefact."""
    ids = _labelling_ids(settings, _signed_rubrics(lake, settings))
    without = [f"{each} has no champion" for each in _groups_without_champion(lake, settings, ids)]
    lost = champions_without_artefact(lake, settings.student_registry, ids)
    gone = [f"the artefact of {each.student_id} is gone" for each in lost.values()]
    return sorted(without) + gone


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """A student for every group whose labels or rubric changed; for all when the settings did, or
    when nothing did: then the step was forced. Groups with few labels come last: they may borrow
    the student of another. An artefact that is gone is fetched from MLflow, or its student is made
    anew."""
    rubrics = _signed_rubrics(lake, settings)
    ids = _labelling_ids(settings, rubrics)
    counts = usable_labels.counts(lake, ids)
    lost = champions_without_artefact(lake, settings.student_registry, ids)
    fetched = {
        group
        for group, scorer in lost.items()
        if registry.fetch_artefact(settings.student_registry, *astuple(scorer))
    }
    unchanged = _unchanged_groups(lake, settings, ids, lost.keys() - fetched, bool(fetched))
    groups = sorted(rubrics.keys() - unchanged, key=lambda group: (-counts[group], group))
    few = settings.distillation.few_labels
    failed: list[str] = []
    borrowed: list[str] = []
    rows = students = 0
    for group in track(groups, len(groups), "students"):
        try:
            trained = _student(lake, settings, rubrics[group], ids[group], run_id)
            students, rows, reasons = students + 1, rows + trained.labels, trained.gate.reasons
        except InputError as error:  # this group has nothing to learn from; others may
            reasons = [str(error)]
        if not reasons:
            own_folders.remove(_checkpoints(settings, group))
        elif lender := _borrow(lake, settings, group, ids[group], counts[group], reasons, run_id):
            borrowed.append(f"{group} has few labels ({counts[group]:,}) and borrows {lender}")
        else:
            more = "" if counts[group] >= few else f" ({counts[group]:,} labels: {MORE_LABELS})"
            failed.append(f"{group}: {'; '.join(reasons)}{more}")
    message = f"{students} students from {rows:,} labels"
    if fetched:
        message += f"; artefacts of {', '.join(sorted(fetched))} fetched from MLflow"
    if unchanged:
        message += f"; {', '.join(sorted(unchanged))} unchanged"
    for line in borrowed:
        message += f"; {line}: {MORE_LABELS}"
    if failed:
        message += f"; champion unchanged: {' | '.join(failed)}"
    return Outcome(message, "degraded" if failed else "done", rows_in=rows, rows_out=students)


def _borrow(
    lake: Lakehouse, settings: Settings, group: str, labelling_id: str, labels: int,
    reasons: list[str], run_id: str,
) -> str | None:  # fmt: skip
    """Make the champion of the group that is most like this one its champion, too: its student_id
    there; None where the group has labels enough, a champion of its own, or nobody to lend."""
    groups = set(source_groups(lake, settings.source_grouping).values())
    champions = champion_scorers(lake, settings.student_registry, groups)
    lent = lake.read("students").filter(F.col("gate") == borrowing.BORROWED).collect()
    borrowed = {row["student_id"] for row in lent}
    owned = {g: scorer for g, scorer in champions.items() if scorer.student_id not in borrowed}
    if labels >= settings.distillation.few_labels or group in owned or not owned:
        return None
    lender = owned[borrowing.nearest_group(lake, settings.source_grouping, group, owned)]
    student, manifest = load_student(lender)
    borrowing.borrow(
        lake,
        settings.student_registry,
        group,
        lender.student_id,
        student,
        manifest,
        borrowing.OwnLabels(labelling_id, labels),
        reasons,
        run_id,
    )
    return lender.student_id


def _student(
    lake: Lakehouse, settings: Settings, rubric: Rubric, labelling_id: str, run_id: str
) -> Trained:
    """A group's student: trained, measured, said, registered and recorded."""
    group = rubric.source_group
    versions = {table: lake.version(table) for table in ("labels", "documents")}
    shards = own_folders.own_folder(settings.driver_files, "staging", group)
    own_folders.remove(shards)
    try:
        cut = staging.stage(lake, usable_labels.usable(lake, {group: labelling_id}), shards)
        for source, domain in cut.items():
            note(f"  {group}: {domain} has over half of {source}'s labels: folds cut it by text")
        sources = {
            s for s, g in source_groups(lake, settings.source_grouping).items() if g == group
        }
        if unlabelled := ", ".join(sorted(sources - Labelled(shards).sources())):
            note(f"  {group}: no label of {unlabelled}: the cells of the whole group count there")
        trained = _trained(
            lake, settings, rubric, labelling_id, shards, versions["labels"], sources
        )
    finally:
        own_folders.remove(shards)
    if left_out := trained.assessment.without_prediction:
        note(f"  {group}: {left_out:,} labels got no number: nothing is measured on them")
    for check in trained.gate.met:
        note(f"  {group}: met: {check}")
    for check in trained.gate.reasons:
        note(f"  {group}: ", ("not met", "red"), f": {check}")
    read_from = {lake.name(table): version for table, version in versions.items()}
    publish(
        lake,
        settings.student_registry,
        trained.student,
        trained.manifest,
        trained.registration(settings.distillation, read_from),
        partial(trained.rows, run_id=run_id),
        trained.gate.passed,
        run_id,
    )
    return trained


def _unchanged_groups(
    lake: Lakehouse, settings: Settings, ids: dict[str, str], lost: set[str], is_mended: bool
) -> set[str]:
    """The groups of which nothing changed since the step last ended, and whose student passed and
    is not `lost`; none where nothing changed at all and nothing was mended: the step was forced."""
    last = runs.last_finished(lake, settings.selection.name).get("distill_students")
    if last is None or last["settings_digest"] != settings.digest(SETTINGS):
        return set()
    now, gone = inputs(lake, settings), _groups_without_champion(lake, settings, ids) | lost
    if last["inputs"] == now and not gone and not is_mended:
        return set()
    latest = latest_students(lake, ids)
    same = {
        group
        for group, student in latest.items()
        if student["gate"] in MAY_SCORE
        and group not in gone
        and last["inputs"].get(f"labels of {group}") == now[f"labels of {group}"]
    }
    if same == ids.keys():
        return same
    # What a group borrows may be among the students that are made anew.
    return {group for group in same if latest[group]["gate"] != borrowing.BORROWED}


def _groups_without_champion(lake: Lakehouse, settings: Settings, ids: dict[str, str]) -> set[str]:
    """The groups whose latest student may score, and that have no champion."""
    latest = latest_students(lake, ids)
    groups = {group for group, student in latest.items() if student["gate"] in MAY_SCORE}
    return groups - set(champion_scorers(lake, settings.student_registry, groups))


def _trained(
    lake: Lakehouse, settings: Settings, rubric: Rubric, labelling_id: str, shards: Path,
    labels_version: int, sources: set[str],
) -> Trained:  # fmt: skip
    """The student of the labels in `shards`, and what was measured of it on rows that it did not
    learn from."""
    group = rubric.source_group
    labelled = Labelled(shards)
    distilled = training.distill(
        labelled, rubric, settings.distillation, _checkpoints(settings, group)
    )
    assessment = assess(distilled.held_out, rubric.weights, settings.quality)
    manifest = _manifest(rubric, assessment, labels_version)
    measured = measured_quality(assessment, labelled)
    checks = noise.student_checks(lake, distilled.student, manifest, sources, may_be_learnt=True)
    curve = {
        share: gain(assess(rows, rubric.weights, settings.quality))
        for share, rows in distilled.curve.items()
    }
    champion = champion_scorers(lake, settings.student_registry, [group]).get(group)
    lead = None
    if champion is not None:
        lead = lead_over(lake, champion.student_id, rubric.rubric_id, assessment)
    return Trained(
        student=distilled.student,
        manifest=manifest,
        labelling_id=labelling_id,
        labels=labelled.count(),
        assessment=assessment,
        figures=measured,
        noise=checks,
        curve=curve,
        next_doubling=expected_next_doubling(curve),
        gate=gate(measured, planted_noise.overall(checks), lead, settings.gate),
        comparison=compare(
            assessment.rows,
            cells.in_points(assessment.dimension_scores).astype(np.float32),
            {(cell.source, cell.slot) for cell in assessment.cells if cell.counts},
            manifest.anchors,
        ),
    )


def _manifest(rubric: Rubric, assessment: Assessment, labels_version: int) -> Manifest:
    return Manifest(
        rubric_id=rubric.rubric_id,
        source_group=rubric.source_group,
        anchors=tuple(anchor.name for anchor in rubric.anchors),
        calibration=assessment.curves,
        quality=assessment.table,
        labels_version=labels_version,
        package_version=package_version(),
    )


def _checkpoints(settings: Settings, group: str) -> Root:
    """Where an interrupted training leaves what it goes on from, on whatever machine."""
    return own_folders.shared_folder(settings.folder, "checkpoints", group)


def _signed_rubrics(lake: Lakehouse, settings: Settings) -> dict[str, Rubric]:
    sections = (settings.source_grouping, settings.discovery, settings.judge)
    return signed_rubrics(lake, forms.discoveries(lake, *sections))


def _labelling_ids(settings: Settings, rubrics: Mapping[str, Rubric]) -> dict[str, str]:
    generation = settings.labelling.generation
    asking_id = forms.asking_id(settings.judge, "labelling", generation)
    return labelling_ids(rubrics, asking_id)
