"""A process of its own for what may crash, hang or eat up the memory on some document."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa

from mira_spark.errors import OutageError, error_class

START_S = 600.0
_POLL_S = 0.05


class Died(Exception):
    """The child ended, or was ended; the message says how."""


class ChildProcess:
    """A process that answers Arrow batches; a new one takes the place of one that died.

    It runs `module`, which reads `argument` as a line of JSON from its standard input, says a line
    when it is ready, and then answers every batch of `schema` with one. When it cannot be started
    the error that its line names is raised, or OutageError; `title` says what it was to hold.
    """

    def __init__(self, module: str, argument: object, schema: pa.Schema, title: str) -> None:
        self._module, self._title, self._schema = module, title, schema
        self._argument = json.dumps(argument).encode() + b"\n"
        self._answers: pa.RecordBatchReader | None = None
        self._ready_bytes = 0
        self.greeting = b""
        """The line it said when it was ready."""
        self._begin()

    def answer(self, batch: pa.RecordBatch, seconds: float, memory: int) -> pa.RecordBatch:
        """What the child makes of the batch, within so many seconds and bytes above those it took
        when it was ready. Raises Died, a new child ready, when the batch killed it."""
        try:
            self._batches.write_batch(batch)
            self._pipes[0].flush()
            self._wait(seconds, self._ready_bytes + memory)
            if self._answers is None:
                self._answers = pa.ipc.open_stream(pa.PythonFile(self._pipes[1], "r"))
            return self._answers.read_next_batch()
        except (Died, OSError, pa.ArrowInvalid, StopIteration) as error:
            death = error if isinstance(error, Died) else Died(self._end_reason())
            self.end()
            self._begin()
            raise death from None

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in self._pipes:
            with contextlib.suppress(OSError):  # what was not sent yet
                pipe.close()

    def _begin(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self._pipes = [pipe for pipe in (self._process.stdin, self._process.stdout) if pipe]
        self._answers, self.greeting = None, b""
        try:
            self._pipes[0].write(self._argument)
            self._pipes[0].flush()
            self._batches = pa.ipc.new_stream(pa.PythonFile(self._pipes[0], "w"), self._schema)
            self._wait(START_S, None)
            self.greeting = self._pipes[1].readline()
        except (Died, OSError):
            pass
        said = self.greeting.decode(errors="replace").strip()
        if not said or error_class(said):
            how = self._end_reason()
            self.end()
            kind = error_class(said) or OutageError
            where = f"a process with {self._title} could not be started"
            raise kind(f"{where}: {how}{': ' * bool(said)}{said}")
        self._ready_bytes = _resident_bytes(self._process.pid)

    def _wait(self, seconds: float, most_bytes: int | None) -> None:
        """Return when the child says something."""
        last = time.monotonic() + seconds
        while not select.select([self._pipes[1]], [], [], _POLL_S)[0]:
            if time.monotonic() > last:
                raise Died(f"it took more than {seconds:g} s")
            if most_bytes is not None and (used := _resident_bytes(self._process.pid)) > most_bytes:
                raise Died(f"it took {used >> 20:,} MiB of memory, at most {most_bytes >> 20:,}")

    def _end_reason(self) -> str:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _resident_bytes(process: int) -> int:
    """Bytes of memory the process takes; 0 where the system does not say."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
