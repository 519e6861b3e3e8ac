"""The files of a user's input: which are read, which are left out and why, what folders say."""

import os
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from mira_spark.errors import InputError
from mira_spark.lake.local_files import OWN_SUFFIXES, files_below, is_hidden, suffix_of_format

_BINARY = {"zip", "tar", "tgz", "rar", "7z", "pdf", "png", "jpg", "jpeg", "gif", "xls", "xlsx",
           "doc", "docx", "orc", "avro", "arrow", "feather", "crc", "db", "sqlite", "so",
           "pyc"}  # fmt: skip
_WRITING = {"md", "rst", "html", "htm", "py", "ipynb", "sh", "yaml", "yml", "toml", "cfg", "ini",
            "lock", "md5", "sha1", "sha256", "bib", "tex"}  # fmt: skip
_WITHOUT_SUFFIX = {"readme", "license", "licence", "notice", "changelog", "makefile"}
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:/")
_GLOB = re.compile(r"[*?\[{]")


class InputFile(NamedTuple):
    """A file to be read: its path, length in bytes, times of change, and what its folders name."""

    path: str
    length: int
    changed: str
    partition: Mapping[str, str | None]


@dataclass(frozen=True)
class Listing:
    """The files of an input in order of their paths; `left_out` has those that are not read, with
    the reason. Python opens local ones itself."""

    files: tuple[InputFile, ...]
    left_out: Mapping[str, str]
    is_local: bool

    @property
    def partitions(self) -> tuple[str, ...]:
        """The names of the columns that folders give."""
        return tuple(sorted({name for file in self.files for name in file.partition}))


def list_files(spark: SparkSession, path: str, kind: str, key: str) -> Listing:
    """The files at `path`: a file, a folder with all below it, or a pattern; no file is read.

    InputError, which begins with `key`, where nothing is there or nothing of it can be read.
    """
    local = _local_path(spark, path)
    found = files_below(local) if local is not None else _below_remote(spark, path, key)
    root = _fixed_part(local or path)
    exact = os.path.isfile(local) if local is not None else False
    files, left_out = [], {}
    for name, length, changed in sorted(found):
        relative = name[len(root) :].lstrip("/") if name.startswith(root) else name
        reason = None if exact else _reason_to_leave_out(relative, kind, path)
        reason = reason or ("empty" if length == 0 else None)
        if reason:
            left_out[name] = reason
        else:
            files.append(InputFile(name, length, changed, _partition_values(relative)))
    _check(files, left_out, path, kind, key)
    return Listing(tuple(files), left_out, local is not None)


def _check(
    files: Sequence[InputFile], left_out: Mapping[str, str], path: str, kind: str, key: str
) -> None:
    if any(name.rstrip("/").endswith("_delta_log") for name in left_out):
        raise InputError(f"{key}: {path} is a Delta table: read it with the format delta")
    if files:
        return
    if not left_out:
        why = "it is empty" if os.path.isdir(path) else "there is no such file or folder"
        raise InputError(f"{key}: {path} cannot be read: {why}")
    raise InputError(f"{key}: {path} holds no file of {kind}: {named_files(left_out)} left out")


def named_files(left_out: Mapping[str, str], most: int = 20) -> str:
    """The names of files with the reason, shortest part that tells them: `README.md (no json)`."""
    shown = [f"{os.path.basename(p.rstrip('/'))} ({why})" for p, why in left_out.items()]
    more = [f"and {len(shown) - most:,} more"] if len(shown) > most else []
    return ", ".join(shown[:most] + more)


def _local_path(spark: SparkSession, path: str) -> str | None:
    """The absolute path where it is one of this machine's file system."""
    if path.startswith("file:/"):
        return os.path.abspath(re.sub(r"^file:/+", "/", path))
    if _SCHEME.match(path) or not _default_is_local(spark):
        return None
    return os.path.abspath(os.path.expanduser(path))


def _default_is_local(spark: SparkSession) -> bool:
    """Whether Spark takes a path without a scheme for one of this machine's file system."""
    try:
        spark.read.format("binaryFile").load(f"/{uuid.uuid4().hex}")
    except AnalysisException as error:
        return "file:/" in str(error)
    return False


def _below_remote(spark: SparkSession, path: str, key: str) -> list[tuple[str, int, str]]:
    """As `files_below`, by Spark, which does not list what is hidden."""
    try:
        files = spark.read.format("binaryFile").option("recursiveFileLookup", True).load(path)
        rows = files.select("path", "length", "modificationTime").collect()
    except AnalysisException as error:
        raise InputError(f"{key}: {path} cannot be read: {first_line(error)}") from error
    return [(r["path"], r["length"], str(r["modificationTime"])) for r in rows]


def first_line(error: AnalysisException) -> str:
    """What an error of Spark's says, in one line."""
    return (error.getMessage() or str(error)).strip().splitlines()[0]


def _fixed_part(path: str) -> str:
    """The folder that all files lie below."""
    if os.path.isdir(path):
        return path.rstrip("/")
    if os.path.isfile(path):
        return os.path.dirname(path)
    found = _GLOB.search(path)
    return os.path.dirname(path[: found.start()]) if found else path.rstrip("/")


def _reason_to_leave_out(relative: str, kind: str, pattern: str) -> str | None:
    parts = relative.rstrip("/").split("/")
    if any(map(is_hidden, parts)):
        return "hidden"
    name = parts[-1].lower()
    suffix = suffix_of_format(name)
    if pattern.lower().endswith(f".{suffix}") or suffix in OWN_SUFFIXES.get(kind, ()):
        return None
    others = set().union(*(each for own, each in OWN_SUFFIXES.items() if own != kind))
    foreign = _BINARY | (OWN_SUFFIXES["parquet"] if kind == "text" else others | _WRITING)
    foreign |= {"txt"} if kind == "parquet" else set()
    if suffix in foreign or (kind != "text" and not suffix and name in _WITHOUT_SUFFIX):
        return f"no {kind} by its name"
    return None


def _partition_values(relative: str) -> dict[str, str | None]:
    """The columns that the folders `name=value` of a path give, as text; null as Hive spells it."""
    pairs = [part.partition("=") for part in relative.split("/")[:-1] if "=" in part]
    return {
        unquote(name): None if value in ("", NULL_PARTITION) else unquote(value)
        for name, _, value in pairs
        if name
    }
