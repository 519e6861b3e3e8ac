"""What a generative student learns from: labelled documents as tokens in files, mapped, not held.

Legend: n labelled rows, T tokens of one of them, prompt and answer.
"""

import hashlib
import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mira_spark.distillation import shards
from mira_spark.distillation.shards import Labelled
from mira_spark.errors import InputError
from mira_spark.students import answers, windows
from mira_spark.students.generative import GenerativeStudent
from mira_spark.students.protocol import strings

SCORE, REASON = 1, 2
"""What a token of an answer belongs to; 0: nothing is learnt from it."""


@dataclass(frozen=True)
class Example:
    """A prompt with its answer: int32 [T], and int8 [T], what each token is part of."""

    tokens: windows.Ids
    parts: npt.NDArray[np.int8]


@dataclass(frozen=True)
class Examples:
    """All of them one after another in two mapped files; only where each starts [n + 1] and how
    much it counts [n] are held. `digest` is of all that is learnt."""

    tokens: windows.Ids
    parts: npt.NDArray[np.int8]
    starts: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    digest: str

    def __len__(self) -> int:
        return len(self.weights)

    def __getitem__(self, row: int) -> Example:
        span = slice(self.starts[row], self.starts[row + 1])
        return Example(self.tokens[span], self.parts[span])


def store_examples(student: GenerativeStudent, labelled: Labelled, folder: Path) -> Examples:
    """The labelled rows that have a score, in their order, as files in `folder`.

    A source of n rows counts as much as sqrt(n) rows. InputError when there is no such row.
    """
    paths = folder / "tokens", folder / "parts"
    starts, sources, digest = array("q", [0]), list[str](), hashlib.sha256()
    with paths[0].open("wb") as tokens, paths[1].open("wb") as parts:
        for rows in labelled.rows():
            for source, found in _judged_examples(student, rows):
                tokens.write(found.tokens.data)
                parts.write(found.parts.data)
                digest.update(f"{source}\0".encode() + found.tokens.tobytes())
                digest.update(found.parts.data)
                starts.append(starts[-1] + len(found.tokens))
                sources.append(sys.intern(source))
    shards.require_rows(labelled, len(sources))
    return Examples(
        np.memmap(paths[0], np.int32, "r"),
        np.memmap(paths[1], np.int8, "r"),
        np.array(starts),
        shards.row_weights(sources, Counter(sources)),
        digest.hexdigest(),
    )


def _judged_examples(
    student: GenerativeStudent, rows: pa.RecordBatch
) -> Iterator[tuple[str, Example]]:
    """Source and example of the rows that have a score."""
    prompts = student.reader.ids(strings(rows["text"]))
    judged = shards.judged(rows["scores"], student.slots)
    columns = (rows[name].to_pylist() for name in ("source", "reasons"))
    for prompt, points, source, reasons in zip(prompts, judged, *columns, strict=True):
        if reasons and len(reasons) != student.slots:
            raise InputError(f"a label row has {len(reasons)} reasons, expected {student.slots}")
        scores = [None if np.isnan(score) else int(score) for score in points]
        if any(score is not None for score in scores):
            yield source, example(student, prompt, scores, reasons or [])


def example(
    student: GenerativeStudent,
    prompt: windows.Ids,
    scores: Sequence[int | None],
    reasons: Sequence[str | None],
) -> Example:
    """Tokenised piece by piece, as scoring forces it; cut where the model can attend no further."""
    answered = [score is not None for score in scores]
    # A reason without its score is not even shown: later reasons would be learnt as following it.
    reason_texts = [
        (reason or "") * known for reason, known in zip(reasons, answered, strict=False)
    ]
    lines = answers.reason_pieces(reason_texts, student.config.anchors) if any(reason_texts) else []
    pieces = [(p, SCORE * k) for p, k in zip(answers.score_pieces(scores), answered, strict=True)]
    pieces += [(p, REASON * bool(t.strip())) for p, t in zip(lines, reason_texts, strict=False)]
    tokens, parts = prompt.tolist(), [0] * len(prompt)
    for piece, part in pieces:
        ids = student.tokens(piece)
        tokens += ids
        parts += [part] * len(ids)
    room = student.room
    return Example(np.array(tokens[:room], np.int32), np.array(parts[:room], np.int8))
