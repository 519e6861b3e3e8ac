"""A student from the judge's labels, and what it predicts of labels that it did not learn from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from mira_spark.distillation import shards
from mira_spark.distillation.shards import FOLDS, Floats, Labelled
from mira_spark.lake.storage import Root
from mira_spark.rubrics.rubric import Rubric
from mira_spark.settings.students import DistillationSettings
from mira_spark.students.configs import ServedConfig
from mira_spark.students.protocol import Student, score

SHARES = {0.25: 1, 0.5: 2}
"""Shares of the labels that a learning curve is measured at, and in how many folds they are."""
CURVE_FOLDS = 2
"""Folds whose rows the curve is measured on: each costs two trainings more."""

LearntFolds = tuple[int, ...]
"""Folds that are learnt from."""
Train = Callable[[Labelled], Student]
TrainParts = Callable[[Sequence[LearntFolds]], tuple[Student, list[Floats]]]
"""The student of all rows, and of each part the scores [rows, slots] that a student of its folds
gives all rows, in the order of the files."""


@dataclass(frozen=True)
class Evaluation:
    """A student beside the judge: float32 [rows, slots] in points, NaN = not answered.

    `repeated` is what the judge said when it was asked again, `reversed` with the rubric reversed.
    `domains` are what folds were cut by; a row that is `spoilt` is a copy, spoilt on purpose.
    """

    doc_ids: list[str]
    sources: list[str]
    domains: list[str]
    spoilt: npt.NDArray[np.bool_]
    folds: npt.NDArray[np.int32]
    n_tokens: npt.NDArray[np.int64]
    n_bytes: npt.NDArray[np.int64]
    predicted: Floats
    judged: Floats
    repeated: Floats
    reversed: Floats

    def only(self, rows: npt.NDArray[np.bool_]) -> "Evaluation":
        """The rows marked."""
        marked = np.flatnonzero(rows).tolist()
        columns: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, values in columns.items():
            is_list = isinstance(values, list)
            columns[name] = [values[i] for i in marked] if is_list else values[rows]
        return Evaluation(**columns)


@dataclass(frozen=True)
class Distilled:
    """A student, its predictions of rows that it, or a student of the same making, did not learn
    from, spoilt copies among them, and by share of the labels what was predicted of the same rows
    after learning from no more: empty where the curve was not measured."""

    student: Student
    held_out: Evaluation
    curve: Mapping[float, Evaluation]


def distill(
    labelled: Labelled, rubric: Rubric, settings: DistillationSettings, checkpoints: Root
) -> Distilled:
    """The student of the labelled rows.

    `linear` and frozen `encoder` students learn from all rows; every row is predicted by one that
    did not learn from its fold. The others learn from all folds but the first and predict that.
    An interrupted training goes on from what it left in `checkpoints`. Raises InputError when there
    is nothing to train on, ArtefactError when there is no such model.
    """
    names = tuple(anchor.name for anchor in rubric.anchors)
    slots = len(names)
    labelled = labelled.with_rows()
    match settings.kind:  # each trains with libraries that take seconds to import
        case "linear":
            from mira_spark.distillation.linear import train_parts

            return _crossed(labelled, slots, partial(train_parts, labelled, slots, settings.linear))
        case "encoder" if settings.encoder.frozen:
            from mira_spark.distillation import encoder, frozen_heads

            bare = encoder.untrained(slots, settings.encoder)
            return _crossed(labelled, slots, partial(frozen_heads.train_parts, bare, labelled))
        case "encoder":
            from mira_spark.distillation.encoder import train_encoder

            return _split(
                labelled,
                lambda some: train_encoder(some, slots, settings.encoder, checkpoints),
            )
        case "generative":
            from mira_spark.distillation.generative import train_generative

            return _split(
                labelled,
                lambda some: train_generative(some, names, settings.generative, checkpoints),
            )
        case "served":
            from mira_spark.students import served

            server = ServedConfig(kind="served", anchors=names, server=settings.served)
            student = served.open_student(server)
            return Distilled(student, predict(student, labelled), {})


def _split(labelled: Labelled, train: Train) -> Distilled:
    """The student of all folds but the first, which it predicts; of all rows, and nothing is
    predicted, where they are one fold."""
    first, *others = labelled.folds
    if not others:
        student = train(labelled)
        return Distilled(student, predict(student, labelled.of_folds()), {})
    student = train(labelled.of_folds(*others))
    return Distilled(student, predict(student, labelled.of_folds(first)), {})


def _crossed(labelled: Labelled, slots: int, train: TrainParts) -> Distilled:
    """The student of all folds, each of which is predicted by a student of the others, and the
    curve; where there is but one fold nothing is predicted."""
    folds = labelled.folds if len(labelled.folds) > 1 else ()
    curve = folds[:CURVE_FOLDS] if len(folds) == FOLDS else ()
    parts = [tuple(f for f in folds if f != fold) for fold in folds]
    parts += [_fewer(folds, fold, n) for n in SHARES.values() for fold in curve]
    student, predicted = train(parts)
    rows = read_rows(labelled, slots)

    def held_out(held: Sequence[int], predictions: Sequence[Floats]) -> Evaluation:
        """The rows of the folds `held`, each predicted by a student of other folds."""
        scores = np.full(rows.predicted.shape, np.nan, np.float32)
        for fold, by_others in zip(held, predictions, strict=True):
            scores[rows.folds == fold] = by_others[rows.folds == fold]
        return replace(rows, predicted=scores).only(np.isin(rows.folds, held))

    curves = {}
    if curve:
        whole, n = predicted[: len(folds)], len(curve)
        for place, share in enumerate(SHARES):
            at = len(folds) + place * n
            curves[share] = held_out(curve, predicted[at : at + n])
        curves[1.0] = held_out(curve, whole[:n])
    return Distilled(student, held_out(folds, predicted[: len(folds)]), curves)


def _fewer(folds: LearntFolds, fold: int, n: int) -> LearntFolds:
    """The `n` folds that follow."""
    after = folds.index(fold) + 1
    return (folds * 2)[after : after + n]


def predict(student: Student, labelled: Labelled) -> Evaluation:
    """The student's raw scores of these rows, in the order of the files, beside the judge's
    answers."""
    rows = read_rows(labelled, student.slots)
    scores = [np.empty((0, student.slots), np.float32)]
    scores += [score(student, batch["text"]) for batch in labelled.rows()]
    return replace(rows, predicted=np.concatenate(scores))


def read_rows(labelled: Labelled, slots: int) -> Evaluation:
    """The rows in the order of the files, nothing predicted (NaN)."""
    none = np.empty(0, np.int64)
    nothing = [np.empty((0, slots), np.float32)] * 4
    empty = none.astype(bool), none.astype(np.int32), none, none
    parts = [Evaluation([], [], [], *empty, *nothing)]
    for batch in labelled.rows():
        answers = [
            shards.judged(batch[name], slots)
            for name in ("scores", "repeat_scores", "reversed_scores")
        ]
        parts.append(
            Evaluation(
                batch["doc_id"].to_pylist(),
                batch["source"].to_pylist(),
                batch["domain"].to_pylist(),
                batch["spoilt"].to_numpy(zero_copy_only=False),
                batch["fold"].to_numpy(),
                batch["n_tokens"].to_numpy(),
                pc.fill_null(pc.binary_length(batch["text"]), 0).to_numpy().astype(np.int64),
                np.full((batch.num_rows, slots), np.nan, np.float32),
                *answers,
            )
        )
    return joined(parts)


def joined(parts: Sequence[Evaluation]) -> Evaluation:
    """The rows of all parts, of which there must be one, in their order."""
    values: dict[str, Any] = {}
    for each in fields(Evaluation):
        columns = [getattr(part, each.name) for part in parts]
        is_list = isinstance(columns[0], list)
        values[each.name] = (
            [value for column in columns for value in column]
            if is_list
            else np.concatenate(columns)
        )
    return Evaluation(**values)
