"""What identifies an embedder: under one id equal texts have equal vectors."""

import functools
import hashlib
from pathlib import Path

from mira_spark.corpus.embedding import HASHING
from mira_spark.errors import InputError
from mira_spark.settings.embedder import EmbedderSettings
from mira_spark.settings.urls import host_of

MODEL_FILES = ("config.json", "tokenizer.json", "*.safetensors")


def embedder_id(settings: EmbedderSettings) -> str:
    """The id of the embedder; that of an encoder is of its files, not of where they lie.

    InputError where a folder is not one of an encoder, or a hub id cannot be fetched.
    """
    if settings.kind == "encoder":
        folder = model_folder(settings.model or "")
        files = sorted(file for pattern in MODEL_FILES for file in folder.glob(pattern))
        states = tuple((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files)
        return f"encoder:{_digest(states)[:16]}:{settings.max_tokens}"
    if settings.kind == "openai":
        size = "" if settings.dimensions is None else f":{settings.dimensions}"
        where = host_of(settings.url or "")
        return f"openai:{where}:{settings.model}{size}:{settings.max_characters}"
    return HASHING


def model_folder(name: str) -> Path:
    """The folder of an encoder: `name`, or where the files of the hub id lie on this machine once
    they are fetched. InputError where there is none, or it lacks a file."""
    folder = Path(name) if Path(name).exists() else _fetched(name)
    missing = [pattern for pattern in MODEL_FILES if not any(folder.glob(pattern))]
    if missing:
        raise InputError(
            f"embedder.model: {folder} holds no {', no '.join(missing)}; it should be the folder "
            "of an encoder, or a hub id"
        )
    return folder


def _fetched(name: str) -> Path:
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
        f"embedder.model: {name} is no folder here, and cannot be fetched as a hub id: {error}"
    )


@functools.lru_cache(maxsize=8)
def _digest(files: tuple[tuple[str, int, int], ...]) -> str:
    """Of names and contents; size and time of change say when to read them again."""
    whole = hashlib.sha256()
    for path, *_ in files:
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{Path(path).name}\x00{digest}\n".encode())
    return whole.hexdigest()
