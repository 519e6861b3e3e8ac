"""MLflow's registry: a registered model per group, a version per student, and the aliases
`champion` and `challenger`."""

import hashlib
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mira_spark.distillation import mlflow_runs
from mira_spark.errors import InputError
from mira_spark.lake import storage
from mira_spark.settings.students import Registry
from mira_spark.students.artefact import MANIFEST

CHAMPION, CHALLENGER = "champion", "challenger"
DIGEST_TAG = "artefact_sha256"
DIGEST_LENGTH = 12
_GONE = re.compile(r"No such (artifact|file)|NoSuchKey|404 Client Error")
"""What MLflow and its stores say of files that are not there."""


def model_name(place: Registry, source_group: str) -> str:
    """The registered model of a group."""
    return f"{place.settings.prefix}_{source_group}"


def student_id(name: str, version: str | int, digest: str) -> str:
    """`<registered model>/<version>-<first 12 digits of its artefact's digest>`.

    A version number comes again after a model was deleted, or on another server; with the digest
    no id means two students.
    """
    return f"{name}/{version}-{digest[:DIGEST_LENGTH]}"


def artefact_uri(place: Registry, digest: str) -> str:
    """Where the artefact with this digest lies for driver and executors: an absolute path or a
    URI."""
    return storage.location(place.folder, "students", digest)


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
    place: Registry,
    source_group: str,
    artefact: Path,
    digest: str,
    registration: Registration,
) -> str:
    """Log the artefact folder with this digest as one run and register it as `challenger`: its
    student_id.

    The model is a pyfunc too, for people who score a few texts by hand (see `scoring.pyfunc`).
    """
    with mlflow_runs.quiet():
        client, name = mlflow_runs.client(place), model_name(place, source_group)
        experiment_id = mlflow_runs.experiment(client, place)
        with mlflow_runs.run(client, experiment_id, name) as run_id:
            mlflow_runs.log_figures(client, run_id, registration.parameters, registration.metrics)
            mlflow_runs.log_inputs(client, run_id, registration.inputs)
            for title, frame in registration.tables.items():
                client.log_text(run_id, frame.to_csv(index=False), f"{title}.csv")
            for title, figure in registration.figures.items():
                client.log_figure(run_id, figure, f"{title}.html")
            logged = mlflow_runs.log_model(
                client, experiment_id, run_id, artefact, registration.package_version
            )
        version = add_version(
            client, name, logged.artifact_location, digest, run_id, logged.model_id
        )
        client.set_registered_model_alias(name, CHALLENGER, version)
    return student_id(name, version, digest)


def add_version(
    client: Any,
    name: str,
    source: str,
    digest: str,
    run_id: str | None = None,
    model_id: str | None = None,
) -> str:
    """A new version of the registered model, which is created where it is missing; the version
    carries its artefact's digest."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {DIGEST_TAG: digest}
    version = client.create_model_version(name, source, run_id, tags, model_id=model_id)
    return str(version.version)


def promote(place: Registry, student: str) -> None:
    """Make a registered student its group's champion; it is no challenger any more.

    InputError when MLflow does not have it, or has another student under its version.
    """
    name, version = _name_and_version(student)
    with mlflow_runs.quiet():
        client = mlflow_runs.client(place)
        found = _registered_version(client, student)
        registered = None if found is None else _id_of(found)
        if registered != student:
            raise InputError(
                f"{student} is not in MLflow any more: version {version} of {name} is "
                f"{registered or 'not there'}; mira distill-students registers students anew"
            )
        client.set_registered_model_alias(name, CHAMPION, version)
        if _student_of(client, name, CHALLENGER) == student:
            client.delete_registered_model_alias(name, CHALLENGER)


def fetch_artefact(place: Registry, student: str, uri: str, digest: str) -> bool:
    """Lay the artefact of a registered student at this path or URI again; False where MLflow does
    not have it, or has another. Raises what MLflow raises when it cannot be asked."""
    from mlflow.artifacts import download_artifacts

    with mlflow_runs.quiet(), tempfile.TemporaryDirectory() as temporary:
        client = mlflow_runs.client(place)
        version = _registered_version(client, student)
        if version is None or _id_of(version) != student:
            return False
        try:
            folder = download_artifacts(
                version.source, dst_path=temporary, tracking_uri=client.tracking_uri
            )
        except Exception as error:
            if _GONE.search(str(error)):
                return False
            raise
        for manifest in Path(folder).rglob(MANIFEST):
            if hashlib.sha256(manifest.read_bytes()).hexdigest() == digest:
                storage.copy_folder(manifest.parent, uri, MANIFEST)
                return True
    return False


def log_report(place: Registry, path: Path, metrics: Mapping[str, float]) -> None:
    """Log a report's file and figures as one MLflow run."""
    with mlflow_runs.quiet():
        client = mlflow_runs.client(place)
        with mlflow_runs.run(client, mlflow_runs.experiment(client, place), "report") as run_id:
            mlflow_runs.log_figures(client, run_id, {}, metrics)
            client.log_artifact(run_id, str(path))


def champions(place: Registry, source_groups: Iterable[str]) -> dict[str, str]:
    """Group to the student_id its champion alias points at now; groups without one are absent."""
    aliased = {g: student_of(place, model_name(place, g), CHAMPION) for g in source_groups}
    return {group: student for group, student in aliased.items() if student is not None}


def student_of(place: Registry, name: str, alias: str) -> str | None:
    """The student_id that a registered model's alias points at; None where there is none, or a
    version that `register` did not make."""
    with mlflow_runs.quiet():
        return _student_of(mlflow_runs.client(place), name, alias)


def _name_and_version(student: str) -> tuple[str, str]:
    """The registered model and the number of its version that a student_id names."""
    name, _, rest = student.rpartition("/")
    return name, rest.partition("-")[0]


def _registered_version(client: Any, student: str) -> Any:
    """What MLflow has under the version that the student_id names; None where it has none."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(*_name_and_version(student))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def _student_of(client: Any, name: str, alias: str) -> str | None:
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None
    return _id_of(version)


def _id_of(version: Any) -> str | None:
    digest = version.tags.get(DIGEST_TAG)
    return None if digest is None else student_id(version.name, version.version, digest)
