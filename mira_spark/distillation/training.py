"""Students from the judge's labels: the settings of each kind, training, and what one predicts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from mira_spark.distillation import shards as training
from mira_spark.distillation.shards import Floats, Split
from mira_spark.rubrics.rubric import Rubric
from mira_spark.settings.students import DistillationSettings
from mira_spark.students.configs import ServedConfig
from mira_spark.students.protocol import Student, score


@dataclass(frozen=True)
class Evaluation:
    """A student beside the judge: float32 [rows, slots] in points, NaN = not answered.

    `repeated` is what the judge said when it was asked again.
    """

    doc_ids: list[str]
    sources: list[str]
    n_bytes: npt.NDArray[np.int64]
    predicted: Floats
    judged: Floats
    repeated: Floats

    def only(self, rows: npt.NDArray[np.bool_]) -> "Evaluation":
        """The rows marked."""
        marked = np.flatnonzero(rows).tolist()
        return Evaluation(
            [self.doc_ids[i] for i in marked],
            [self.sources[i] for i in marked],
            self.n_bytes[rows],
            self.predicted[rows],
            self.judged[rows],
            self.repeated[rows],
        )


def train(
    shards: Path, rubric: Rubric, settings: DistillationSettings, checkpoints: Path
) -> Student:
    """The student of the rows with split `train` in the folder's Parquet files (see `shards`).

    An interrupted training goes on from what it left in `checkpoints`. Raises InputError when there
    is nothing to train on, ArtefactError when there is no such model.
    """
    names = tuple(anchor.name for anchor in rubric.anchors)
    slots = len(names)
    match settings.kind:  # each trains with libraries that take seconds to import
        case "linear":
            from mira_spark.distillation.linear import train_linear

            return train_linear(shards, slots, settings.linear)
        case "encoder":
            from mira_spark.distillation.encoder import train_encoder

            return train_encoder(shards, slots, settings.encoder, checkpoints)
        case "generative":
            from mira_spark.distillation.generative import train_generative

            return train_generative(shards, names, settings.generative, checkpoints)
        case "served":
            from mira_spark.students import served

            return served.open_student(
                ServedConfig(kind="served", anchors=names, server=settings.served)
            )


def predict(student: Student, shards: Path, split: Split) -> Evaluation:
    """The student's raw scores of a split, in the order of the files, beside the judge's first
    answers."""
    doc_ids: list[str] = []
    sources: list[str] = []
    sizes = [np.empty(0, np.int64)]
    columns = [[np.empty((0, student.slots), np.float32)] for _ in range(3)]
    for rows in training.rows(shards, split):
        doc_ids += rows["doc_id"].to_pylist()
        sources += rows["source"].to_pylist()
        sizes.append(pc.fill_null(pc.binary_length(rows["text"]), 0).to_numpy())
        columns[0].append(score(student, rows["text"]))
        columns[1].append(training.judged(rows["scores"], student.slots))
        columns[2].append(training.judged(rows["repeat_scores"], student.slots))
    n_bytes = np.concatenate(sizes).astype(np.int64)
    return Evaluation(doc_ids, sources, n_bytes, *(np.concatenate(parts) for parts in columns))
