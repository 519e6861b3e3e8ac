"""What executors ask of a student: texts in, scores out. Nothing here knows Spark or a device.

`encode` is the CPU's half and `forward` the device's, so that one thread can prepare the next batch
while the device works on this one. A student cuts and orders its batches as suits it (an encoder
sorts by length and pads, a generative one packs prompts): each batch says which rows it holds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mira_spark.students.configs import Config

Scores = npt.NDArray[np.float32]
"""Float32 [rows, slots] in points, 0-10 when a student is good, not clipped, not calibrated."""


@dataclass(frozen=True)
class Batch:
    """What one call of `forward` takes.

    `rows` is int64 [n], positions in the texts given to `encode`; over all batches of one `encode`
    every position comes once. `inputs` are arrays by name, known to the student alone.
    """

    rows: npt.NDArray[np.int64]
    inputs: Mapping[str, npt.NDArray[Any]]


class Student(Protocol):
    """A scorer of documents on the slots of one rubric."""

    @property
    def kind(self) -> str:
        """One of the artefact format's closed list."""
        ...

    @property
    def config(self) -> Config:
        """What an artefact says of it."""
        ...

    @property
    def tokenizer(self) -> bytes | None:
        """Its `tokenizer.json`; None for a kind that reads bytes."""
        ...

    def tensors(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """Its weights by name, as an artefact stores them."""
        ...

    @property
    def slots(self) -> int:
        """How many scores a document gets."""
        ...

    def encode(self, texts: pa.Array) -> Iterator[Batch]:
        """Batches over a string, large_string or binary array of UTF-8; a null is an empty text."""
        ...

    def forward(self, batch: Batch) -> Scores:
        """Scores of the batch's rows, in their order; they depend on each text alone."""
        ...


def score(student: Student, texts: pa.Array) -> Scores:
    """The student's scores of all texts, in their order."""
    scores = np.empty((len(texts), student.slots), np.float32)
    for batch in student.encode(texts):
        scores[batch.rows] = student.forward(batch)
    return scores
