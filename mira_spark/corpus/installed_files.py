"""The files installed beside the running interpreter, each with the source it belongs to.

The source follows from name, suffix and folder, and for generated code from the first kilobyte.
Identities are relative (`stdlib/…`, `site-packages/…`, `include/…`): where the environment lies is
no part of them. Symbolic links are not followed, which also keeps the walk inside its roots.
"""

import csv
import logging
import os
import re
import sysconfig
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageMetadata, distributions
from pathlib import Path
from typing import NamedTuple

_LOG = logging.getLogger(__name__)

SOURCES = (
    "c_headers",
    "configuration_data",
    "docstring_qa",
    "documentation",
    "generated_code",
    "javascript",
    "licences",
    "package_code",
    "package_descriptions",
    "package_tests",
    "stdlib_code",
    "stdlib_tests",
    "type_stubs",
)
PYTHON, PYTHON_LICENCE = "python", "PSF-2.0"
PROJECT = "mira-spark"

_SOURCE_OF_SUFFIX = {
    ".pyi": "type_stubs",
    **dict.fromkeys((".h", ".hh", ".hpp", ".hxx", ".cuh", ".inl"), "c_headers"),
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx"), "javascript"),
    **dict.fromkeys((".md", ".rst", ".txt"), "documentation"),
    **dict.fromkeys((".json", ".yaml", ".yml", ".toml", ".ini", ".cfg"), "configuration_data"),
}
_LICENCE = re.compile(
    r"(^|[._-])((un)?licen[cs]es?|copying|copyright|notices?|third.?party)([._-]|$)", re.I
)
_LICENCE_SUFFIXES = {".md", ".rst", ".txt", ""}
_TEST_FOLDERS = {"test", "tests", "_tests", "idle_test"}
_TEST_FILE = re.compile(r"test_.*|.*_test|conftest")
_DATA_FOLDERS = _TEST_FOLDERS | {"data"}
_INSTALLER = re.compile(r"CMakeLists|requirements|top_level|entry_points|vendor", re.I)
_METADATA_FOLDERS = (".dist-info", ".egg-info")
_CODE = {"c_headers", "javascript", "type_stubs"} | {
    f"{area}_{kind}" for area in ("package", "stdlib") for kind in ("code", "tests")
}
_GENERATED_NAME = re.compile(r"(^|/)generated/|_pb2(_grpc)?\.pyi?$|\.pb\.h$|\.min\.", re.I)
_GENERATED_HEAD = re.compile(
    rb"auto-?generated|automatically generated|@generated|generated (by|from)|do not (edit|modify)"
)
_HEAD_BYTES = 1024
_SCRIPT_BUNDLE_BYTES = 200_000


@dataclass(frozen=True)
class Environment:
    """The folders of one Python installation that are walked; a missing one holds nothing."""

    stdlib: Path
    site_packages: tuple[Path, ...]
    include: Path


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file: `id` is its relative path and valid Unicode, `path` where it is now."""

    source: str
    id: str
    path: str
    distribution: str | None
    license: str | None
    n_bytes: int
    mtime_ns: int


class _Owner(NamedTuple):
    name: str | None
    license: str | None


def this_environment() -> Environment:
    """The running interpreter's own folders."""
    paths = sysconfig.get_paths()
    site_packages = dict.fromkeys((Path(paths["purelib"]), Path(paths["platlib"])))
    return Environment(Path(paths["stdlib"]), tuple(site_packages), Path(paths["include"]))


def installed_files(environment: Environment) -> Iterator[SourceFile]:
    """Every file that has a source and content, in no particular order; no identity comes twice.

    This project itself is left out, so that working on it changes nothing.
    """
    python = _Owner(PYTHON, PYTHON_LICENCE)
    elsewhere = {"site-packages", "dist-packages"}
    yield from _files_under(environment.stdlib, "stdlib", {}, python, elsewhere)
    yield from _files_under(environment.include, "include", {}, python)
    seen: set[str] = set()
    for root in environment.site_packages:
        owners = _owners(root)
        for file in _files_under(root, "site-packages", owners, _Owner(None, None), {"mira_spark"}):
            if file.id not in seen and _normal(file.distribution or "") != PROJECT:
                seen.add(file.id)
                yield file


def source_of(area: str, relative: str) -> str | None:
    """The source of a file by its path alone; None for what is not text or only of use to pip."""
    folders, name = relative.split("/")[:-1], relative.split("/")[-1]
    stem, suffix = os.path.splitext(name)
    suffix = suffix.lower()
    if suffix in _LICENCE_SUFFIXES and _LICENCE.search(name):
        return "licences"
    if any(folder.endswith(_METADATA_FOLDERS) for folder in folders):
        described = name == "METADATA" and folders[-1].endswith(".dist-info")
        return "package_descriptions" if described else None
    if suffix == ".py":
        tests = not _TEST_FOLDERS.isdisjoint(folders) or _TEST_FILE.fullmatch(stem)
        return f"{'stdlib' if area == 'stdlib' else 'package'}_{'tests' if tests else 'code'}"
    if suffix == ".txt" and (_INSTALLER.match(stem) or not _DATA_FOLDERS.isdisjoint(folders)):
        return None
    return _SOURCE_OF_SUFFIX.get(suffix)


def _files_under(
    root: Path,
    area: str,
    owners: Mapping[str, _Owner],
    default: _Owner,
    elsewhere: Collection[str] = (),
) -> Iterator[SourceFile]:
    """Files below `root`; `elsewhere` names folders directly in it that are not walked."""
    for relative, entry in _walk(root, elsewhere):
        source = source_of(area, relative)
        if source is None:
            continue
        try:
            status = entry.stat(follow_symlinks=False)
            if status.st_size == 0:
                continue
            if source in _CODE and _is_generated(source, relative, entry, status.st_size):
                source = "generated_code"
        except OSError as error:
            _LOG.warning("%s: left out, it cannot be read: %s", entry.path, error)
            continue
        owner = owners.get(relative) or owners.get(relative.split("/")[0]) or default
        yield SourceFile(
            source,
            os.fsencode(f"{area}/{relative}").decode("utf-8", "backslashreplace"),
            entry.path,
            owner.name,
            owner.license,
            status.st_size,
            status.st_mtime_ns,
        )


def _walk(root: Path, elsewhere: Collection[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    pending = [("", str(root))]
    while pending:
        prefix, folder = pending.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            _LOG.warning("%s: left out, it cannot be listed: %s", folder, error)
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__" and (prefix or entry.name not in elsewhere):
                    pending.append((f"{prefix}{entry.name}/", entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield prefix + entry.name, entry


def _is_generated(source: str, relative: str, entry: os.DirEntry[str], n_bytes: int) -> bool:
    if _GENERATED_NAME.search(relative):
        return True
    if source == "javascript" and n_bytes > _SCRIPT_BUNDLE_BYTES:
        return True
    with open(entry.path, "rb", buffering=0) as file:
        return _GENERATED_HEAD.search(file.read(_HEAD_BYTES).lower()) is not None


def _owners(root: Path) -> dict[str, _Owner]:
    """Which distribution a path below `root` came with; of two that claim it, the first by name."""
    owners: dict[str, _Owner] = {}
    named = {str(item.metadata["Name"]): item for item in distributions(path=[str(root)])}
    for name, item in sorted(named.items()):
        owner = _Owner(name, _licence(item.metadata))
        for path in _installed_paths(item):
            owners.setdefault(path, owner)
    return owners


def _installed_paths(item: Distribution) -> Iterator[str]:
    record = item.read_text("RECORD")
    if record is None:
        yield from (item.read_text("top_level.txt") or "").split()
    else:
        yield from (row[0] for row in csv.reader(record.splitlines()) if row)


def _licence(metadata: PackageMetadata) -> str | None:
    """An SPDX expression where the package gives one, else its short name for its licence."""
    values = metadata.json
    if expression := values.get("license_expression"):
        return str(expression)
    name = str(values.get("license", "")).strip()
    if name and len(name) <= 60 and "\n" not in name and name != "UNKNOWN":
        return name
    classifiers = (str(value).split(" :: ") for value in metadata.get_all("Classifier") or ())
    names = [parts[-1] for parts in classifiers if parts[0] == "License" and len(parts) > 2]
    return "; ".join(names) or None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
