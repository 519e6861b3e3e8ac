"""Raw scores from a student, whatever the texts, the memory or the student do: a bad row is alone.

A row without scores is either the document's fault (it fails alone, while a plain text is scored)
or nobody's: then its reason is an `Outage`, and the row can be scored later.

Three stages, each a thread: texts are encoded, batches go through the student, scores are collected
by whoever asks. What a stage made waits in a short queue, so no stage runs far ahead.
"""

import gc
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mira_spark.errors import OutageError, StudentError
from mira_spark.scoring.stages import Watch, run_ahead
from mira_spark.students.protocol import Batch, Scores, TextScorer

REASON_LENGTH = 300
_NOT_FINITE = "the score is not a finite number"
IN_PART = "read in part: the memory did not hold all of it"
BATCH_BYTES = 64 << 20
PROBE = "a"
"""What every student scores that works at all."""
SWITCH_S = 0.0005
"""After so long a thread lets others go on. With Python's own 5 ms each of the hundreds of calls
that start work on a device would wait as long while ids become arrays."""


class Outage(str):
    """Why a row has no scores, where the document is not to blame."""


Reasons = list[str | None]
_Rows = npt.NDArray[np.int64]


class Encoded(NamedTuple):
    """The batches of `rows` texts, and why some are in none of them, by row."""

    rows: int
    batches: list[Batch]
    reasons: dict[int, str]


class Forwarded(NamedTuple):
    """The scores of rows, some maybe still on their way from the device, and by row why it has
    none."""

    reasons: Reasons
    parts: list[tuple[_Rows, npt.ArrayLike]]


@dataclass
class Engine:
    """A student, and what was learned of the memory it works in.

    `most` is the size of a batch that was too large, halved; None while none was. With `watched_s`
    a call of the student that lasts longer ends the process: nothing else ends one that hangs.
    After a lasting outage the student is not asked any more.
    """

    student: TextScorer
    watched_s: float | None = None
    most: int | None = None
    _watch: Watch = field(init=False)
    _down: Outage | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._watch = Watch(self.watched_s)

    def scores(self, texts: pa.Array) -> tuple[Scores, Reasons]:
        """Uncalibrated scores float32 [rows, slots]; NaN, and why, in a row without.

        A row with scores and a reason was read in part. Deterministic up to the last bits.
        StudentError when the student leaves rows out.
        """
        return self.collected(self.forwarded(self.encoded(texts)))

    def overlapped(
        self, batches: Iterable[pa.RecordBatch]
    ) -> Iterator[tuple[pa.RecordBatch, Scores, Reasons]]:
        """`scores` of each batch's column `text`, while the next ones are read and encoded."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        try:
            encoded = run_ahead(((one, self.encoded(one.column("text"))) for one in batches), 2)
            asked = run_ahead(((batch, self.forwarded(one)) for batch, one in encoded), 1)
            for batch, one in asked:
                yield batch, *self.collected(one)
        finally:
            sys.setswitchinterval(before)

    def encoded(self, texts: pa.Array) -> Encoded:
        """All texts as batches; of those that cannot be read, why."""
        try:
            with self._watch.busy():
                batches = list(self.student.encode(texts))
        except BaseException as error:  # a panic of a tokenizer is no Exception
            reason = error_text(error)
        else:
            rows = sum(len(batch.rows) for batch in batches)
            self._require("batches", (rows,), (len(texts),))
            return Encoded(len(texts), batches, {})
        if len(texts) == 1:
            return Encoded(1, [], {0: self._blame(reason)})
        middle = len(texts) // 2
        left, right = self.encoded(texts.slice(0, middle)), self.encoded(texts.slice(middle))
        moved = [Batch(b.rows + middle, b.inputs, b.shared) for b in right.batches]
        later = {row + middle: reason for row, reason in right.reasons.items()}
        return Encoded(len(texts), left.batches + moved, left.reasons | later)

    def forwarded(self, encoded: Encoded) -> Forwarded:
        """The batches' scores as the student gives them, each batch cut as small as the memory or a
        bad row makes needful."""
        reasons: Reasons = [encoded.reasons.get(row) for row in range(encoded.rows)]
        parts: list[tuple[_Rows, npt.ArrayLike]] = []
        waiting = encoded.batches[::-1]
        while waiting:
            if self._down is not None:
                _mark(reasons, waiting, self._down)
                break
            batch = waiting.pop()
            rows = len(batch.rows)
            if rows > 1 and self.most is not None and batch.size > self.most:
                fit = max(self.most * rows // batch.size, 1)
                waiting += [batch.part(i, i + fit) for i in range(0, rows, fit)][::-1]
                continue
            failure = self._forward(batch, parts)
            if failure is None:
                continue
            if failure.lasting:
                self._down = Outage(failure.reason)
                waiting.append(batch)
            elif rows > 1:
                if failure.memory:
                    self.most = batch.size // 2
                waiting += [batch.part(rows // 2, rows), batch.part(0, rows // 2)]
            elif failure.memory and (shorter := self.student.shorter(batch)) is not None:
                waiting.append(shorter)
                reasons[int(batch.rows[0])] = IN_PART
            elif failure.outage:
                _mark(reasons, [batch], Outage(failure.reason))
            else:
                reason = self._blame(failure.reason)
                _mark(reasons, [batch], reason)
                if isinstance(reason, Outage):  # what fails with every text is not asked the rest
                    _mark(reasons, waiting, reason)
                    break
        return Forwarded(reasons, parts)

    def collected(self, forwarded: Forwarded) -> tuple[Scores, Reasons]:
        """What the device is still at is waited for; see `scores`."""
        reasons = forwarded.reasons
        scores = np.full((len(reasons), self.student.slots), np.nan, np.float32)
        for rows, part in forwarded.parts:
            with self._watch.busy():
                values = np.asarray(part)
            self._require("scores", values.shape, (len(rows), self.student.slots))
            scores[rows] = values
        unusable = ~np.isfinite(scores).all(axis=1)
        scores[unusable] = np.nan
        for row in np.flatnonzero(unusable).tolist():
            known = reasons[row]
            reasons[row] = _NOT_FINITE if known in (None, IN_PART) else known
        return scores, reasons

    def _forward(self, batch: Batch, parts: list[tuple[_Rows, npt.ArrayLike]]) -> "Failure | None":
        try:
            with self._watch.busy():
                parts.append((batch.rows, self.student.forward(batch)))
            return None
        except BaseException as error:
            outage = isinstance(error, OutageError)
            lasting = isinstance(error, OutageError) and error.lasting
            failure = Failure(error_text(error), out_of_memory(error), outage, lasting)
        if failure.memory:  # here, where nothing holds the tensors of the failed call any more
            release()
        return failure

    def _blame(self, reason: str) -> str:
        """The reason why a document failed alone; as an Outage when a plain text fails too."""
        try:
            with self._watch.busy():
                for batch in self.student.encode(pa.array([PROBE])):
                    of_no_row = replace(batch, rows=batch.rows[:0])
                    np.asarray(self.student.forward(of_no_row))
        except BaseException as error:
            return Outage(error_text(error))
        return reason

    def _require(self, what: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
        if shape != wanted:
            kind = type(self.student).__name__
            raise StudentError(f"{kind} gave {what} of shape {shape}, expected {wanted}")


class Failure(NamedTuple):
    """Why a call of the student failed, whether for want of memory, and whether no document is to
    blame, now or until it is mended."""

    reason: str
    memory: bool
    outage: bool
    lasting: bool


def _mark(reasons: Reasons, batches: Iterable[Batch], reason: str) -> None:
    for batch in batches:
        for row in batch.rows.tolist():
            reasons[row] = reason


def require_scores(reasons: Reasons) -> None:
    """OutageError when a row has no scores for an outage: for callers that cannot come back."""
    for reason in reasons:
        if isinstance(reason, Outage):
            raise OutageError(reason)


def error_text(error: BaseException) -> str:
    """The error in a few words; what must end the process is raised again."""
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
        raise error
    named = "" if isinstance(error, OutageError) else f"{type(error).__name__}: "
    return f"{named}{error}"[:REASON_LENGTH]


def out_of_memory(error: BaseException) -> bool:
    """Whether the device's or the process's memory was too small."""
    named = type(error).__name__ == "OutOfMemoryError"  # of torch, which linear does without
    return named or isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def release() -> None:
    """Give back what a failed call left in the device's memory."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()


def resized(batches: Iterable[pa.RecordBatch], rows: int | None) -> Iterator[pa.RecordBatch]:
    """The batches cut and put together to `rows` rows to less than twice as many, or to
    BATCH_BYTES, the last as small as it comes; None: the batches as they are, without empty ones.

    A GPU waits for the first batch of a task, which is why a large batch is cut.
    """
    held: list[pa.RecordBatch] = []
    for batch in batches:
        step = rows or max(batch.num_rows, 1)
        for first in range(0, batch.num_rows, step):
            held.append(batch.slice(first, step))
            count, size = sum(b.num_rows for b in held), sum(b.nbytes for b in held)
            if rows is None or count >= rows or size >= BATCH_BYTES:
                yield _join_batches(held)
                held = []
    if held:
        yield _join_batches(held)


def _join_batches(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
