"""MLflow: one run and one registered version per student, and the alias `champion`."""

import functools
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from mira_spark.settings import Settings

CHAMPION = "champion"


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


def register(
    settings: "Settings",
    source_group: str,
    artefact: Path,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
) -> str:
    """Log an artefact folder with its parameters and metrics and register it: the student_id,
    `<registered model>/<version>`."""
    import mlflow
    from mlflow.exceptions import MlflowException

    client = _client(settings)
    name = model_name(settings, source_group)
    with mlflow.start_run(experiment_id=_experiment(client, settings), run_name=name) as run:
        mlflow.log_params(dict(parameters))
        mlflow.log_metrics(dict(metrics))
        mlflow.log_artifacts(str(artefact), "student")
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{run.info.artifact_uri}/student"
    version = client.create_model_version(name, source, run.info.run_id)
    return f"{name}/{version.version}"


def promote(settings: "Settings", student_id: str) -> None:
    """Make a registered student its group's champion."""
    name, _, version = student_id.rpartition("/")
    _client(settings).set_registered_model_alias(name, CHAMPION, version)


def log_report(settings: "Settings", path: Path, metrics: Mapping[str, float]) -> None:
    """Log a report's file and figures as one MLflow run."""
    import mlflow

    client = _client(settings)
    with mlflow.start_run(experiment_id=_experiment(client, settings), run_name="report"):
        mlflow.log_metrics(dict(metrics))
        mlflow.log_artifact(str(path))


def champions(settings: "Settings", source_groups: Iterable[str]) -> dict[str, str]:
    """Group to the student_id its champion alias points at now; groups without one are absent."""
    from mlflow.exceptions import MlflowException

    client = _client(settings)
    found = {}
    for source_group in source_groups:
        name = model_name(settings, source_group)
        try:
            version = client.get_model_version_by_alias(name, CHAMPION)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            continue
        found[source_group] = f"{name}/{version.version}"
    return found


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
    if tracking_uri is None and session == "local":
        tracking_uri = f"sqlite:///{folder}/mlflow.db"
    if tracking_uri is not None:
        mlflow.set_tracking_uri(tracking_uri)
    return MlflowClient()
