"""A student in a process of its own: a document that kills it is found, and is one row.

What kills a worker (a crash of native code, an exit, a memory eaten up, a hang) cannot be caught in
it. After a task failed once, its documents go through a child in pieces; when the child dies with a
piece, that piece's documents go through new children one by one, and the killer is known. So a
killer is tried three times: in the worker, in its piece, alone.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mira_spark.engine import Engine, Outage, Reasons
from mira_spark.errors import MiraError, OutageError, named
from mira_spark.students import artefact
from mira_spark.students.protocol import Scores

PIECE = 256
LOAD_S = 600.0
POLL_S = 0.05
WARM_UP = "a first text"
TEXTS = pa.schema([("text", pa.large_binary())])


class Limits(NamedTuple):
    """What a piece and a document may take: seconds, and bytes above those of the student."""

    piece_s: float = 900.0
    document_s: float = 60.0
    memory: int = 4 << 30


class Died(Exception):
    """The child ended, or was ended; the message says how."""


def scored(
    batches: Iterator[pa.RecordBatch], folder: str, digest: str, limits: Limits
) -> Iterator[tuple[pa.RecordBatch, Scores, Reasons]]:
    """As `Engine.overlapped`, by a student in a child; a document that kills the child has NaN
    scores and, as its reason, how the child died.

    When the student cannot be loaded the child's own error is raised, or OutageError.
    """
    child = Child(folder, digest)
    try:
        for batch in batches:
            parts: list[tuple[Scores, Reasons]] = []
            texts = batch.column("text").cast(pa.large_binary())
            for first in range(0, len(texts), PIECE):
                piece = texts.slice(first, PIECE)
                try:
                    parts.append(child.scores(piece, limits.piece_s, limits.memory))
                except Died:
                    parts += [_alone(child, piece.slice(i, 1), limits) for i in range(len(piece))]
            if parts:
                scores, reasons = zip(*parts, strict=True)
                yield batch, np.concatenate(scores), [r for some in reasons for r in some]
    finally:
        child.end()


def _alone(child: "Child", text: pa.Array, limits: Limits) -> tuple[Scores, Reasons]:
    try:
        return child.scores(text, limits.document_s, limits.memory)
    except Died as death:
        return np.full((1, child.slots), np.nan, np.float32), [f"killed its worker: {death}"]


class Child:
    """A process with the student loaded; a new one takes the place of one that died."""

    def __init__(self, folder: str, digest: str) -> None:
        self._student = json.dumps({"folder": folder, "digest": digest})
        self._scores: pa.RecordBatchReader | None = None
        self._loaded_bytes = self.slots = 0
        self._begin()

    def scores(self, texts: pa.Array, seconds: float, memory: int) -> tuple[Scores, Reasons]:
        """Scores and reasons of the texts. Raises Died, a new child ready, when they killed it."""
        try:
            self._texts.write_batch(pa.RecordBatch.from_arrays([texts], schema=TEXTS))
            self._pipes[0].flush()
            self._wait(seconds, self._loaded_bytes + memory)
            if self._scores is None:
                self._scores = pa.ipc.open_stream(pa.PythonFile(self._pipes[1], "r"))
            answer = self._scores.read_next_batch()
        except (Died, OSError, pa.ArrowInvalid, StopIteration) as error:
            death = error if isinstance(error, Died) else Died(self._ended())
            self.end()
            self._begin()
            raise death from None
        flat = answer.column("scores").flatten().to_numpy().astype(np.float32)
        said = zip(*(answer.column(c).to_pylist() for c in ("reason", "outage")), strict=True)
        reasons: Reasons = [Outage(reason) if outage else reason for reason, outage in said]
        return flat.reshape(len(texts), self.slots), reasons

    def _begin(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mira_spark.isolation", self._student],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self._pipes = [pipe for pipe in (self._process.stdin, self._process.stdout) if pipe]
        self._texts = pa.ipc.new_stream(pa.PythonFile(self._pipes[0], "w"), TEXTS)
        self._scores, first = None, b""
        try:
            self._wait(LOAD_S, None)
            first = self._pipes[1].readline()
            self.slots = int(first)
        except (Died, ValueError):
            how = self._ended()
            said = first.decode(errors="replace").strip()
            self.end()
            kind = named(said) or OutageError
            where = "a process with the student could not be started"
            raise kind(f"{where}: {how}{': ' * bool(said)}{said}") from None
        self._loaded_bytes = _resident(self._process.pid)

    def _wait(self, seconds: float, most_bytes: int | None) -> None:
        """Return when the child says something."""
        last = time.monotonic() + seconds
        while not select.select([self._pipes[1]], [], [], POLL_S)[0]:
            if time.monotonic() > last:
                raise Died(f"it took more than {seconds:g} s")
            if most_bytes is not None and (found := _resident(self._process.pid)) > most_bytes:
                raise Died(f"it took {found >> 20:,} MiB of memory, at most {most_bytes >> 20:,}")

    def _ended(self) -> str:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in self._pipes:
            with contextlib.suppress(OSError):  # what was not sent yet
                pipe.close()


def _resident(process: int) -> int:
    """Bytes of memory the process takes; 0 where the system does not say."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def serve(folder: str, digest: str) -> None:
    """The child: load the student and say its slots, then scores for every batch of texts."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # whatever a library prints is no answer
        try:
            student, _ = artefact.load(Path(folder), digest)
            engine = Engine(student)
            # What a first call costs (compiled code, buffers) is no document's time or memory.
            engine.scores(pa.array([WARM_UP]))
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
    serve(**json.loads(sys.argv[1]))
