"""Students from the judge's labels: the settings of each kind, training, and what one predicts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mira_spark.distillation import shards as training
from mira_spark.distillation.shards import Floats, Split
from mira_spark.errors import ConfigError
from mira_spark.judges.calls import secret
from mira_spark.judges.calls.hosts import checked_url
from mira_spark.rubrics.rubric import Rubric
from mira_spark.settings.types import Seed
from mira_spark.students.configs import ServedConfig, Server
from mira_spark.students.protocol import Student, score


class LinearSettings(BaseModel):
    """How a linear student is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bits: int = Field(18, ge=10, le=24)
    """The table has 2**bits rows of 64 bytes; with 2,400 labels 20 ranked no better than 18."""
    ridge: float = Field(0.5, gt=0)
    """Penalty on weights; 0.3 to 1 measured alike, 1 to 3 better on very noisy labels."""
    passes: int = Field(24, ge=1, le=100)
    """Passes over the hashed labels; 24 come to the exact solution."""
    dtype: Literal["F32", "F16"] = "F32"
    """Of the weights in the artefact; in memory they are float32."""
    byte_grams: bool = False
    """Byte 4-grams are features too, beside words and pairs of words."""


class EncoderSettings(BaseModel):
    """Which encoder, and how it is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = ""
    """A folder with config.json, model.safetensors and tokenizer.json, or a hub id."""
    frozen: bool = True
    """Only the heads are fitted: one pass over the texts, practical on a CPU."""
    max_tokens: int = Field(512, ge=16)
    """Of a longer document the begin, the middle and the end are read."""
    epochs: int = Field(3, ge=1, le=100)
    learning_rate: float = Field(2e-5, gt=0)
    tokens_per_step: int = Field(16_384, ge=1)
    """Gradients are summed over so many tokens, padding not counted, before a step."""
    patience: int = Field(1, ge=0)
    """Epochs without a better loss on the rows kept aside before the training ends."""
    seed: Seed = 0


class GenerativeSettings(BaseModel):
    """Which causal language model, and how it is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = ""
    """A folder with config.json, safetensors and tokenizer.json, or a hub id."""
    max_tokens: int = Field(2_048, ge=16, le=131_072)
    """Tokens of a document that are shown; of a longer one the begin, middle and end."""
    epochs: int = Field(3, ge=1)
    learning_rate: float = Field(1e-5, gt=0, le=1)
    """The highest, after warm-up; it falls to 0 as a cosine."""
    tokens_per_step: int = Field(65_536, ge=1)
    """Tokens of one step of the optimiser, prompts included; a step has at least one document."""
    seed: Seed = 0
    """Of the documents' order and of dropout; on a CPU the same seed gives the same weights."""


class DistillationSettings(BaseModel):
    """Which kind of student, how it is trained, and when anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["linear", "encoder", "generative", "served"] = "linear"
    linear: LinearSettings = LinearSettings()
    encoder: EncoderSettings = EncoderSettings()
    generative: GenerativeSettings = GenerativeSettings()
    served: Server = Server()
    """A scorer behind a server: nothing is trained; it is calibrated, measured and gated."""
    retrain_after: float = Field(0.1, ge=0)
    """Share by which labels must grow before their student is stale."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        models = {"encoder": self.encoder.model, "generative": self.generative.model}
        if not models.get(self.kind, "any"):
            raise ValueError(f"{self.kind} needs {self.kind}.model: a folder or a hub id")
        if self.kind == "served" and (problems := list(_unusable(self.served))):
            raise ValueError("; ".join(f"served.{problem}" for problem in problems))
        return self


def _unusable(server: Server) -> Iterator[str]:
    """Why the server could not be asked."""
    if not server.model:
        yield "model: is missing: the server's name for it"
    try:
        checked_url(server.url, server.hosts)
    except ConfigError as error:
        yield str(error)
    if not secret.is_reference(server.secret):
        yield f"secret: should be {secret.FORMS}; never the key itself"


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

            return served.opened(ServedConfig(kind="served", anchors=names, server=settings.served))


def predict(student: Student, shards: Path, split: Split) -> Evaluation:
    """The student's raw scores of a split, in the order of the files, beside the judge's first
    answers."""
    doc_ids: list[str] = []
    sources: list[str] = []
    sizes = [np.empty(0, np.int64)]
    found = [[np.empty((0, student.slots), np.float32)] for _ in range(3)]
    for rows in training.rows(shards, split):
        doc_ids += rows["doc_id"].to_pylist()
        sources += rows["source"].to_pylist()
        sizes.append(pc.fill_null(pc.binary_length(rows["text"]), 0).to_numpy())
        found[0].append(score(student, rows["text"]))
        found[1].append(training.judged(rows["scores"], student.slots))
        found[2].append(training.judged(rows["repeat_scores"], student.slots))
    n_bytes = np.concatenate(sizes).astype(np.int64)
    return Evaluation(doc_ids, sources, n_bytes, *(np.concatenate(parts) for parts in found))
