"""The settings: one YAML file, one section per step, checked whole before anything starts.

Each section is a frozen model beside the code that reads it; here they are put together, loaded,
and every problem of a file is reported at once. `conf/local.yaml` shows all of them.
"""

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mira_spark.corpus import CorpusSettings
from mira_spark.discovery import DiscoverySettings
from mira_spark.distillation import DistillationSettings
from mira_spark.errors import ConfigError, joined
from mira_spark.grouping import GroupingSettings
from mira_spark.judges import secret
from mira_spark.judges.settings import JudgeSettings
from mira_spark.labelling import LabellingSettings
from mira_spark.registry import RegistrySettings
from mira_spark.reliability import ReliabilitySettings
from mira_spark.report import ReportSettings
from mira_spark.scoring import ScoringSettings
from mira_spark.selection import SelectionSettings

NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,127}(\.[A-Za-z_][A-Za-z0-9_]{0,127})?$"


class Settings(BaseModel):
    """Everything a run can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    namespace: str = Field("mira", pattern=NAME)
    session: Literal["local", "platform"] = "local"
    folder: Path = Path(".mira")
    local_cores: int | None = Field(None, ge=1)
    local_memory: str = Field("4g", pattern=r"^[1-9][0-9]*[gm]$")
    corpus: CorpusSettings = CorpusSettings()
    grouping: GroupingSettings = GroupingSettings()
    judge: JudgeSettings = JudgeSettings()
    discovery: DiscoverySettings = DiscoverySettings()
    labelling: LabellingSettings = LabellingSettings()
    distillation: DistillationSettings = DistillationSettings()
    reliability: ReliabilitySettings = ReliabilitySettings()
    registry: RegistrySettings = RegistrySettings()
    scoring: ScoringSettings = ScoringSettings()
    selection: SelectionSettings = SelectionSettings()
    report: ReportSettings = ReportSettings()

    @model_validator(mode="after")
    def _without_keys(self) -> Self:
        """What a setting says is stored with what was made by it, and shown."""
        leaves = _leaves(self.model_dump(mode="json"))
        if held := [key for key, value in leaves if secret.holds_key(str(value))]:
            raise ValueError(
                f"{', '.join(held)}: a key or password is never put into settings; set it in the "
                "environment (MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, PGPASSWORD)"
            )
        return self

    def digest(self, sections: Sequence[str]) -> str:
        """Hex SHA-256 of the named sections: equal means the step would do the same."""
        chosen = self.model_dump(mode="json", include=set(sections))
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def load(path: Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """The settings of a file (None: the defaults) with `key=value` overrides on top.

    Raises ConfigError listing every problem of the file and the overrides at once.
    """
    where = str(path) if path else "settings"
    tree = _read(path) if path else {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"--set {override}: expected key=value, e.g. selection.budget=30%")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {override}: the value is not YAML") from error
        _set(tree, key.strip().split("."), parsed, override)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        problems = joined(f"{where}: {p}" for p in _problems(error))
    # Not from the error: its own text shows the input, in which somebody may have put a key.
    raise ConfigError(problems)


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not YAML: {error}") from error
    if tree is not None and not isinstance(tree, dict):
        raise ConfigError(f"{path}: should hold sections of settings, found {tree!r:.60}")
    return tree or {}


def _set(tree: dict[str, Any], keys: list[str], value: Any, override: str) -> None:
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {override}: {key} is a value, not a section")
    tree[keys[-1]] = value


def _problems(error: ValidationError) -> Iterator[str]:
    for found in error.errors():
        key = ".".join(str(part) for part in found["loc"])
        if found["type"] == "extra_forbidden":
            yield _unknown(found["loc"])
        else:
            message = found["msg"].removeprefix("Value error, ")
            is_of_a_judge = {"judge", "served"} & set(found["loc"][:2])
            may_be_a_key = is_of_a_judge or found["loc"][:1] == ("registry",)
            may_be_a_key = may_be_a_key and isinstance(found["input"], str)
            is_hidden = may_be_a_key or secret.holds_key(str(found["input"]))
            is_shown = not isinstance(found["input"], Mapping) and not is_hidden
            shown = f", found {found['input']!r}" if is_shown else ""
            yield f"{key}: {message}{shown}" if key else message


def _leaves(tree: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a tree of mappings and lists with its dotted key."""
    if isinstance(tree, dict | list):
        for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, tree


def _unknown(location: tuple[int | str, ...]) -> str:
    section, name = [str(part) for part in location[:-1]], str(location[-1])
    model: type[BaseModel] = Settings
    for part in section:
        # Below a mapping the parts are the user's own names.
        if part in model.model_fields:
            model = _section(model.model_fields[part].annotation) or model
    known = sorted(model.model_fields)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {'.'.join([*section, near[0]])}?" if near else "."
    return f"{'.'.join([*section, name])} is not a setting{hint} Known: {', '.join(known)}"


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model that a setting holds, alone, as an option, or as the values of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _section(each))), None)
