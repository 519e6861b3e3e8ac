"""Baselines that are models which users bring: read from their folder and checked. Drivers only."""

from pathlib import Path
from typing import Any

from mira_spark.distillation import pretrained
from mira_spark.errors import ArtefactError
from mira_spark.scoring.baselines import models
from mira_spark.scoring.baselines.saved import SavedBaseline
from mira_spark.students.architecture import CLASSES, Family

FAMILIES: dict[str, Family] = {"perplexity": "causal", "educational": "classifier"}


def saved_baseline(name: str, folder: Path, max_tokens: int) -> SavedBaseline:
    """The model in the folder as the baseline `name`, which reads at most so many tokens.

    ArtefactError when it cannot be read, is of another family, or a classifier has other than one
    output.
    """
    family = FAMILIES[name]
    loaded = pretrained.model(str(folder), family)
    if (problem := _unlike(loaded.config, family)) is not None:
        raise ArtefactError(f"{folder} {problem}")
    tokenizer = pretrained.tokenizer(str(folder))
    most = min(max_tokens, pretrained.most_tokens(loaded))
    return models.saved_model(name, family, loaded, tokenizer, most)


def _unlike(config: Any, family: Family) -> str | None:
    """Why a model of this configuration is none of the family; None where it is."""
    said = config.architectures or ["no named class"]
    if not {class_name for _, class_name in CLASSES[family].values()} & set(said):
        return f"is of {', '.join(said)}"
    if family == "classifier" and config.num_labels != 1:
        return f"has {config.num_labels} outputs"
    return None
