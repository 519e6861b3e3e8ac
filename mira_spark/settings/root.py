"""The settings: one YAML file, one section per step, checked whole before anything starts.

Each section is a frozen model beside the code that reads it; here they are put together, loaded,
and every problem of a file is reported at once. `conf/local.yaml` shows all of them.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mira_spark.errors import ConfigError, joined
from mira_spark.lake.storage import Root, is_uri
from mira_spark.settings import yaml_files
from mira_spark.settings.baselines import BaselinesSettings
from mira_spark.settings.corpus import NO_INPUT, CorpusSettings, GroupingSettings
from mira_spark.settings.duplicates import DuplicatesSettings
from mira_spark.settings.embedder import EmbedderSettings, Grouping
from mira_spark.settings.evaluation import EvaluationSettings
from mira_spark.settings.gate import GateSettings
from mira_spark.settings.judge import JudgeSettings
from mira_spark.settings.labels import LabellingSettings
from mira_spark.settings.plan import PlanSettings
from mira_spark.settings.problems import problem_lines
from mira_spark.settings.report import ReportSettings
from mira_spark.settings.rubrics import DiscoverySettings
from mira_spark.settings.scoring import ScoringSettings
from mira_spark.settings.secrets import holds_key
from mira_spark.settings.selection import SelectionSettings
from mira_spark.settings.students import (
    DistillationSettings,
    QualitySettings,
    Registry,
    RegistrySettings,
)
from mira_spark.settings.types import JavaMemory, LocalPath, RootFolder, SchemaName

DEFAULT_FOLDER = Path(".mira")
MOST_SHOWN = 200
"""Problems of a file that are listed."""


class Settings(BaseModel):
    """Everything a run can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    namespace: SchemaName = "mira"
    session: Literal["local", "platform"] = "local"
    folder: RootFolder = DEFAULT_FOLDER
    driver_folder: LocalPath | None = None
    single_writer: bool = False
    local_cores: int | None = Field(None, ge=1)
    local_memory: JavaMemory = "4g"
    corpus: CorpusSettings = CorpusSettings()
    duplicates: DuplicatesSettings = DuplicatesSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    embedder: EmbedderSettings = EmbedderSettings()
    grouping: GroupingSettings = GroupingSettings()
    judge: JudgeSettings = JudgeSettings()
    discovery: DiscoverySettings = DiscoverySettings()
    labelling: LabellingSettings = LabellingSettings()
    distillation: DistillationSettings = DistillationSettings()
    quality: QualitySettings = QualitySettings()
    gate: GateSettings = GateSettings()
    registry: RegistrySettings = RegistrySettings()
    scoring: ScoringSettings = ScoringSettings()
    baselines: BaselinesSettings = BaselinesSettings()
    selection: SelectionSettings = SelectionSettings()
    report: ReportSettings = ReportSettings()
    plan: PlanSettings = PlanSettings()

    @model_validator(mode="after")
    def _without_keys(self) -> Self:
        """What a setting says is stored with what was made by it, and shown."""
        leaves = _leaves(self.model_dump(mode="json"))
        if held := [key for key, value in leaves if holds_key(str(value))]:
            raise ValueError(
                f"{', '.join(held)}: a key or password is never put into settings; set it in the "
                "environment (MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, PGPASSWORD)"
            )
        return self

    @model_validator(mode="after")
    def _local_in_a_path(self) -> Self:
        if self.session == "local" and not isinstance(self.folder, Path):
            raise ValueError(
                f"folder: {self.folder} is for session: platform; a local session has its catalog "
                "in the folder, and needs a path of this machine"
            )
        if not isinstance(self.folder, Path) and self.corpus.input == "python_environment":
            raise ValueError(
                "corpus.input: python_environment needs a folder that is a path: its files are "
                "laid there"
            )
        if self.session == "local" and self.driver_folder is not None:
            raise ValueError(
                "driver_folder: is for session: platform; a local session has all in its folder"
            )
        return self

    @property
    def driver_files(self) -> Path:
        """The folder of what the driver alone uses, on a disk of its own: the journal, labels that
        are learnt, and of a local session all there is."""
        if self.session == "local":
            return Path(self.folder)
        return self.driver_folder or DEFAULT_FOLDER

    @property
    def source_grouping(self) -> Grouping:
        """How sources are grouped."""
        return Grouping(self.grouping, self.embedder)

    @property
    def student_registry(self) -> Registry:
        """Where students are registered."""
        is_local = self.session == "local"
        return Registry(self.registry, self.folder, self.driver_files, is_local)

    def digest(self, sections: Sequence[str]) -> str:
        """Hex SHA-256 of the named sections: equal means the step would do the same."""
        chosen = self.model_dump(mode="json", include=set(sections))
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()

    def as_yaml(self) -> str:
        """A settings file that says the same, without what is as by default."""
        said = self.model_dump(mode="json", exclude_defaults=True)
        return yaml.safe_dump(said, sort_keys=False, allow_unicode=True)


def load(
    path: Root | None = None,
    overrides: Sequence[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings of a file, by path or URI, with `key=value` overrides on top and other
    `defaults` beneath.

    A section without anything in it is an empty one: all its settings have their defaults. A file
    says what the corpus is. Raises ConfigError listing every problem of the file and the overrides
    at once.
    """
    if isinstance(path, str) and not is_uri(path):
        path = Path(path)
    where = str(path) if path else "settings"
    tree, problems = _read(path) if path else ({}, [])
    for override in overrides:
        problems += _apply(tree, override)
    try:
        problems += [f"{where}: {key}: should fit in 64 bits" for key in _without_wide(tree)]
        tree = _over(_with_sections(tree, Settings), defaults or {})
        corpus = tree.get("corpus", {})
        if (
            path
            and isinstance(corpus, dict)
            and not {"input", "inputs"} & {k for k in corpus if corpus[k]}
        ):
            problems.append(f"{where}: {NO_INPUT}")
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        problems += [f"{where}: {problem}" for problem in problem_lines(error, tree, Settings)]
    if not problems:
        return settings
    if len(problems) > MOST_SHOWN:
        problems[MOST_SHOWN:] = [f"{where}: {len(problems) - MOST_SHOWN:,} more problems"]
    # Not from the error: its own text shows the input, in which somebody may have put a key.
    raise ConfigError(joined(problems))


def _read(path: Root) -> tuple[dict[str, Any], list[str]]:
    """What a file says, and what is wrong with how it says it."""
    document = yaml_files.parse(yaml_files.read(path), str(path))
    tree = document.value
    if tree is not None and not isinstance(tree, dict):
        raise ConfigError(f"{path}: should hold sections of settings, found {tree!r:.60}")
    return tree or {}, [f"{path}: line {line}: {what}" for line, what in document.problems]


def _apply(tree: dict[str, Any], override: str) -> list[str]:
    """Put a `key=value` into the tree; what is wrong with it."""
    key, equals, value = override.partition("=")
    key, problems = key.strip(), []
    if not equals or not all(key.split(".")):
        return [f"--set {override}: should be key=value, e.g. selection.budget=30%"]
    try:
        document = yaml_files.parse(value, f"--set {key}")
        problems += [f"--set {key}: {what}" for _, what in document.problems]
        _set(tree, key.split("."), document.value, f"--set {key}")
    except ConfigError as error:
        problems.append(str(error))
    return problems


def _set(tree: dict[str, Any], keys: list[str], value: Any, override: str) -> None:
    for key in keys[:-1]:
        if tree.get(key) is None:
            tree[key] = {}
        tree = tree[key]
        if not isinstance(tree, dict):
            raise ConfigError(f"{override}: {key} is a value, not a section")
    tree[keys[-1]] = value


def _without_wide(tree: dict[str, Any], before: str = "") -> Iterator[str]:
    """Takes the integers out that Spark cannot hold; gives their keys."""
    for name, value in list(tree.items()):
        if isinstance(value, dict):
            yield from _without_wide(value, f"{before}{name}.")
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            del tree[name]
            yield f"{before}{name}"


def _with_sections(tree: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """The tree with an empty mapping for every section and mapping that has nothing in it."""
    filled = dict(tree)
    for name, field in model.model_fields.items():
        kind = get_origin(field.annotation) or field.annotation
        if name not in filled or not isinstance(kind, type):  # an option has None for a value
            continue
        if filled[name] is None and issubclass(kind, BaseModel | Mapping):
            filled[name] = {}
        if isinstance(filled[name], Mapping) and issubclass(kind, BaseModel):
            filled[name] = _with_sections(filled[name], kind)
    return filled


def _over(tree: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with what it does not say from `defaults`."""
    merged = dict(defaults)
    for key, value in tree.items():
        below = defaults.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = _over(value, below)
        else:
            merged[key] = value
    return merged


def _leaves(tree: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a tree of mappings and lists with its dotted key."""
    if isinstance(tree, dict | list):
        for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, tree
