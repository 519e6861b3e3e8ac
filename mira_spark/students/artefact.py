"""A student as a folder: read only after every digest agreed, written the same byte for byte.

`manifest.json` holds the SHA-256 of every other file, so the manifest's own SHA-256 names the whole
artefact. `model.safetensors` is mapped, not read: all workers of a machine share one copy of the
weights. Its header must be exactly the one this module writes, so nothing in it is trusted.
"""

import hashlib
import json
import mmap
import os
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mira_spark.calibration import Calibration
from mira_spark.errors import ArtefactError, joined
from mira_spark.students import hashing
from mira_spark.students.linear import LinearStudent

MODEL, CONFIG, MANIFEST = "model.safetensors", "config.json", "manifest.json"
FILES = (CONFIG, MANIFEST, MODEL)
LINE = 64  # bytes of a cache line: weights start on one

Bytes = bytes | mmap.mmap


class Config(BaseModel):
    """What the weights are: the shapes in `model.safetensors` follow from it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["linear"]
    hashing_version: Literal[1]
    bits: int = Field(ge=1, le=30)
    slots: int = Field(ge=1, le=hashing.WIDTH)


class Manifest(BaseModel):
    """What the student was made from and how its scores are to be read.

    `files` is filled by `write`. `anchors` are the dimensions' names in slot order, which is also
    the order of `calibration` and of the masks. `reliability` is by source; a source it does not
    name uses `group_reliability`. `labels_version` is the Delta version of the labels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: dict[str, str] = {}
    rubric_id: str
    source_group: str
    anchors: tuple[str, ...]
    calibration: Calibration
    reliability: dict[str, tuple[bool, ...]]
    group_reliability: tuple[bool, ...]
    labels_version: int
    package_version: str


def write(folder: Path, student: LinearStudent, manifest: Manifest) -> str:
    """Write the artefact into a new or empty folder and give its digest, the manifest's SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(os.listdir(folder))
    if found:
        raise ArtefactError(f"{folder}: found {', '.join(found)}, expected an empty folder")
    config = Config(
        kind="linear", hashing_version=hashing.VERSION, bits=student.bits, slots=student.slots
    )
    _check_slots(folder, manifest, config)
    (folder / CONFIG).write_bytes(_json_bytes(config))
    with (folder / MODEL).open("wb") as file:
        file.write(_header(config))
        for name in _layout(config):
            file.write(np.ascontiguousarray(getattr(student, name), "<f4").data)
    files = {name: _sha256(_mapped(folder / name)) for name in (CONFIG, MODEL)}
    content = _json_bytes(manifest.model_copy(update={"files": files}))
    (folder / MANIFEST).write_bytes(content)
    return _sha256(content)


def read_manifest(folder: Path) -> Manifest:
    """The manifest, without a look at the other files."""
    return _parsed(Manifest, folder / MANIFEST, _read(folder / MANIFEST))


def load(folder: Path, digest: str) -> tuple[LinearStudent, Manifest]:
    """The student whose artefact has this digest.

    ArtefactError, before anything is parsed, when a file is missing, extra, no plain file, or has
    other bytes than when it was written; after that when what it says does not fit together.
    """
    _check_names(folder)
    content = _read(folder / MANIFEST)
    _check_digest(folder / MANIFEST, content, digest)
    manifest = _parsed(Manifest, folder / MANIFEST, content)
    if set(manifest.files) != {CONFIG, MODEL}:
        raise ArtefactError(
            f"{folder / MANIFEST}: files are {', '.join(sorted(manifest.files)) or 'none'}, "
            f"expected {CONFIG}, {MODEL}"
        )
    content = _read(folder / CONFIG)
    _check_digest(folder / CONFIG, content, manifest.files[CONFIG])
    weights = _mapped(folder / MODEL)
    _check_digest(folder / MODEL, weights, manifest.files[MODEL])
    config = _parsed(Config, folder / CONFIG, content)
    _check_slots(folder, manifest, config)
    return LinearStudent(config.slots, **_tensors(folder / MODEL, weights, config)), manifest


def _check_names(folder: Path) -> None:
    """Exactly the three files, each a plain one."""
    if not folder.is_dir():
        raise ArtefactError(f"{folder}: is no folder, expected one with {', '.join(FILES)}")
    entries = {entry.name: entry for entry in os.scandir(folder)}
    problems = [f"{folder / name}: is missing" for name in FILES if name not in entries]
    for name in sorted(entries):
        if name not in FILES:
            problems.append(f"{folder / name}: is extra, expected only {', '.join(FILES)}")
        elif entries[name].is_symlink() or not entries[name].is_file():
            what = "a symbolic link" if entries[name].is_symlink() else "no file"
            problems.append(f"{folder / name}: is {what}, expected a plain file")
    if problems:
        raise ArtefactError(joined(problems))


def _sha256(content: Bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check_digest(path: Path, content: Bytes, expected: str) -> None:
    found = _sha256(content)
    if found != expected:
        raise ArtefactError(f"{path}: SHA-256 is {found}, expected {expected}")


def _check_slots(folder: Path, manifest: Manifest, config: Config) -> None:
    """Everything by slot must have the student's number of slots."""
    lengths = {
        "anchors": manifest.anchors,
        "calibration": manifest.calibration,
        "group_reliability": manifest.group_reliability,
        **{f"reliability.{name}": mask for name, mask in sorted(manifest.reliability.items())},
    }
    problems = [
        f"{folder / MANIFEST}: {name} has {len(values)} slots, expected {config.slots}"
        for name, values in lengths.items()
        if len(values) != config.slots
    ]
    if problems:
        raise ArtefactError(joined(problems))


def _layout(config: Config) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor, all float32, in the order of the file; names are LinearStudent's."""
    shapes = len(hashing.SHAPE)
    return {
        "table": (1 << config.bits, hashing.WIDTH),
        "shape_weights": (shapes, hashing.WIDTH),
        "shape_centre": (shapes,),
        "shape_scale": (shapes,),
        "bias": (hashing.WIDTH,),
    }


def _header(config: Config) -> bytes:
    """The one safetensors header this configuration has; the table starts on a cache line."""
    tensors: dict[str, Any] = {}
    end = 0
    for name, shape in _layout(config).items():
        begin, end = end, end + 4 * int(np.prod(shape))
        tensors[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(tensors, separators=(",", ":")).encode()
    text = text.ljust(-(-(8 + len(text)) // LINE) * LINE - 8)
    return len(text).to_bytes(8, "little") + text


def _tensors(path: Path, weights: Bytes, config: Config) -> dict[str, npt.NDArray[np.float32]]:
    header = _header(config)
    layout = _layout(config)
    size = len(header) + 4 * sum(int(np.prod(shape)) for shape in layout.values())
    if weights[: len(header)] != header:
        found = weights[: len(header)].rstrip()
        raise ArtefactError(f"{path}: header is {found!r}, expected {header.rstrip()!r}")
    if len(weights) != size:
        raise ArtefactError(f"{path}: has {len(weights)} bytes, expected {size}")
    tensors, offset = {}, len(header)
    for name, shape in layout.items():
        count = int(np.prod(shape))
        tensors[name] = np.frombuffer(weights, "<f4", count, offset).reshape(shape)
        offset += 4 * count
    return tensors


Model = TypeVar("Model", bound=BaseModel)


def _parsed(model: type[Model], path: Path, content: bytes) -> Model:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        problems = [
            f"{path}: {'.'.join(map(str, problem['loc'])) or 'content'}: {problem['msg']}, "
            f"found {str(problem['input'])[:80]!r}"
            for problem in error.errors()
        ]
        raise ArtefactError(joined(problems)) from error


def _json_bytes(model: BaseModel) -> bytes:
    return (json.dumps(model.model_dump(mode="json"), sort_keys=True, indent=1) + "\n").encode()


def _read(path: Path) -> bytes:
    with _opened(path) as file:
        return file.read()


def _mapped(path: Path) -> Bytes:
    """The file's bytes, mapped; what is checked and what is used are one open file."""
    with _opened(path) as file:
        if os.fstat(file.fileno()).st_size == 0:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _opened(path: Path) -> BinaryIO:
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror}") from error
