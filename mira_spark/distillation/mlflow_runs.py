"""MLflow through a client of our own: whatever run is active and whatever MLflow's environment
variables and global settings say, and without a change to any of them."""

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from mira_spark.lake import storage
from mira_spark.settings.students import Registry

_MODEL = "student"
LOADER = "mira_spark.scoring.pyfunc"
_QUIET = {
    "mlflow": logging.WARNING,  # it tells of every version and of a new database's tables
    # Off Databricks it warns that it is not there, for every table named.
    "mlflow.utils.databricks_utils": logging.ERROR,
}


@contextmanager
def quiet() -> Iterator[None]:
    """In the block MLflow's loggers say no more than warnings; afterwards what they said before."""
    import mlflow  # noqa: F401  # importing it sets levels

    loggers = {logging.getLogger(name): level for name, level in _QUIET.items()}
    before = {logger: logger.level for logger in loggers}
    for logger, level in loggers.items():
        logger.setLevel(max(level, logger.level))
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)


def client(place: Registry) -> Any:
    """A client of the tracking server and registry of `tracking_uri`."""
    from mlflow.tracking import MlflowClient

    uri = tracking_uri(place)
    # On Databricks the registry is not the tracking server; which one it is, is the platform's.
    own = uri is not None and not uri.startswith("databricks")
    return MlflowClient(uri, uri if own else None)


def tracking_uri(place: Registry) -> str | None:
    """The server that the settings name; where they name none, the platform's (None), or SQLite in
    the driver's folder where the platform has none."""
    uri = place.settings.tracking_uri
    if uri is None and _has_own_server(place):
        return f"sqlite:///{place.driver_files.absolute()}/mlflow.db"
    return uri


def experiment(client: Any, place: Registry) -> str:
    """The experiment's id; created with its files in the shared folder where SQLite is the
    server."""
    existing = client.get_experiment_by_name(place.settings.experiment)
    if existing is not None:
        return str(existing.experiment_id)
    files = None
    if place.settings.tracking_uri is None and _has_own_server(place):
        files = storage.location(place.folder, "mlartifacts").replace("s3a://", "s3://", 1)
        files = files if storage.is_uri(files) else Path(files).as_uri()
    return str(client.create_experiment(place.settings.experiment, artifact_location=files))


def _has_own_server(place: Registry) -> bool:
    """Whether nothing but the driver's folder can be the tracking server."""
    of_platform = {"DATABRICKS_RUNTIME_VERSION", "MLFLOW_TRACKING_URI"} & os.environ.keys()
    return place.is_local or not of_platform


@contextmanager
def run(client: Any, experiment_id: str, name: str) -> Iterator[str]:
    """The id of a new run, which ends with the block: FINISHED, or FAILED when it raises."""
    run_id = str(client.create_run(experiment_id, run_name=name).info.run_id)
    try:
        yield run_id
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)


def log_figures(
    client: Any, run_id: str, parameters: Mapping[str, Any], metrics: Mapping[str, float]
) -> None:
    """Log parameters and metrics in one call."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    numbers = [Metric(name, value, now, 0) for name, value in metrics.items()]
    params = [Param(name, str(value)) for name, value in parameters.items()]
    client.log_batch(run_id, metrics=numbers, params=params)


def log_inputs(client: Any, run_id: str, versions: Mapping[str, int]) -> None:
    """Log Delta tables at their versions as what the run learnt from; nothing is read."""
    from mlflow.data import meta_dataset
    from mlflow.data.delta_dataset_source import DeltaDatasetSource
    from mlflow.entities import DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    inputs = []
    for table, version in versions.items():
        source = DeltaDatasetSource(delta_table_name=table, delta_table_version=version)
        dataset = meta_dataset.MetaDataset(source, name=table)  # type: ignore[abstract]  # it is not
        context = InputTag(MLFLOW_DATASET_CONTEXT, "training")
        inputs.append(DatasetInput(dataset._to_mlflow_entity(), [context]))
    client.log_inputs(run_id, datasets=inputs)


def log_model(
    client: Any, experiment_id: str, run_id: str, artefact: Path, package_version: str
) -> Any:
    """The artefact folder as a logged model of the run. Nothing is pickled: MLflow's file names our
    loader."""
    import mlflow.pyfunc
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    text, source = ColSpec("string", "text"), ColSpec("string", "source", required=False)
    quality = ColSpec("double", "quality", required=False)
    scores = ColSpec(Array(DataType.double), "dimension_scores", required=False)
    logged = client.create_logged_model(experiment_id, name=_MODEL, source_run_id=run_id)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    with tempfile.TemporaryDirectory() as folder:
        mlflow.pyfunc.save_model(
            path=f"{folder}/{_MODEL}",
            loader_module=LOADER,
            data_path=str(artefact),
            signature=ModelSignature(Schema([text, source]), Schema([quality, scores])),
            input_example=pd.DataFrame({"text": ["An example."], "source": ["any"]}),
            pip_requirements=[f"mira-spark[student]=={package_version}"],
            mlflow_model=Model(
                artifact_path=logged.artifact_location,
                run_id=run_id,
                model_uuid=logged.model_id,
                model_id=logged.model_id,
            ),
        )
        client.log_model_artifacts(logged.model_id, f"{folder}/{_MODEL}")
    return client.finalize_logged_model(logged.model_id, "READY")
