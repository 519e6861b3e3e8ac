"""Found by every Python that Spark or a test starts: lets some texts kill the linear student."""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

STUDENT = "mira_spark.students.linear"


def hold_memory() -> None:
    kept = []
    while True:
        kept.append(bytearray(os.urandom(1 << 20) * 64))


KILLERS: dict[bytes, Callable[[], object]] = {
    b"kill: segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    b"kill: exit": lambda: os._exit(3),
    b"kill: abort": os.abort,
    b"kill: hang": lambda: time.sleep(3600),
    b"kill: memory": hold_memory,
}


def deadly(module: ModuleType) -> None:
    forward = module.LinearStudent.forward

    def killed(self: Any, batch: Any) -> Any:
        data, spans = batch.shared["data"], batch.inputs
        for start, end in zip(spans["starts"].tolist(), spans["ends"].tolist(), strict=True):
            if (kill := KILLERS.get(data[start:end].tobytes())) is not None:
                kill()
        return forward(self, batch)

    module.LinearStudent.forward = killed  # type: ignore[attr-defined]


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
            deadly(module)

        spec.loader.exec_module = patched  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Finder())
