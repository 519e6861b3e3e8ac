"""Files of this machine and what their names say, without Spark."""

import glob
import itertools
import os
import re
from collections.abc import Iterator

OWN_SUFFIXES = {
    "json": {"json", "jsonl", "ndjson", "jsonlines", "jl"},
    "csv": {"csv", "tsv", "tab", "psv"},
    "parquet": {"parquet", "parq", "pq"},
}
_COMPRESSIONS = {"gz", "gzip", "zst", "zstd", "bz2", "xz", "lzma"}


def suffix_of_format(path: str) -> str:
    """The last suffix of a file's name, lower case, that is not one of a compression; empty where
    there is none."""
    suffixes = os.path.basename(path).lower().split(".")[1:]
    while suffixes and suffixes[-1] in _COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def is_hidden(name: str) -> bool:
    """Whether Spark reads no file or folder of this name; a partition may begin with `_`."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def files_below(path: str) -> Iterator[tuple[str, int, str]]:
    """(path, length, times of change) of every file at a path: a file, a folder with all below it,
    or a pattern. Of a hidden folder its path alone, which ends in a slash."""
    for start in [path] if os.path.exists(path) else sorted(_matches(path)):
        if os.path.isfile(start):
            yield _described(start)
        seen: set[str] = set()
        for folder, folders, files in os.walk(start, followlinks=True):
            real = os.path.realpath(folder)
            inner = [] if real in seen else sorted(folders)  # links may lead in a circle
            seen.add(real)
            hidden = {name for name in inner if is_hidden(name)}
            folders[:] = [name for name in inner if name not in hidden]
            yield from ((f"{folder}/{name}/", 0, "") for name in hidden)
            yield from (_described(f"{folder}/{name}") for name in files)


def _described(path: str) -> tuple[str, int, str]:
    stat = os.stat(path)
    return path, stat.st_size, f"{stat.st_mtime_ns} {stat.st_ctime_ns}"


def _matches(pattern: str) -> set[str]:
    """The paths that a pattern matches; `{a,b}` stands for either."""
    braces = re.search(r"\{([^{}]*)\}", pattern)
    if not braces:
        return set(glob.glob(pattern, recursive=True))
    before, after = pattern[: braces.start()], pattern[braces.end() :]
    return set(itertools.chain(*(_matches(before + e + after) for e in braces[1].split(","))))
