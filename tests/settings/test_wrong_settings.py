"""Over a thousand wrong configurations: exit code 2, no traceback, and a line for each problem that
names its key."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mira_spark.cli.ending import USAGE, exit_code
from mira_spark.cli.main import app
from mira_spark.settings.root import load
from tests.settings import wrong_settings

GENERATED = list(wrong_settings.from_the_models())
CORPUS = "corpus: {input: python_environment}\n"
NOT_KEY_VALUE = "should be key=value, e.g. selection.budget=30%"


def lines_said(capsys: pytest.CaptureFixture[str], command: Callable[[], object]) -> list[str]:
    """What a command says that is refused."""
    code = exit_code(lambda: command() and None)
    said = capsys.readouterr()
    assert (code, said.err) == (USAGE, "")
    assert said.out.startswith("ConfigError: ")
    assert "Traceback" not in said.out
    return said.out.removeprefix("ConfigError: ").splitlines()


def status_of(
    capsys: pytest.CaptureFixture[str], folder: Path, text: str, *overrides: str
) -> list[str]:
    """What `mira status` says, F in the place of the file's path."""
    file = folder / "mira.yaml"
    file.write_text(text, encoding="utf-8")
    options = [part for override in overrides for part in ("--set", override)]
    arguments = ["status", "--config", str(file), *options]
    lines = lines_said(capsys, lambda: app(args=arguments, prog_name="mira", standalone_mode=False))
    return [line.replace(str(file), "F") for line in lines]


def test_there_are_hundreds_of_them() -> None:
    assert len({wrong.text for wrong in GENERATED}) == len(GENERATED)
    assert len(GENERATED) > 1_400


def test_every_setting_refuses_what_it_does_not_take_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for wrong in GENERATED:
        Path("F").write_text(wrong.text, encoding="utf-8")
        lines = sorted(lines_said(capsys, lambda: load("F")))
        assert len(lines) == len(wrong.lines), (wrong.text, lines)
        for line, begin in zip(lines, wrong.lines, strict=True):
            assert line.startswith(begin), (wrong.text, line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("selektion: {}", "F: selektion is not a setting; did you mean selection? Known: "),
        ("whatever: 1", "F: whatever is not a setting. Known: "),
        ("budget: 40%", "F: budget is not a setting"),
        ("selection: {selection: {budget: 40%}}", "F: selection.selection is not a setting"),
        ("judge: {budget: {usd: 5}}", "F: judge.budget.usd is not a setting. Known: per_day, "),
        ("judge: {model: {name: m}}", "F: judge.model: should be a text"),
        ("selection: budget", "F: selection: should be a mapping of keys to values, found "),
        ("selection: [budget, 40%]", "F: selection: should be a mapping of keys to values, found"),
        ("selection: {budget: 40 %}", "F: selection.budget: should be a number of tokens, "),
        ("selection: {budget: 25B}", "F: selection.budget: should be a number of tokens, "),
        ("local_memory: 4 GB", "F: local_memory: should be a whole number and g or m, e.g. 4g, "),
        ("scoring: {hung_after_s: 15m}", "F: scoring.hung_after_s: should be a number, found "),
        ("selection: {seed: 1}\nselection: {}", "F: line 3: selection comes twice"),
        ("selection: {seed: 1, seed: 2}", "F: line 2: seed comes twice"),
        ("judge:\n  pacing:\n    attempts: 1\n    attempts: 2", "F: line 5: attempts comes twice"),
        ("seed: 99999999999999999999", "F: seed: should fit in 64 bits"),
        ("folder: s3:/a", "F: folder: should be a path, or a URI of s3, s3a, gs, "),
        ("selection: [", "F: line 3: is not YAML: "),
        ("selection: {budget: 40%", "F: line 3: is not YAML: "),
        ("selection: budget: 40%", "F: line 2: is not YAML: "),
        ("selection:\n\tbudget: 40%", "F: line 3: is not YAML: "),
        ("selection: '40%", "F: line 3: is not YAML: "),
        ("selection: *budget", "F: line 2: is not YAML: "),
        ("selection: @budget", "F: line 2: is not YAML: "),
        ("selection: %budget", "F: line 2: is not YAML: "),
        ("selection: !budget 40%", "F: line 2: holds a tag, which begins with !: leave it out,"),
        ("? [a]\n: b", "F: line 2: holds a key that is no word"),
        ("--- \nselection: {}", "F: line 2: is not YAML: "),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_whole_file_is_one_line(
    text: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (said,) = status_of(capsys, tmp_path, f"{CORPUS}{text}\n")
    assert said.startswith(line)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("selection.budget", f"--set selection.budget: {NOT_KEY_VALUE}"),
        ("selection.budget 30%", f"--set selection.budget 30%: {NOT_KEY_VALUE}"),
        ("", f"--set : {NOT_KEY_VALUE}"),
        ("=30%", f"--set =30%: {NOT_KEY_VALUE}"),
        ("selection.=30%", f"--set selection.=30%: {NOT_KEY_VALUE}"),
        ("selection..budget=3", f"--set selection..budget=3: {NOT_KEY_VALUE}"),
        ("namespace.a=3", "--set namespace.a: namespace is a value, not a section"),
        ("selection.floors={a: 1%, a: 2%}", "--set selection.floors: a comes twice"),
        ("selection.budget=[", "--set selection.budget: line 1: is not YAML: "),
        ("selection.bugdet=3", "F: selection.bugdet is not a setting; did you mean selection."),
        ("selektion.budget=3", "F: selektion is not a setting; did you mean selection? "),
        ("selection=3", "F: selection: should be a mapping of keys to values, found 3"),
        ("labelling.canaries=ten", "F: labelling.canaries: should be a whole number, found 'ten'"),
    ],
)
def test_a_wrong_override_is_one_line(
    override: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"{CORPUS}namespace: a"
    (said,) = status_of(capsys, tmp_path, text, override)
    assert said.startswith(line)
