"""Models that users bring: a folder, or a hub id that they configured. Drivers only."""

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from mira_spark.distillation import memory
from mira_spark.errors import ArtefactError
from mira_spark.students.architecture import CLASSES, Family, off_list


def model(name: str, family: Family, copies: int = 1) -> nn.Module:
    """The model in float32. Only safetensors are read, and no code of the folder is run.

    ArtefactError when there is no such model, or its type is not on the list; InputError when
    there is no memory for `copies` of its weights (training holds four) and no GPU.
    """
    _check_named(name)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        # Said, or transformers asks on a terminal and runs the code where somebody types y.
        config = transformers.AutoConfig.from_pretrained(
            name, local_files_only=_is_folder(name), trust_remote_code=False
        )
        names = CLASSES[family].get(config.model_type)
        if names is None:
            raise ArtefactError(off_list(config.model_type, family, name))
        model_class = getattr(transformers, names[1])
        with torch.device("meta"):
            weights = sum(weight.numel() for weight in model_class(config).parameters())
        if not torch.cuda.is_available():
            memory.require_memory(
                4 * weights * copies, f"{name}: {weights:,} weights, {copies} times,"
            )
        loaded: nn.Module = model_class.from_pretrained(
            name,
            local_files_only=_is_folder(name),
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
        )
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{name}: no model can be read: {str(error).strip()}") from error
    return loaded


def tokenizer(name: str) -> bytes:
    """The bytes of its tokenizer.json; ArtefactError when it has none."""
    _check_named(name)
    if _is_folder(name):
        path = Path(name) / "tokenizer.json"
    else:
        from huggingface_hub import hf_hub_download

        try:
            path = Path(hf_hub_download(name, "tokenizer.json"))
        except (OSError, ValueError) as error:
            raise ArtefactError(f"{name}: no tokenizer.json can be read: {error}") from error
    if not path.is_file():
        raise ArtefactError(f"{path}: is missing; save the tokenizer as a fast one beside it")
    return path.read_bytes()


def most_tokens(model: Any) -> int:
    """How many positions the model has; special ones of RoBERTa's padding are not counted."""
    config = model.config
    offset = config.pad_token_id + 1 if "roberta" in config.model_type else 0
    return int(config.max_position_embeddings) - offset


def _is_folder(name: str) -> bool:
    return Path(name).is_dir()


def _check_named(name: str) -> None:
    if not name:
        raise ArtefactError("distillation: no model is set: a folder or a hub id")
