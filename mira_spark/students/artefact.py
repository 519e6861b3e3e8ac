"""A student as a folder: read only after every digest agreed, written the same byte for byte.

`manifest.json` holds the SHA-256 of every other file, so the manifest's own SHA-256 names the whole
artefact. Every file is read once, and what was hashed is what is used: a file that is changed later
changes no student that was loaded.
"""

import hashlib
import json
import mmap
import os
from io import BufferedReader
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from mira_spark.errors import ArtefactError, joined
from mira_spark.students import linear, weights
from mira_spark.students.calibration import Calibration
from mira_spark.students.configs import (
    Config,
    EncoderConfig,
    GenerativeConfig,
    LinearConfig,
    ServedConfig,
)
from mira_spark.students.protocol import Student
from mira_spark.students.quality import QualityTable
from mira_spark.students.weights import Bytes, Dtype, FloatArrays, Shapes

MODEL, CONFIG, MANIFEST, TOKENIZER = (
    "model.safetensors",
    "config.json",
    "manifest.json",
    "tokenizer.json",
)
_FILES = (CONFIG, MANIFEST, MODEL)
"""Of every artefact; a kind that reads tokens has TOKENIZER too."""


class Manifest(BaseModel):
    """What the student was made from and how its scores are to be read.

    `files` is filled by `write`. `anchors` are the dimensions' names in slot order, which is also
    the order of `calibration` and of the cells of `quality`. `labels_version` is the Delta version
    of the labels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: dict[str, str] = {}
    rubric_id: str
    source_group: str
    anchors: tuple[str, ...]
    calibration: Calibration
    quality: QualityTable
    labels_version: int
    package_version: str


def write(folder: Path, student: Student, manifest: Manifest) -> str:
    """Write the artefact into a new or empty folder and give its digest, the manifest's SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    present = sorted(os.listdir(folder))
    if present:
        raise ArtefactError(f"{folder}: found {', '.join(present)}, expected an empty folder")
    config, tensors, shapes = student.config, student.tensors(), _layout(student.config)
    _check_slots(folder, manifest, config)
    (folder / CONFIG).write_bytes(_json_bytes(config))
    if student.tokenizer is not None:
        (folder / TOKENIZER).write_bytes(student.tokenizer)
    weights.write(folder / MODEL, tensors, shapes, _dtype(config))
    files = {name: _file_sha256(folder / name) for name in sorted(os.listdir(folder))}
    content = _json_bytes(manifest.model_copy(update={"files": files}))
    (folder / MANIFEST).write_bytes(content)
    return _sha256(content)


def read_manifest(folder: Path, digest: str | None = None) -> Manifest:
    """The manifest, without a look at the other files; ArtefactError when its digest differs."""
    content = _read(folder / MANIFEST)
    if digest is not None:
        _check_digest(folder / MANIFEST, content, digest)
    return _validate(TypeAdapter(Manifest), folder / MANIFEST, content)


def read_config(folder: Path, digest: str) -> Config:
    """What kind of student the artefact with this digest is; its weights are not looked at."""
    manifest, content = read_manifest(folder, digest), _read(folder / CONFIG)
    _check_digest(folder / CONFIG, content, manifest.files.get(CONFIG, "none"))
    config: Config = _validate(TypeAdapter(Config), folder / CONFIG, content)
    return config


def load(folder: Path, digest: str) -> tuple[Student, Manifest]:
    """The student whose artefact has this digest.

    ArtefactError, before anything is parsed, when a file is missing, extra, no plain file, or has
    other bytes than when it was written; after that when what it says does not fit together.
    """
    names = _checked_names(folder)
    manifest = read_manifest(folder, digest)
    if set(manifest.files) != names - {MANIFEST}:
        raise ArtefactError(
            f"{folder / MANIFEST}: files are {', '.join(sorted(manifest.files)) or 'none'}, "
            f"expected {', '.join(sorted(names - {MANIFEST}))}"
        )
    contents = {name: _in_memory(folder / name) for name in sorted(names - {MANIFEST})}
    for name, content in contents.items():
        _check_digest(folder / name, content, manifest.files[name])
    config: Config = _validate(TypeAdapter(Config), folder / CONFIG, bytes(contents[CONFIG]))
    _check_slots(folder, manifest, config)
    has_tokenizer = TOKENIZER in names
    if has_tokenizer != isinstance(config, EncoderConfig | GenerativeConfig):
        verb = "has" if has_tokenizer else "lacks"
        raise ArtefactError(f"{folder}: {verb} {TOKENIZER}, its kind is {config.kind}")
    tensors = weights.read(folder / MODEL, contents[MODEL], _layout(config), _dtype(config))
    return _restore_student(config, tensors, bytes(contents.get(TOKENIZER, b""))), manifest


def _restore_student(config: Config, tensors: dict[str, FloatArrays], tokenizer: bytes) -> Student:
    match config:
        case LinearConfig():
            return linear.restored(config, tensors)
        case EncoderConfig():
            from mira_spark.students import encoder  # torch takes seconds, and linear needs none

            return encoder.restored(config, tensors, tokenizer)
        case GenerativeConfig():
            from mira_spark.students import generative

            return generative.restored(config, tensors, tokenizer)
        case ServedConfig():
            from mira_spark.students import served

            return served.open_student(config)


def _layout(config: Config) -> Shapes:
    """Shape of each tensor, in the order of the file; ArtefactError when there is no such model."""
    match config:
        case LinearConfig():
            return linear.layout(config)
        case EncoderConfig():
            from mira_spark.students import encoder

            return encoder.layout(config)
        case GenerativeConfig():
            from mira_spark.students import generative

            return generative.layout(config)
        case ServedConfig():
            return {}


def _dtype(config: Config) -> Dtype:
    return config.dtype if isinstance(config, LinearConfig) else "F32"


def _checked_names(folder: Path) -> set[str]:
    """The names of the files: FILES, perhaps TOKENIZER, nothing else, each a plain file."""
    if not folder.is_dir():
        raise ArtefactError(f"{folder}: is no folder, expected one with {', '.join(_FILES)}")
    entries = {entry.name: entry for entry in os.scandir(folder)}
    problems = [f"{folder / name}: is missing" for name in _FILES if name not in entries]
    for name in sorted(entries):
        if name not in (*_FILES, TOKENIZER):
            problems.append(f"{folder / name}: is extra, expected only {', '.join(_FILES)}")
        elif entries[name].is_symlink() or not entries[name].is_file():
            what = "a symbolic link" if entries[name].is_symlink() else "no file"
            problems.append(f"{folder / name}: is {what}, expected a plain file")
    if problems:
        raise ArtefactError(joined(problems))
    return set(entries)


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
        "quality.weights": manifest.quality.weights,
        "quality.group": manifest.quality.group.counts,
        **{f"quality.{s}": cells.counts for s, cells in sorted(manifest.quality.sources.items())},
    }
    problems = [
        f"{folder / MANIFEST}: {name} has {len(values)} slots, expected {config.slots}"
        for name, values in lengths.items()
        if len(values) != config.slots
    ]
    if problems:
        raise ArtefactError(joined(problems))


Model = TypeVar("Model")


def _validate(model: TypeAdapter[Model], path: Path, content: bytes) -> Model:
    try:
        return model.validate_json(content)
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
    with _open_file(path) as file:
        return file.read()


def _in_memory(path: Path) -> memoryview:
    """The file's bytes, read once, read-only, from the start of a page on."""
    with _open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            return memoryview(b"")
        memory = mmap.mmap(-1, size)
        n_read = file.readinto(memory)
        return memoryview(memory).toreadonly()[:n_read]


def _file_sha256(path: Path) -> str:
    with _open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_file(path: Path) -> BufferedReader:
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror}") from error
