"""What a scheduler may ask of a step's command, and what it is told at the end."""

import subprocess
import sys
from pathlib import Path

import pytest

from mira_spark.__main__ import main
from mira_spark.lake import session

INGEST = ("ingest-corpus", "--set", "corpus.input=python_environment")


def ended(*arguments: str, module: str = "mira_spark") -> tuple[int, str]:
    """The exit code of the command, and what it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The option for a folder that this process holds: a command that needs it stops."""
    folder = tmp_path_factory.mktemp("held")
    session.hold(folder)
    return f"folder={folder}"


@pytest.mark.parametrize(
    ("accept", "code"),
    [((), 75), (("--accept", "degraded"), 75), (("--accept", "degraded,stopped"), 0)],
)
def test_a_stop_is_success_where_that_was_agreed_to_and_is_said_all_the_same(
    held: str, accept: tuple[str, ...], code: int
) -> None:
    found, said = ended(*INGEST, "--set", held, *accept)
    assert found == code
    assert "is in use by process" in said
    assert said.count("\n") == 1


def test_what_is_refused_is_no_success(tmp_path: Path) -> None:
    refused = ("--set", "corpus.nothing=1", "--set", f"folder={tmp_path}")
    assert ended(*INGEST, *refused, "--accept", "degraded,stopped")[0] == 2


def test_an_ending_that_there_is_none_of_is_refused(held: str) -> None:
    found, said = ended(*INGEST, "--set", held, "--accept", "stopped,failed")
    assert found == 2
    assert "should be of degraded, stopped, found 'failed'" in said


def test_a_command_whose_time_is_over_stops_with_what_is_kept(tmp_path: Path) -> None:
    found, said = ended(*INGEST, "--set", f"folder={tmp_path}", "--max-minutes", "0")
    assert found == 75
    assert "the same command goes on from here" in said


def test_success_returns_without_an_exit() -> None:
    """A wheel task of Databricks that exits, if with 0, can count as failed."""
    assert main(["--help"]) is None


@pytest.mark.parametrize("module", ["mira_spark", "mira_spark.cli"])
def test_every_way_to_start_it_is_the_same_program(module: str) -> None:
    assert ended("--help", module=module) == ended("--help")
    found, said = ended("no-such-command", module=module)
    assert found == 2
    assert "No such command 'no-such-command'" in said
