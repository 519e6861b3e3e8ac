"""MLflow: one run and one registered version per student, and its aliases `champion` and
`challenger`."""

import functools
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from mira_spark.settings import Settings

CHAMPION, CHALLENGER = "champion", "challenger"


class RegistrySettings(BaseModel):
    """Where students are registered: `<prefix>_<group>` (Unity Catalog: catalog.schema.prefix).

    `tracking_uri` None: SQLite and files in the local folder, or the platform's own MLflow.
    `students_folder`: a path that every executor can read, where artefacts lie; None: `students`
    in the local folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tracking_uri: str | None = None
    experiment: str = "mira_spark"
    students_folder: Path | None = None
    prefix: str = Field("mira", pattern=r"^[A-Za-z_][A-Za-z0-9_.]{0,199}$")


def model_name(settings: "Settings", source_group: str) -> str:
    """The registered model of a group."""
    return f"{settings.registry.prefix}_{source_group}"


def students_folder(settings: "Settings") -> Path:
    """Where artefacts lie for the executors, one folder each, named by its digest."""
    return (settings.registry.students_folder or settings.folder / "students").absolute()


@dataclass(frozen=True)
class Registration:
    """What MLflow keeps of one student: `inputs` are Delta tables and the versions it was made
    from, `metrics` figures by name, `tables` and `figures` (plotly) files by name without suffix.
    """

    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    inputs: Mapping[str, int]
    tables: Mapping[str, pd.DataFrame]
    figures: Mapping[str, Any]
    package_version: str


def register(
    settings: "Settings", source_group: str, artefact: Path, registration: Registration
) -> str:
    """Log an artefact folder as one run and register it as `challenger`: the student_id,
    `<registered model>/<version>`.

    The model is a pyfunc too, for people who score a few texts by hand (see `student_pyfunc`).
    """
    import mlflow

    client = _client(settings)
    name = model_name(settings, source_group)
    with mlflow.start_run(experiment_id=_experiment(client, settings), run_name=name):
        mlflow.log_params(dict(registration.parameters))
        mlflow.log_metrics(dict(registration.metrics))
        for table, at in registration.inputs.items():
            mlflow.log_input(_dataset(table, at), context="training")
        for title, frame in registration.tables.items():
            mlflow.log_text(frame.to_csv(index=False), f"{title}.csv")
        for title, figure in registration.figures.items():
            mlflow.log_figure(figure, f"{title}.html")
        logged = _logged(artefact, registration.package_version)
    version = _registered(client, name, logged)
    client.set_registered_model_alias(name, CHALLENGER, version)
    return f"{name}/{version}"


def _registered(client: Any, name: str, logged: Any) -> str:
    """The new version. Not by `log_model`, which prints what it does."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    found = client.create_model_version(
        name, logged.model_uri, logged.run_id, model_id=logged.model_id
    )
    return str(found.version)


def _logged(artefact: Path, package_version: str) -> Any:
    """The model in the run at work. Nothing is pickled: MLflow's file names our loader."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    text, source = ColSpec("string", "text"), ColSpec("string", "source", required=False)
    quality = ColSpec("double", "quality", required=False)
    scores = ColSpec(Array(DataType.double), "dimension_scores", required=False)
    return mlflow.pyfunc.log_model(
        name="student",
        loader_module="mira_spark.student_pyfunc",
        data_path=str(artefact),
        signature=ModelSignature(Schema([text, source]), Schema([quality, scores])),
        input_example=pd.DataFrame({"text": ["An example."], "source": ["any"]}),
        pip_requirements=[f"mira-spark[student]=={package_version}"],
    )


def _dataset(table: str, version: int) -> Any:
    """A Delta table at a version, as MLflow's lineage names it; nothing is read."""
    from mlflow.data import meta_dataset
    from mlflow.data.delta_dataset_source import DeltaDatasetSource

    source = DeltaDatasetSource(delta_table_name=table, delta_table_version=version)
    return meta_dataset.MetaDataset(source, name=table)  # type: ignore[abstract]  # it is not


def promote(settings: "Settings", student_id: str) -> None:
    """Make a registered student its group's champion; it is no challenger any more."""
    name, _, version = student_id.rpartition("/")
    client = _client(settings)
    client.set_registered_model_alias(name, CHAMPION, version)
    if student_of(settings, name, CHALLENGER) == student_id:
        client.delete_registered_model_alias(name, CHALLENGER)


def log_report(settings: "Settings", path: Path, metrics: Mapping[str, float]) -> None:
    """Log a report's file and figures as one MLflow run."""
    import mlflow

    client = _client(settings)
    with mlflow.start_run(experiment_id=_experiment(client, settings), run_name="report"):
        mlflow.log_metrics(dict(metrics))
        mlflow.log_artifact(str(path))


def champions(settings: "Settings", source_groups: Iterable[str]) -> dict[str, str]:
    """Group to the student_id its champion alias points at now; groups without one are absent."""
    found = {g: student_of(settings, model_name(settings, g), CHAMPION) for g in source_groups}
    return {group: student_id for group, student_id in found.items() if student_id is not None}


def student_of(settings: "Settings", name: str, alias: str) -> str | None:
    """The student_id that a registered model's alias points at; None where there is none."""
    from mlflow.exceptions import MlflowException

    try:
        version = _client(settings).get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None
    return f"{name}/{version.version}"


def _experiment(client: Any, settings: "Settings") -> str:
    """The experiment's id; created with its files in the local folder when the session is local."""
    found = client.get_experiment_by_name(settings.registry.experiment)
    if found is not None:
        return str(found.experiment_id)
    local = settings.session == "local" and settings.registry.tracking_uri is None
    files = (settings.folder.absolute() / "mlartifacts").as_uri() if local else None
    return str(client.create_experiment(settings.registry.experiment, artifact_location=files))


def _client(settings: "Settings") -> Any:
    return _connected(settings.registry.tracking_uri, settings.session, settings.folder.absolute())


@functools.lru_cache(maxsize=4)
def _connected(tracking_uri: str | None, session: str, folder: Path) -> Any:
    import mlflow
    from mlflow.tracking import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # importing it sets INFO
    # Off Databricks it warns that it is not there, for every table named.
    logging.getLogger("mlflow.utils.databricks_utils").setLevel(logging.ERROR)
    if tracking_uri is None and session == "local":
        tracking_uri = f"sqlite:///{folder}/mlflow.db"
    if tracking_uri is not None:
        mlflow.set_tracking_uri(tracking_uri)
    return MlflowClient()
