"""Transformers models from a closed list, built from numbers alone: no code of others, no hub.

An architecture is a dict: `model_type` and what of its configuration differs from the type's
defaults. Weights are arrays by parameter name, each tied pair once.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import transformers
from torch import nn

from mira_spark.errors import ArtefactError

Architecture = dict[str, Any]
Family = Literal["encoder", "causal", "classifier"]

CLASSES: dict[Family, dict[str, tuple[str, str]]] = {
    "encoder": {
        "bert": ("BertConfig", "BertModel"),
        "deberta-v2": ("DebertaV2Config", "DebertaV2Model"),
        "distilbert": ("DistilBertConfig", "DistilBertModel"),
        "modernbert": ("ModernBertConfig", "ModernBertModel"),
        "roberta": ("RobertaConfig", "RobertaModel"),
        "xlm-roberta": ("XLMRobertaConfig", "XLMRobertaModel"),
    },
    "causal": {
        "gpt2": ("GPT2Config", "GPT2LMHeadModel"),
        "llama": ("LlamaConfig", "LlamaForCausalLM"),
        "mistral": ("MistralConfig", "MistralForCausalLM"),
        "qwen2": ("Qwen2Config", "Qwen2ForCausalLM"),
        "qwen3": ("Qwen3Config", "Qwen3ForCausalLM"),
    },
    "classifier": {
        "bert": ("BertConfig", "BertForSequenceClassification"),
        "deberta-v2": ("DebertaV2Config", "DebertaV2ForSequenceClassification"),
        "distilbert": ("DistilBertConfig", "DistilBertForSequenceClassification"),
        "modernbert": ("ModernBertConfig", "ModernBertForSequenceClassification"),
        "roberta": ("RobertaConfig", "RobertaForSequenceClassification"),
        "xlm-roberta": ("XLMRobertaConfig", "XLMRobertaForSequenceClassification"),
    },
}
"""A classifier has one output: it says how much, not what."""
# Said by every configuration and of no use here, or a way to name code.
_LEFT_OUT = {"architectures", "auto_map", "_name_or_path", "transformers_version", "dtype",
             "torch_dtype", "id2label", "label2id", "problem_type"}  # fmt: skip
_LARGEST = 10_000_000


def described(model: Any) -> Architecture:
    """The architecture of a transformers model; ArtefactError when its type is not on the list."""
    found = model.config.to_diff_dict()
    known = _known_keys(type(model.config))  # what older versions wrote beside it means nothing now
    plain = {key: value for key, value in found.items() if key in known}
    return {"model_type": model.config.model_type} | plain


def layout(architecture: Architecture, family: Family) -> dict[str, tuple[int, ...]]:
    """Name to shape of every weight, computed without memory for one.

    ArtefactError for a type off the list, an unknown key, or a value no configuration has.
    """
    with torch.device("meta"):
        model = _built(architecture, family)
    return {name: tuple(weight.shape) for name, weight in model.named_parameters()}


def width(architecture: Architecture, family: Family) -> int:
    """The length of a token's last hidden state."""
    with torch.device("meta"):
        return int(_built(architecture, family).config.hidden_size)


def restored(
    architecture: Architecture, family: Family, weights: Mapping[str, npt.NDArray[np.float32]]
) -> nn.Module:
    """The model with these weights, in float32 on the CPU, in evaluation mode."""
    model: nn.Module = _built(architecture, family)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(torch.from_numpy(np.array(weights[name])))
    return model.eval()


def weights_of(model: nn.Module) -> dict[str, npt.NDArray[np.float32]]:
    """The weights as float32 arrays by name, each tied pair once."""
    return {
        name: weight.detach().to("cpu", torch.float32).numpy()
        for name, weight in model.named_parameters()
    }


def _built(architecture: Architecture, family: Family) -> Any:
    model_type = architecture.get("model_type")
    names = CLASSES[family].get(model_type) if isinstance(model_type, str) else None
    if names is None:
        raise ArtefactError(off_list(model_type, family, "config.json"))
    config_class, model_class = (getattr(transformers, name) for name in names)
    given = {key: value for key, value in architecture.items() if key != "model_type"}
    known = _known_keys(config_class)
    problems = [f"{key} is not of {model_type}" for key in given if key not in known]
    problems += [f"{key} is {value!r}" for key, value in given.items() if not _plain(value)]
    if problems:
        raise ArtefactError(f"config.json: architecture: {'; '.join(problems)}")
    outputs = {"num_labels": 1} if family == "classifier" else {}
    try:
        return model_class(config_class(**given, **outputs))
    except Exception as error:  # of whatever kind: these numbers make no model
        raise ArtefactError(f"config.json: architecture: {str(error).strip()}") from error


def _known_keys(config_class: Any) -> set[str]:
    return set(config_class().to_dict()) - _LEFT_OUT


def _plain(value: Any) -> bool:
    """Whether a value is a number, a word or a flag of sensible size, or a few of them."""
    if isinstance(value, dict):
        return len(value) <= 100 and all(_plain(v) for v in (*value, *value.values()))
    if isinstance(value, list):
        return len(value) <= 1_000 and all(_plain(v) for v in value)
    if isinstance(value, str):
        return len(value) <= 100
    return value is None or (isinstance(value, bool | int | float) and abs(value) <= _LARGEST)


def off_list(model_type: object, family: Family, where: str) -> str:
    """What to say of a type that is not on the list."""
    listed = ", ".join(CLASSES[family])
    return f"{where}: model_type is {model_type!r}, expected one of {listed}"
