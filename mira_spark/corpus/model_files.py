"""Models that a setting names: their folder on this machine, and what tells them from others."""

import functools
import hashlib
from pathlib import Path

from mira_spark.errors import InputError

MODEL_FILES = ("config.json", "tokenizer.json", "*.safetensors")


def model_folder(name: str, setting: str, what: str) -> Path:
    """The folder `name`, or where the files of the hub id lie on this machine once they are
    fetched. InputError, of the `setting` that should name `what`, where there is none, or it lacks
    a file."""
    folder = Path(name) if Path(name).exists() else _fetched(name, setting)
    missing = [pattern for pattern in MODEL_FILES if not any(folder.glob(pattern))]
    if missing:
        raise InputError(
            f"{setting}: {folder} holds no {', no '.join(missing)}; it should be the folder of "
            f"{what}, or a hub id"
        )
    return folder


def model_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of the model's files, not over where they lie."""
    files = sorted(file for pattern in MODEL_FILES for file in folder.glob(pattern))
    return _digest(tuple((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files))


def _fetched(name: str, setting: str) -> Path:
    from huggingface_hub import snapshot_download

    error: Exception | None = None
    for offline in (True, False):
        try:
            return Path(
                snapshot_download(name, allow_patterns=list(MODEL_FILES), local_files_only=offline)
            )
        except (OSError, ValueError) as refusal:
            error = refusal
    raise InputError(
        f"{setting}: {name} is no folder here, and cannot be fetched as a hub id: {error}"
    )


@functools.lru_cache(maxsize=8)
def _digest(files: tuple[tuple[str, int, int], ...]) -> str:
    """Size and time of change say when to read the files again."""
    whole = hashlib.sha256()
    for path, *_ in files:
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{Path(path).name}\x00{digest}\n".encode())
    return whole.hexdigest()
