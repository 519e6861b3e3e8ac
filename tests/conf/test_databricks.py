"""The bundle for Databricks: its resources are such, and its command lines are ours."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.bundles.jobs import Job
from databricks.bundles.schemas import Schema
from databricks.bundles.volumes import Volume
from typer.testing import CliRunner

from mira_spark import pipeline
from mira_spark.cli.main import app
from mira_spark.lake.leases import DEAD_AFTER_S
from mira_spark.settings.root import load

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "conf" / "databricks"
BUNDLE: dict[str, Any] = yaml.safe_load((FOLDER / "databricks.yml").read_text())
FILES = sorted(FOLDER.rglob("*.yml"))
KINDS = {"jobs": Job, "schemas": Schema, "volumes": Volume}
VALUES = {
    "bundle.target": "dev",
    "workspace.file_path": str(FOLDER),
    "workspace.root_path": "/Workspace/Users/ada/.bundle/mira_spark/dev",
    "resources.schemas.mira.name": "mira",
    "var.notify": "ada@example.com",
}
"""What the command line of Databricks puts in the place of references."""


def resources() -> dict[str, dict[str, Any]]:
    """Kind to name to resource, of all files that the bundle includes."""
    found: dict[str, dict[str, Any]] = {}
    for pattern in BUNDLE["include"]:
        for file in sorted(FOLDER.glob(pattern)):
            for kind, named in yaml.safe_load(file.read_text())["resources"].items():
                found.setdefault(kind, {}).update(named)
    return found


PIPELINE = resources()["jobs"]["pipeline"]
TASKS = {task["task_key"]: task for task in PIPELINE["tasks"]}


def filled(text: str) -> str:
    """The text with a value for each reference; KeyError for one to nothing."""
    defaults = {
        f"var.{k}": str(v["default"]) for k, v in BUNDLE["variables"].items() if "default" in v
    }
    known = VALUES | defaults
    text = text.replace("{{job.run_id}}", "123456789")
    return re.sub(r"\$\{([^}]+)\}", lambda match: known[match[1]], text)


@pytest.mark.parametrize("kind", KINDS)
def test_each_resource_has_the_fields_that_databricks_knows(kind: str) -> None:
    for one in resources()[kind].values():
        KINDS[kind].from_dict(one)
        with pytest.raises(ValueError, match="nothing"):
            KINDS[kind].from_dict(one | {"nothing": 1})
    assert set(resources()) == set(KINDS)


def test_each_reference_is_to_something_and_each_variable_is_used() -> None:
    text = "\n".join(file.read_text() for file in FILES)
    filled(text)
    assert {v for v in BUNDLE["variables"] if f"${{var.{v}}}" in text} == set(BUNDLE["variables"])
    schemas, volumes = resources()["schemas"], resources()["volumes"]
    assert set(re.findall(r"resources\.schemas\.(\w+)", text)) <= set(schemas)
    assert volumes["files"]["name"] == "files", "it is in the folder of each task"


def test_the_tasks_are_the_steps_in_order_one_at_a_time() -> None:
    assert list(TASKS) == list(pipeline.STEPS)
    names = [None, *TASKS]
    for before, task in zip(names, TASKS.values(), strict=False):
        assert [d["task_key"] for d in task.get("depends_on", [])] == [before] * bool(before)
    assert PIPELINE["max_concurrent_runs"] == 1
    clusters = {cluster["job_cluster_key"] for cluster in PIPELINE["job_clusters"]}
    assert {task["job_cluster_key"] for task in TASKS.values()} == clusters


@pytest.mark.parametrize("step", pipeline.STEPS)
def test_a_task_is_a_command_of_ours_with_settings_that_load(step: str) -> None:
    wheel = TASKS[step]["python_wheel_task"]
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts[wheel["entry_point"]] == f"mira_spark.jobs.{step}:main"
    arguments = [filled(parameter) for parameter in wheel["parameters"]]
    shown = CliRunner().invoke(app, [step.replace("_", "-"), *arguments, "--help"])
    assert shown.exit_code == 0, shown.output
    wrong = CliRunner().invoke(app, [step.replace("_", "-"), *arguments, "--nothing"])
    assert "No such option" in wrong.output
    overrides = [a.removeprefix("--set=") for a in arguments if a.startswith("--set=")]
    (config,) = (a.removeprefix("--config=") for a in arguments if a.startswith("--config="))
    settings = load(Path(config), overrides)
    assert settings.session == "platform"
    assert settings.namespace == "main.mira"
    assert settings.folder == Path("/Volumes/main/mira/files")
    assert settings.registry.prefix == "main.mira.student"
    assert settings.registry.experiment.startswith("/"), "Databricks wants an absolute path"


@pytest.mark.parametrize("step", pipeline.STEPS)
def test_a_task_that_is_tried_again_waits_until_a_dead_driver_s_lease_is_over(step: str) -> None:
    assert TASKS[step]["max_retries"] > 0
    assert TASKS[step]["min_retry_interval_millis"] > 1_000 * DEAD_AFTER_S


def test_the_packages_of_the_tasks_are_those_of_the_wheels_extras() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    needed = {package for extra in ("student", "judge", "report") for package in extras[extra]}
    for task in TASKS.values():
        libraries = task["libraries"]
        assert {each["pypi"]["package"] for each in libraries if "pypi" in each} == needed
        (wheel,) = (each["whl"] for each in libraries if "whl" in each)
        assert (FOLDER / "resources" / wheel).parent.resolve() == ROOT / "dist"
