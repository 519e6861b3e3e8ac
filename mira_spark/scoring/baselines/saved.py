"""A baseline as a folder: what is said of it, its numbers and its tokenizer; no code."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mira_spark.errors import ArtefactError
from mira_spark.lake import storage
from mira_spark.scoring.scorer import Scorer

_SAID, _ARRAYS, _TOKENS = "config.json", "arrays.npz", "tokenizer.json"
_NAMED = 16


class SavedBaseline(NamedTuple):
    """`config` names the baseline and holds all but numbers that its scores follow from; `arrays`
    are those numbers, by name; `tokenizer` is a `tokenizer.json`, empty without one."""

    config: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]
    tokenizer: bytes = b""


def write(folder: Path, saved: SavedBaseline) -> str:
    """Write a new folder and give its digest; equal baselines have equal digests."""
    folder.mkdir(parents=True)
    said = json.dumps(saved.config, sort_keys=True, indent=1)
    (folder / _SAID).write_text(said, encoding="utf-8")
    np.savez(folder / _ARRAYS, **saved.arrays)  # type: ignore[arg-type]  # names are no options
    (folder / _TOKENS).write_bytes(saved.tokenizer)
    return _digest(folder)


def lay(home: str, saved: SavedBaseline, work: Path) -> Scorer:
    """The baseline in a folder of its own below the path or URI `home`, named by its digest as it
    is itself; what is there stays. It is written in the local folder `work` first."""
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".baseline-", dir=work) as temporary:
        folder = Path(temporary) / "baseline"
        digest = write(folder, saved)
        name = digest[:_NAMED]
        storage.copy_folder(folder, f"{home}/{name}", _SAID)
    return Scorer(name, f"{home}/{name}", digest)


def is_there(scorer: Scorer) -> bool:
    """Whether the baseline's folder is where it was laid, and whole."""
    return storage.has_file(f"{scorer.artefact_uri}/{_SAID}")


def read(folder: Path, digest: str) -> SavedBaseline:
    """The baseline of this digest; ArtefactError when a file is missing or another."""
    try:
        if (found := _digest(folder)) != digest:
            raise ArtefactError(f"{folder}: its digest is {found:.12}, expected {digest:.12}")
        config = json.loads((folder / _SAID).read_text(encoding="utf-8"))
        with np.load(folder / _ARRAYS) as arrays:  # numbers alone: numpy unpickles nothing
            return SavedBaseline(config, dict(arrays), (folder / _TOKENS).read_bytes())
    except OSError as error:
        raise ArtefactError(f"{folder}: cannot be read: {error}") from error


def _digest(folder: Path) -> str:
    """SHA-256 over those of the files."""
    whole = hashlib.sha256()
    for name in (_SAID, _ARRAYS, _TOKENS):
        with (folder / name).open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()
