"""A command starts with what every command needs; what does its work is imported by that work."""

import os
import subprocess
import sys
from pathlib import Path

from mira_spark import pipeline
from mira_spark.cli import steps

SLOW = (
    "pyspark", "pandas", "pyarrow", "numpy", "numba", "scipy", "sklearn", "torch", "transformers",
    "mlflow", "plotly", "openai", "boto3",
)  # fmt: skip
"""What neither a help nor a refusal of settings needs."""


def imported(*arguments: str, **environment: str) -> tuple[int, list[str]]:
    """The exit code of `mira` with these arguments, and which slow packages it imported."""
    script = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print(*({SLOW!r} & sys.modules.keys()), file=sys.stderr))\n"
        "from mira_spark.__main__ import main\n"
        f"main({list(arguments)!r})"
    ).replace(f"({SLOW!r} & ", f"(set({SLOW!r}) & ")
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False,
        env=os.environ | environment,
    )  # fmt: skip
    return ended.returncode, ended.stderr.splitlines()[-1].split()


def test_help_imports_nothing_slow() -> None:
    assert imported("--help") == (0, [])
    assert imported("selection", "export", "--help") == (0, [])


def test_completion_imports_nothing_slow() -> None:
    words = {"COMP_WORDS": "mira sel", "COMP_CWORD": "1"}
    assert imported(_MIRA_COMPLETE="complete_bash", **words) == (0, [])


def test_a_setting_is_refused_before_anything_slow_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "mira.yaml"
    file.write_text("corpus: {input: json, path: /data}\nselection: {budget: much}\n")
    for command in (["run"], ["status"], ["selection", "list"], ["sql", "select 1"], ["plan"]):
        assert imported(*command, "--config", str(file)) == (2, []), command


def test_the_help_of_a_step_is_the_first_sentence_of_its_module() -> None:
    said = {name: (step.__doc__ or "").split(" Reads ")[0] for name, step in pipeline.STEPS.items()}
    assert list(steps.STEP_HELP.items()) == list(said.items())
