"""Found by every Python that Spark or a test starts: what a drill does to the linear student.

Some texts kill it. MIRA_DRILL_ROWS names a folder where every process notes the texts it is given,
one a line; MIRA_DRILL_PAUSE is the seconds that each takes it; MIRA_DRILL_DOWN is a folder of what
does not work; MIRA_DRILL_HOST is what this machine is called, whose processes are not seen from
others.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

STUDENT = "mira_spark.students.linear"


def hold_memory() -> None:
    kept = []
    while True:
        kept.append(bytearray(os.urandom(1 << 20) * 64))


def fail_while_down(what: str) -> None:
    """As long as MIRA_DRILL_DOWN holds a file of this name: a server's failure, or a document's."""
    folder = os.environ.get("MIRA_DRILL_DOWN")
    if folder and (Path(folder) / what).exists():
        from mira_spark.errors import OutageError

        raise OutageError("the server is down") if what == "server" else ValueError("odd text")


KILLERS: dict[bytes, Callable[[], object]] = {
    b"kill: segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    b"kill: exit": lambda: os._exit(3),
    b"kill: abort": os.abort,
    b"kill: hang": lambda: time.sleep(3600),
    b"kill: memory": hold_memory,
    b"server: ": lambda: fail_while_down("server"),
    b"odd: ": lambda: fail_while_down("odd"),
    b"kill: kernel": lambda: os.kill(os.getpid(), signal.SIGKILL),  # as when memory ran out
}


def drilled(module: ModuleType) -> None:
    forward = module.LinearStudent.forward
    folder = os.environ.get("MIRA_DRILL_ROWS")
    pause = float(os.environ.get("MIRA_DRILL_PAUSE", "0"))

    def slow_or_killed(self: Any, batch: Any) -> Any:
        data, spans = batch.shared["data"], batch.inputs
        for start, end in zip(spans["starts"].tolist(), spans["ends"].tolist(), strict=True):
            text = data[start:end].tobytes()
            if folder:
                with (Path(folder) / str(os.getpid())).open("ab", buffering=0) as seen:
                    seen.write(text + b"\n")
            if pause:
                time.sleep(pause)
            for beginning, kill in KILLERS.items():
                if text.startswith(beginning):
                    kill()
        return forward(self, batch)

    module.LinearStudent.forward = slow_or_killed  # type: ignore[attr-defined]


class Finder(importlib.abc.MetaPathFinder):
    """Patches the student when it is imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != STUDENT:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None  # noqa: PT018
        execute = spec.loader.exec_module

        def patched(module: ModuleType) -> None:
            execute(module)
            if module.__name__ == STUDENT:  # a zip has one loader for all its modules
                drilled(module)

        spec.loader.exec_module = patched  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Finder())
if name := os.environ.get("MIRA_DRILL_HOST"):
    seen_here = os.readlink

    def seen_there(path: str, **options: Any) -> str:
        return f"pid:[{name}]" if path == "/proc/self/ns/pid" else seen_here(path, **options)

    socket.gethostname = lambda: name
    os.readlink = seen_there
