"""A student in a process of its own: a document that kills it is found, and is one row.

What kills a worker (a crash of native code, an exit, a memory eaten up, a hang) cannot be caught in
it. After a task failed once, its documents go through a child in pieces; when the child dies with a
piece, that piece's documents go through new children one by one, and the killer is known. So a
killer is tried three times: in the worker, in its piece, alone.
"""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mira_spark.errors import MiraError
from mira_spark.process.child_process import ChildProcess, Died
from mira_spark.scoring.engine import Engine, Outage, Reasons
from mira_spark.scoring.scorer import Scorer, load_student
from mira_spark.students.protocol import Scores

_PIECE = 256
_WARM_UP = "a first text"
_TEXTS = pa.schema([("text", pa.large_binary())])


class IsolationLimits(NamedTuple):
    """What a piece and a document may take: seconds, and bytes above those of the student."""

    piece_s: float = 900.0
    document_s: float = 60.0
    memory: int = 4 << 30


def score_isolated(
    batches: Iterator[pa.RecordBatch], scorer: Scorer, limits: IsolationLimits
) -> Iterator[tuple[pa.RecordBatch, Scores, Reasons]]:
    """As `Engine.overlapped`, by a student in a child; a document that kills the child has NaN
    scores and, as its reason, how the child died.

    When the student cannot be loaded the child's own error is raised, or OutageError.
    """
    child = ChildProcess("mira_spark.scoring.isolation", asdict(scorer), _TEXTS, "the student")
    slots = int(child.greeting)
    try:
        for batch in batches:
            parts: list[tuple[Scores, Reasons]] = []
            texts = batch.column("text").cast(pa.large_binary())
            for first in range(0, len(texts), _PIECE):
                piece = texts.slice(first, _PIECE)
                try:
                    parts.append(_scores(child, piece, slots, limits.piece_s, limits.memory))
                except Died:
                    alone = (piece.slice(i, 1) for i in range(len(piece)))
                    parts += [_score_alone(child, text, slots, limits) for text in alone]
            if parts:
                scores, reasons = zip(*parts, strict=True)
                yield batch, np.concatenate(scores), [r for some in reasons for r in some]
    finally:
        child.end()


def _score_alone(
    child: ChildProcess, text: pa.Array, slots: int, limits: IsolationLimits
) -> tuple[Scores, Reasons]:
    try:
        return _scores(child, text, slots, limits.document_s, limits.memory)
    except Died as death:
        return np.full((1, slots), np.nan, np.float32), [f"killed its worker: {death}"]


def _scores(
    child: ChildProcess, texts: pa.Array, slots: int, seconds: float, memory: int
) -> tuple[Scores, Reasons]:
    """Scores and reasons of the texts; Died when they killed the child."""
    batch = pa.RecordBatch.from_arrays([texts], schema=_TEXTS)
    answer = child.answer(batch, seconds, memory)
    flat = answer.column("scores").flatten().to_numpy().astype(np.float32)
    said = zip(*(answer.column(c).to_pylist() for c in ("reason", "outage")), strict=True)
    reasons: Reasons = [Outage(reason) if outage else reason for reason, outage in said]
    return flat.reshape(len(texts), slots), reasons


def serve(scorer: Scorer) -> None:
    """The child: load the student and say its slots, then scores for every batch of texts."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # whatever a library prints is no answer
        try:
            student, _ = load_student(scorer)
            engine = Engine(student)
            # What a first call costs (compiled code, buffers) is no document's time or memory.
            engine.scores(pa.array([_WARM_UP]))
        except MiraError as error:
            out.write(" ".join(f"{type(error).__name__}: {error}".split()).encode() + b"\n")
            out.flush()
            raise
        one = pa.list_(pa.float32(), student.slots)
        schema = pa.schema([("scores", one), ("reason", pa.string()), ("outage", pa.bool_())])
        out.write(b"%d\n" % student.slots)
        out.flush()
        with pa.ipc.new_stream(out, schema) as answers:
            for batch in pa.ipc.open_stream(sys.stdin.buffer):
                scores, reasons = engine.scores(batch.column("text"))
                listed = pa.FixedSizeListArray.from_arrays(scores.ravel(), student.slots)
                outages = [isinstance(reason, Outage) for reason in reasons]
                arrays = [listed.cast(one), pa.array(reasons, pa.string()), pa.array(outages)]
                answers.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
                out.flush()


if __name__ == "__main__":
    serve(Scorer(**json.loads(sys.stdin.buffer.readline())))
