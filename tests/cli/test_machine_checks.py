"""`mira doctor` says of each thing that a run needs what it is, and what mends it."""

import json
import socket
from pathlib import Path

import pytest

from mira_spark.cli import main
from mira_spark.cli.machine_checks import MachineCheck, machine_checks
from mira_spark.process.progress import console
from mira_spark.settings.root import Settings, load

PRICED = ("judge.kind=openai", "judge.model=m", "judge.hosts=[127.0.0.1]", "judge.secret=none",
          "judge.prices={m: {input: 0, output: 0, read_on: 2026-01-01}}")  # fmt: skip


def settings(folder: Path, *changes: str) -> Settings:
    return load(None, [f"folder={folder / 'lake'}", "corpus.input=python_environment", *changes])


def check(chosen: Settings, what: str) -> MachineCheck:
    return next(each for each in machine_checks(chosen) if each.what == what)


def test_a_machine_that_can_run_needs_nothing_and_nothing_is_made(tmp_path: Path) -> None:
    checks = {each.what: each for each in machine_checks(settings(tmp_path))}
    assert [each for each in checks.values() if each.remedy] == []
    assert "a stand-in" in checks["judge of discovery"].state
    assert checks["MLflow"].state.endswith("mlflow.db, which the first run makes")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("script", "state", "remedy"),
    [
        ("echo 'openjdk version \"11.0.2\" 2019' >&2", "11 at", "Spark needs Java 17 or later"),
        ("echo 'openjdk version \"21.0.1\" 2023' >&2", "21 at", None),
        (None, "not there", "install Java 17, or let JAVA_HOME name it"),
    ],
)
def test_java_is_asked_for_its_version(
    script: str | None, state: str, remedy: str | None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "bin").mkdir()
    if script is not None:
        (tmp_path / "bin" / "java").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / "java").chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    java = check(settings(tmp_path), "Java")
    assert java.state.startswith(state)
    assert java.remedy == remedy


def test_a_judge_without_a_price_or_a_server_is_said_to_be_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"judge.url=http://127.0.0.1:{server.getsockname()[1]}/v1"
        there = check(settings(tmp_path, *PRICED, url), "judge of discovery")
        assert (there.remedy, there.state.partition(" at ")[0]) == (None, "openai:m")
        unpriced = check(settings(tmp_path, *PRICED[:-1], url), "judge of discovery")
        assert "no price for the model 'm'" in str(unpriced.remedy)
    gone = check(settings(tmp_path, *PRICED, url), "judge of discovery")
    assert "cannot be reached" in str(gone.remedy)


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = check(settings(tmp_path, f"folder={tmp_path}/file/lake"), "folder")
    assert folder.remedy == f"{tmp_path}/file cannot be written: name another, --set folder=PATH"


def test_the_command_ends_with_3_where_something_is_to_be_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [f"--set=folder={tmp_path / 'lake'}", "--set=corpus.input=python_environment"]
    with console.capture() as capture:
        assert main.app(["doctor", *options], standalone_mode=False) == 0
        monkeypatch.setenv("JAVA_HOME", str(tmp_path))
        assert main.app(["doctor", *options], standalone_mode=False) == 3
        ended = main.app(["doctor", *options, "--json"], standalone_mode=False)
    answer = json.loads(capsys.readouterr().out)
    assert (ended, answer["is_well"]) == (3, False)
    assert answer["tables"] == "there are no tables yet: mira run makes them"
    checks = {each.pop("what"): each for each in answer["checks"]}
    assert "install Java 17" in checks["Java"]["remedy"]
    assert checks["pyspark"]["remedy"] is None
    said = " ".join(capture.get().split())
    assert "there are no tables yet: mira run makes them" in said
    assert "install Java 17" in said
