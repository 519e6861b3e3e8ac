"""What identifies an embedder: under one id equal texts have equal vectors."""

from pathlib import Path

from mira_spark.corpus import model_files
from mira_spark.corpus.embedding import HASHING
from mira_spark.settings.embedder import EmbedderSettings
from mira_spark.settings.urls import host_of


def embedder_id(settings: EmbedderSettings) -> str:
    """The id of the embedder; that of an encoder is of its files, not of where they lie.

    InputError where a folder is not one of an encoder, or a hub id cannot be fetched.
    """
    if settings.kind == "encoder":
        digest = model_files.model_digest(encoder_folder(settings))
        return f"encoder:{digest[:16]}:{settings.max_tokens}"
    if settings.kind == "openai":
        size = "" if settings.dimensions is None else f":{settings.dimensions}"
        where = host_of(settings.url or "")
        return f"openai:{where}:{settings.model}{size}:{settings.max_characters}"
    return HASHING


def encoder_folder(settings: EmbedderSettings) -> Path:
    """As `model_files.model_folder`, of `embedder.model`."""
    return model_files.model_folder(settings.model or "", "embedder.model", "an encoder")
