"""Functions over arrays as machine code, by numba."""

import os
import tempfile
from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """The function, compiled on its first call, not on import, and kept on disk where there is a
    place for it.

    numba keeps machine code per file, and does not notice that a callee in another file changed:
    functions that call one another stay in one file.
    """
    try:
        made = numba.njit(nogil=True, cache=True)(function)
        # From inside a zip numba would find out only when it writes.
        folder = str(made.stats.cache_path)
        os.makedirs(folder, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        return made
    except (OSError, RuntimeError):  # an executor without a writable home: each process compiles
        return numba.njit(nogil=True)(function)
