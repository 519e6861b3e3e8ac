"""Students in MLflow: what names one, and that MLflow is left as it was found."""

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from mira_spark.distillation import mlflow_runs, registry
from mira_spark.distillation.registry import CHALLENGER, CHAMPION, Registration
from mira_spark.errors import InputError, OutsideError
from mira_spark.process.failures import explained
from mira_spark.settings.root import Settings, load
from mira_spark.students import artefact
from tests.scoring.test_batches import a_manifest, linear

REGISTRATION = Registration(
    parameters={"kind": "linear", "bits": 10},
    metrics={"labels": 3.0, "leak/length": 0.5},
    inputs={"mira.labels": 7, "mira.documents": 9},
    tables={"evaluation": pd.DataFrame({"slot": [0, 1]})},
    figures={},
    package_version="1.2.3",
)


@pytest.fixture
def settings(home: Path, request: pytest.FixtureRequest) -> Settings:
    """One server for all tests, for a new one takes ten seconds; models of the test's own."""
    prefix = f"r{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}"
    given = [
        f"registry.tracking_uri=sqlite:///{home}/mlflow.db",
        f"registry.experiment={prefix}",
        f"registry.prefix={prefix}",
        f"folder={home}",
    ]
    chosen = load(None, given)
    client = mlflow_runs.client(chosen.student_registry)
    if client.get_experiment_by_name(prefix) is None:
        client.create_experiment(prefix, artifact_location=(home / prefix).as_uri())
    return chosen


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A run of a person's own that is active on another server; its id."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with tracked_at((tmp_path / "theirs").as_uri()), mlflow.start_run() as run:
        yield run.info.run_id


@contextmanager
def tracked_at(uri: str) -> Iterator[None]:
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)


def an_artefact(folder: Path, seed: int = 1) -> tuple[Path, str]:
    return folder, artefact.write(folder, linear(seed), a_manifest())


def registered(settings: Settings, folder: Path, seed: int = 1) -> str:
    return registry.register(
        settings.student_registry, "group_a", *an_artefact(folder, seed), REGISTRATION
    )


def test_an_artefact_comes_back_from_mlflow_unless_it_is_gone_or_cannot_be_asked_for(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = settings.student_registry
    folder, digest = an_artefact(tmp_path / "student")
    student = registry.register(place, "group_a", folder, digest, REGISTRATION)
    again = tmp_path / "again"
    assert registry.fetch_artefact(place, student, str(again), digest)
    assert artefact.read_manifest(again, digest) == artefact.read_manifest(folder, digest)
    assert not registry.fetch_artefact(place, student, str(tmp_path / "other"), "00" * 32)
    assert not registry.fetch_artefact(place, f"{student[:-1]}!", str(again), digest)

    client = mlflow_runs.client(place)
    name = registry.model_name(place, "group_a")
    server = "http://127.0.0.1:9/api/2.0/mlflow-artifacts/artifacts/files"
    gone, unreachable = (
        registry.student_id(name, registry.add_version(client, name, source, digest), digest)
        for source in ((tmp_path / "no folder").as_uri(), server)
    )
    assert not registry.fetch_artefact(place, gone, str(tmp_path / "none"), digest)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Exception, match=r"127\.0\.0\.1") as outage:
        registry.fetch_artefact(place, unreachable, str(tmp_path / "none"), digest)
    assert isinstance(explained(outage.value), OutsideError)
    assert not (tmp_path / "none").exists()


def test_a_student_is_registered_whatever_run_is_active_and_whatever_the_environment_says(
    settings: Settings, elsewhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = mlflow.get_tracking_uri()
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "77")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "no such experiment")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://127.0.0.1:9")
    levels = {name: logging.getLogger(name).level for name in mlflow_runs._QUIET}
    environment = dict(mlflow_runs.__dict__)  # nothing of the module is a cache
    student = registered(settings, tmp_path / "student")
    registry.promote(settings.student_registry, student)
    registry.log_report(
        settings.student_registry, tmp_path / "student" / "config.json", {"documents": 3.0}
    )

    active = mlflow.active_run()
    assert active is not None
    assert active.info.run_id == elsewhere
    assert mlflow.get_tracking_uri() == theirs
    assert {name: logging.getLogger(name).level for name in levels} == levels
    assert dict(mlflow_runs.__dict__) == environment
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name)
    own = mlflow.MlflowClient(theirs).get_run(elsewhere)
    assert (own.data.params, own.data.metrics) == ({}, {})

    client = mlflow_runs.client(settings.student_registry)
    name = registry.model_name(settings.student_registry, "group_a")
    version = client.get_model_version_by_alias(name, CHAMPION)
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"kind": "linear", "bits": "10"}
    assert run.data.metrics == {"labels": 3.0, "leak/length": 0.5}
    inputs = {d.dataset.name: json.loads(d.dataset.source) for d in run.inputs.dataset_inputs}
    versions = {table: source["delta_table_version"] for table, source in inputs.items()}
    assert versions == {"mira.labels": 7, "mira.documents": 9}
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["evaluation.csv"]


def test_a_person_loads_the_champion_by_its_alias(settings: Settings, tmp_path: Path) -> None:
    registry.promote(settings.student_registry, registered(settings, tmp_path / "student"))
    name = registry.model_name(settings.student_registry, "group_a")
    with tracked_at(str(settings.registry.tracking_uri)):
        model = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    found = model.predict(pd.DataFrame({"text": ["a text"], "source": ["web"]}))
    assert list(found.columns) == ["quality", "dimension_scores"]
    assert model.metadata.run_id
    assert model.metadata.signature.inputs.input_names() == ["text", "source"]


def test_a_version_number_that_comes_again_names_another_student(
    settings: Settings, tmp_path: Path
) -> None:
    name = registry.model_name(settings.student_registry, "group_a")
    first = registered(settings, tmp_path / "first", seed=1)
    registry.promote(settings.student_registry, first)
    mlflow_runs.client(settings.student_registry).delete_registered_model(name)
    assert registry.champions(settings.student_registry, ["group_a"]) == {}
    second = registered(settings, tmp_path / "second", seed=2)
    assert (first.rpartition("-")[0], second.rpartition("-")[0]) == (f"{name}/1", f"{name}/1")
    assert first != second
    assert registry.student_of(settings.student_registry, name, CHALLENGER) == second
    with pytest.raises(InputError) as refused:
        registry.promote(settings.student_registry, first)
    assert str(refused.value) == (
        f"{first} is not in MLflow any more: version 1 of {name} is {second}; "
        "mira distill-students registers students anew"
    )
    registry.promote(settings.student_registry, second)
    assert registry.champions(settings.student_registry, ["group_a"]) == {"group_a": second}
    assert registry.student_of(settings.student_registry, name, CHALLENGER) is None


def test_the_same_artefact_registered_anew_has_the_id_it_had(
    settings: Settings, tmp_path: Path
) -> None:
    first = registered(settings, tmp_path / "first")
    mlflow_runs.client(settings.student_registry).delete_registered_model(
        registry.model_name(settings.student_registry, "group_a")
    )
    assert registered(settings, tmp_path / "again") == first


def test_a_version_that_somebody_else_made_is_no_student(settings: Settings) -> None:
    client, name = (
        mlflow_runs.client(settings.student_registry),
        registry.model_name(settings.student_registry, "group_a"),
    )
    client.create_registered_model(name)
    client.create_model_version(name, source="file:///theirs")
    client.set_registered_model_alias(name, CHAMPION, "1")
    assert registry.champions(settings.student_registry, ["group_a"]) == {}


def test_a_registration_that_fails_leaves_a_failed_run_and_no_version(
    settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="nothing"):
        registry.register(
            settings.student_registry, "group_a", tmp_path / "nothing", "0" * 64, REGISTRATION
        )
    client = mlflow_runs.client(settings.student_registry)
    experiment = client.get_experiment_by_name(settings.registry.experiment)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    assert (
        client.search_registered_models(
            f"name = '{registry.model_name(settings.student_registry, 'group_a')}'"
        )
        == []
    )
