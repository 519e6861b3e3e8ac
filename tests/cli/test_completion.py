"""What a shell completes, once `mira --install-completion` has told it how."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MIRA = (sys.executable, "-m", "mira_spark")
ROOT = Path(__file__).parents[2]


def ran(*command: str, **environment: str) -> str:
    """What the command writes."""
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT,
        env=os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"} | environment,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("mira sel", ["select-documents", "selection"]),
        ("mira selection sh", ["show"]),
        ("mira export a --format ", ["parquet", "jsonl"]),
        ("mira status --js", ["--json"]),
    ],
)
def test_bash_completes_commands_options_and_choices(words: str, completed: list[str]) -> None:
    place = str(len(words.split(" ")) - 1)
    said = ran(*MIRA, _MIRA_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=place)
    assert said.split() == completed


def test_zsh_completes_with_the_help_of_each_command() -> None:
    said = ran(*MIRA, _MIRA_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="mira selection sh")
    assert said.startswith("_arguments ")
    assert '"show":"A selection' in said


@pytest.mark.parametrize(
    ("shell", "file"), [("bash", ".bash_completions/mira.sh"), ("zsh", ".zfunc/_mira")]
)
def test_what_is_shown_is_what_is_installed(tmp_path: Path, shell: str, file: str) -> None:
    shown = ran(*MIRA, "--show-completion", shell, HOME=str(tmp_path))
    assert "_MIRA_COMPLETE=complete_" + shell in shown
    assert list(tmp_path.iterdir()) == []
    ran(*MIRA, "--install-completion", shell, HOME=str(tmp_path))
    assert (tmp_path / file).read_text().strip() == shown.strip()
    assert (tmp_path / f".{shell}rc").exists()


def test_bash_itself_completes_the_program_by_its_name(tmp_path: Path) -> None:
    program = tmp_path / "mira"
    program.write_text(f"#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m mira_spark\n")
    program.chmod(0o700)
    script = tmp_path / "completion.sh"
    script.write_text(ran(*MIRA, "--show-completion", "bash"))
    said = ran(
        "bash", "-c",
        f'source {script}; complete -p mira; COMP_WORDS=(mira rubrics a); COMP_CWORD=2; '
        f'_mira_completion {program}; echo "${{COMPREPLY[@]}}"',
    )  # fmt: skip
    assert said.splitlines() == [
        "complete -o default -F _mira_completion mira", "approve audit",
    ]  # fmt: skip
