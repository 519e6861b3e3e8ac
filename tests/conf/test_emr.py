"""The files for EMR: each is loaded, its command lines are ours, and its requests are EMR's."""

import json
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.validate import ParamValidator
from typer.testing import CliRunner

from mira_spark.cli import emr_jobs, emr_requests
from mira_spark.cli.main import app
from mira_spark.settings import emr, root

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "conf" / "emr"
PLACES = {"cluster.yaml": "step.json", "serverless.yaml": "serverless.json", "eks.yaml": "eks.json"}
"""What `mira emr` is told, and the request in it for who starts jobs by other means."""
OTHER = {"mira.yaml", "configurations.json"}


@pytest.fixture(autouse=True)
def _in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in the files are of a checkout."""
    monkeypatch.chdir(ROOT)


def settings_of(name: str) -> emr.EmrSettings:
    return emr.load(FOLDER / name)


def uris(settings: emr.EmrSettings) -> dict[str, str]:
    """Files under their own names, as a person puts them there; `mira emr submit` adds digests."""
    files = {
        "package": settings.package,
        "program": settings.program,
        "settings": settings.settings,
        "environment": settings.environment or Path("environment.tar.gz"),
        "gpu_discovery": settings.gpu_discovery,
        "bootstrap": Path("gpu_cgroups.sh"),
    }
    return {purpose: f"{settings.uploads}/{path.name}" for purpose, path in files.items()}


def shape_of(service: str, operation: str) -> Any:
    client = boto3.client(service, region_name="eu-west-1", aws_access_key_id="-",
                          aws_secret_access_key="-")  # fmt: skip
    return client.meta.service_model.operation_model(operation).input_shape


def program_and_arguments(settings: emr.EmrSettings) -> tuple[str, list[str]]:
    """The command of ours that the program is, and its arguments with the file's real place."""
    arguments = emr_requests.program_arguments(settings)
    (name,) = (arguments[i + 1] for i, word in enumerate(arguments) if word == "--config")
    assert uris(settings)["settings"].endswith(f"/{name}")
    conf = emr_requests.spark_conf(settings, uris(settings))
    assert uris(settings)["settings"] in conf["spark.files"].split(","), "in the driver's folder"
    step = settings.program.stem.replace("_", "-").replace("run-pipeline", "run")
    return step, [str(settings.settings) if word == name else word for word in arguments]


def test_every_yaml_and_json_file_is_one_of_those_that_are_tested() -> None:
    files = {path.name for kind in ("*.yaml", "*.yml", "*.json") for path in FOLDER.rglob(kind)}
    assert files == {*PLACES, *PLACES.values(), *OTHER}


@pytest.mark.parametrize("name", PLACES)
def test_the_program_is_a_command_of_ours_with_settings_that_load(name: str) -> None:
    settings = settings_of(name)
    assert settings.program.is_file()
    step, arguments = program_and_arguments(settings)
    shown = CliRunner().invoke(app, [step, *arguments, "--help"])
    assert shown.exit_code == 0, shown.output
    wrong = CliRunner().invoke(app, [step, *arguments, "--nothing"])
    assert "No such option" in wrong.output
    overrides = [each.removeprefix("--set=") for each in arguments if each.startswith("--set=")]
    pipeline = root.load(settings.settings, overrides)
    assert pipeline.session == "platform"
    assert str(pipeline.folder).startswith("s3://"), "what driver and executors share"
    if not settings.has_gpus:
        assert pipeline.scoring.gpus_per_task is None, "asked for where there are none"


@pytest.mark.parametrize("name", PLACES)
def test_the_request_for_other_schedulers_is_what_submit_sends(name: str) -> None:
    settings = settings_of(name)
    request: Any = json.loads((FOLDER / PLACES[name]).read_text())
    if settings.on == "ec2":
        assert request == [emr_requests.step(settings, uris(settings))]
    else:
        assert request == emr_jobs.request(settings, uris(settings))


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("cluster.yaml", "RunJobFlow"),
        ("serverless.yaml", "StartJobRun"),
        ("eks.yaml", "StartJobRun"),
    ],
)
def test_a_request_has_the_fields_that_botocore_knows(name: str, operation: str) -> None:
    settings = settings_of(name)
    shape = shape_of(emr_jobs.SERVICES[settings.on], operation)
    # botocore fills these in.
    request = emr_jobs.request(settings, uris(settings)) | (
        {} if settings.on == "ec2" else {"clientToken": "0"}
    )
    assert not ParamValidator().validate(request, shape).has_errors()
    assert ParamValidator().validate(request | {"nothing": 1}, shape).has_errors()


def test_the_spark_submit_line_is_that_of_the_step(tmp_path: Path) -> None:
    stand_in(tmp_path, "spark-submit", 'printf "%s\\n" spark-submit "$@"')
    said = run_script(tmp_path, "spark_submit.sh")
    (step,) = json.loads((FOLDER / "step.json").read_text())
    assert said.stdout.splitlines() == step["HadoopJarStep"]["Args"]


def test_driver_and_executors_fit_the_workers_of_the_cluster() -> None:
    settings = settings_of("cluster.yaml")
    place = settings.place
    assert isinstance(place, emr.Ec2Settings)
    assert place.create is not None
    assert settings.executors.instances + settings.driver.gpus == place.create.worker_count
    conf = emr_requests.spark_conf(settings, uris(settings))
    _, arguments = program_and_arguments(settings)
    overrides = [each.removeprefix("--set=") for each in arguments if each.startswith("--set=")]
    chosen = dict(each.split("=") for each in overrides)
    tasks = settings.executors.cores // int(chosen["scoring.cores_per_task"])
    assert tasks * float(chosen["scoring.gpus_per_task"]) == 1
    assert conf["spark.yarn.maxAppAttempts"] == "1"


def test_yarn_is_told_of_the_gpus_and_where_the_bootstrap_put_their_cgroups() -> None:
    classes = {
        each["Classification"]: each
        for each in json.loads((FOLDER / "configurations.json").read_text())
    }
    yarn = classes["yarn-site"]["Properties"]
    assert yarn["yarn.resource-types"] == yarn["yarn.nodemanager.resource-plugins"] == "yarn.io/gpu"
    folder = yarn["yarn.nodemanager.linux-container-executor.cgroups.mount-path"]
    cgroups = {c["Classification"]: c for c in classes["container-executor"]["Configurations"]}
    assert cgroups["cgroups"]["Properties"]["root"] == folder
    assert f"{folder}/devices" in (FOLDER / "gpu_cgroups.sh").read_text()
    assert classes["delta-defaults"]["Properties"] == {"delta.enabled": "true"}


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.sh")), ids=lambda path: path.name)
def test_the_scripts_are_bash(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)


def stand_in(folder: Path, program: str, script: str) -> None:
    """A program of this name, in place of the one that is not on this machine."""
    (folder / program).write_text(f"#!/bin/sh\n{script}\n")
    (folder / program).chmod(0o755)


def run_script(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """A script of ours where the programs of the folder are found first."""
    path = {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run([str(FOLDER / name)], env=path, text=True, capture_output=True)


def test_the_discovery_script_says_in_spark_s_words_which_gpus_there_are(tmp_path: Path) -> None:
    stand_in(tmp_path, "nvidia-smi", "printf '0\\n3\\n'")
    said = run_script(tmp_path, "gpu_discovery.sh")
    assert json.loads(said.stdout) == {"name": "gpu", "addresses": ["0", "3"]}
    stand_in(tmp_path, "nvidia-smi", "echo No devices were found; exit 6")
    said = run_script(tmp_path, "gpu_discovery.sh")
    assert said.returncode != 0
    assert said.stdout == ""


def test_the_environment_is_made_with_the_extras_of_the_wheel_and_without_a_spark() -> None:
    text = (FOLDER / "environment.Dockerfile").read_text()
    (extras,) = re.findall(r"\$wheel\[([a-z,]+)\]", text)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= set(known) - {"spark", "local", "dev"}
    (settings,) = {settings_of(name).environment for name in PLACES}
    assert settings == Path("dist/environment.tar.gz")
    assert "/environment.tar.gz /" in text


def test_every_command_line_of_the_page_answers_help() -> None:
    page = (FOLDER / "README.md").read_text()
    lines = re.findall(r"^ +(?:\.venv/bin/)?mira (.+)$", page, re.MULTILINE)
    assert [line.split()[1] for line in lines] == ["submit", "status", "logs"]
    for line in lines:
        shown = CliRunner().invoke(app, [*shlex.split(line), "--help"])
        assert shown.exit_code == 0, shown.output
        (config,) = re.findall(r"--config (\S+)", line)
        assert (ROOT / config).is_file()
