"""What a run needs of the machine and of servers, looked at before one is begun."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from mira_spark.distillation import mlflow_runs
from mira_spark.errors import ConfigError
from mira_spark.labels import forms
from mira_spark.process import failures
from mira_spark.settings.judge import ModelSettings
from mira_spark.settings.root import Settings

OLDEST_JAVA = 17
LEAST_FREE_GB = 20
REACHED_WITHIN_S = 5.0
_SQLITE = "sqlite:///"


class MachineCheck(NamedTuple):
    """What was looked at, what it is, and what mends it; None where nothing is wrong."""

    what: str
    state: str
    remedy: str | None = None


def machine_checks(settings: Settings) -> Iterator[MachineCheck]:
    """One after the other, without Spark; nothing of the corpus is sent anywhere."""
    if settings.session == "local":
        yield _java()
        yield _package("pyspark", "pip install 'mira-spark[spark]'")
        yield _package("delta-spark", "pip install 'mira-spark[spark]'")
    yield _folder(settings.driver_files)
    yield from _judge(settings)
    yield _tracking(settings)
    if settings.distillation.kind in ("encoder", "generative"):
        yield _gpu()


def _java() -> MachineCheck:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(f"{home}/bin/java" if home else "java")
    if java is None:
        return MachineCheck(
            "Java", "not there", f"install Java {OLDEST_JAVA}, or let JAVA_HOME name it"
        )
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    number = int(version[1]) if version else 0
    older = f"Spark needs Java {OLDEST_JAVA} or later" if number < OLDEST_JAVA else None
    return MachineCheck("Java", f"{number} at {java}", older)


def _package(name: str, remedy: str) -> MachineCheck:
    try:
        return MachineCheck(name, metadata.version(name))
    except metadata.PackageNotFoundError:
        return MachineCheck(name, "not installed", remedy)


def _folder(folder: Path) -> MachineCheck:
    """The first folder above that exists says whether it can be written, and its room."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    free = shutil.disk_usage(there).free / 1e9
    state = f"{folder}, {free:,.0f} GB free"
    if not there.is_dir() or not os.access(there, os.W_OK):
        return MachineCheck(
            "folder", state, f"{there} cannot be written: name another, --set folder=PATH"
        )
    little = free < LEAST_FREE_GB
    return MachineCheck(
        "folder", state, "tables, students and shuffles need room" if little else None
    )


def _judge(settings: Settings) -> Iterator[MachineCheck]:
    for task in forms.TASKS:
        model = forms.task_model(settings.judge, task)
        if task == "labelling" and settings.judge.labelling is None:
            return
        yield _one_judge(settings, task, model)


def _one_judge(settings: Settings, task: str, model: ModelSettings) -> MachineCheck:
    what, name = f"judge of {task}", forms.judge_name(model)
    if model.kind == "heuristic":
        return MachineCheck(what, f"{name}, a stand-in: it measures, it does not read")
    try:
        forms.check_judges(settings.judge)
    except ConfigError as error:
        return MachineCheck(what, name, str(error))
    if model.url is None:
        return MachineCheck(what, f"{name}, with a price and a key")
    place = urlsplit(model.url)
    port = place.port or (443 if place.scheme == "https" else 80)
    try:
        socket.create_connection((place.hostname or "", port), REACHED_WITHIN_S).close()
    except OSError as error:
        return MachineCheck(what, name, f"{place.hostname}:{port} cannot be reached: {error}")
    return MachineCheck(what, f"{name} at {place.hostname}:{port}, with a price and a key")


def _tracking(settings: Settings) -> MachineCheck:
    uri = mlflow_runs.tracking_uri(settings.student_registry) or "the platform's"
    if uri.startswith(_SQLITE) and not Path(uri.removeprefix(_SQLITE)).exists():
        return MachineCheck("MLflow", f"{uri}, which the first run makes")
    try:
        with mlflow_runs.quiet():
            client = mlflow_runs.client(settings.student_registry)
            client.search_experiments(max_results=1)
            return MachineCheck("MLflow", uri.partition("?")[0])
    except ImportError:
        return MachineCheck("MLflow", "not installed", "pip install 'mira-spark[student]'")
    except Exception as error:
        known = failures.explained(error)
        return MachineCheck("MLflow", uri.partition("?")[0], str(known or error).splitlines()[0])


def _gpu() -> MachineCheck:
    try:
        import torch
    except ImportError:
        return MachineCheck("GPU", "torch is not installed", "pip install 'mira-spark[student]'")
    if torch.cuda.is_available():
        return MachineCheck(
            "GPU", f"{torch.cuda.device_count()} of {torch.cuda.get_device_name(0)}"
        )
    return MachineCheck("GPU", "none here: models run on this machine's cores, slowly")
