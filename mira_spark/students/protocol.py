"""What executors ask of a student: texts in, scores out. Nothing here knows Spark or a device.

`encode` is the CPU's half and `forward` the device's, so that one thread can prepare the next batch
while the device works on this one. A student cuts and orders its batches as suits it (an encoder
sorts by length and pads, a generative one packs prompts): each batch says which rows it holds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, Self

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
    every position comes once. `inputs` are arrays [n, ...] by name, known to the student alone;
    `shared` are those that belong to no single row.
    """

    rows: npt.NDArray[np.int64]
    inputs: Mapping[str, npt.NDArray[Any]]
    shared: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """What memory its scoring needs, up to a factor: tokens with padding, or rows."""
        return max((array.size for array in self.inputs.values()), default=len(self.rows))

    def part(self, first: int, last: int) -> Self:
        """The rows from the first up to, not with, the last."""
        inputs = {name: array[first:last] for name, array in self.inputs.items()}
        return replace(self, rows=self.rows[first:last], inputs=inputs)


class Batching(NamedTuple):
    """How a student that reads tokens makes its batches: of at most `tokens`, padding among them
    (None: what suits its device), and for a model whose layers are `compiled`.
    """

    tokens: int | None = None
    compiled: bool = False


USUAL = Batching()


class TextScorer(Protocol):
    """What the engine scores texts by."""

    @property
    def slots(self) -> int:
        """How many scores a document gets."""
        ...

    @property
    def rows_together(self) -> int | None:
        """How many texts `encode` should see at once, so that batches of like length come about;
        None: it makes no difference."""
        ...

    def encode(self, texts: pa.Array) -> Iterator[Batch]:
        """Batches over a string, large_string or binary array of UTF-8; a null is an empty text."""
        ...

    def forward(self, batch: Batch) -> npt.ArrayLike:
        """Scores of the batch's rows, in their order; they depend on each text alone. An array, or
        what `np.asarray` makes one of, as soon as the device is ready."""
        ...

    def shorter(self, batch: Batch) -> Batch | None:
        """The batch with about half of each document, for a memory too small; None if it cannot."""
        ...


class Student(TextScorer, Protocol):
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

    def batched(self, batching: Batching) -> Self:
        """The student with batches made so, as far as its kind knows what that is."""
        ...


def score(student: Student, texts: pa.Array) -> Scores:
    """The student's scores of all texts, in their order."""
    scores = np.empty((len(texts), student.slots), np.float32)
    for batch in student.encode(texts):
        scores[batch.rows] = np.asarray(student.forward(batch))
    return scores


def strings(texts: pa.Array) -> list[str]:
    """An Arrow array of text or of its UTF-8 as strings; null is empty, bad bytes are replaced."""
    binary = pa.types.is_binary(texts.type) or pa.types.is_large_binary(texts.type)
    if not (binary or pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise TypeError(f"texts are {texts.type}, expected string, large_string or binary")
    raw = texts.cast(pa.large_binary()).to_pylist()
    return [(one or b"").decode(errors="replace") for one in raw]
