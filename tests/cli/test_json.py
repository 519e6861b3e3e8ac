"""What programs get of commands with --json: one object on standard output, whatever happens."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import typer
from hypothesis import given, strategies as st
from pyspark.sql import Row

from mira_spark.__main__ import main
from mira_spark.cli import main as commands
from mira_spark.cli.ending import exit_code
from mira_spark.lake import session
from mira_spark.process.plain_values import plain
from mira_spark.process.progress import answer_alone, console, give_lines, say, write_answer
from mira_spark.settings.selection import SelectionSettings

SUPPOSED = ("--documents", "1e6", "--tokens", "1_000_000_000", "--bytes", "4e9", "--sources", "10")
FOR_PEOPLE = {"shell"}
"""Its lines are commands, and each may have --json."""
Ran = tuple[int, dict[str, Any], str]


@pytest.fixture
def mira(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs `mira WORDS`: the exit code, the object on standard output, standard error."""

    def run(*words: str) -> Ran:
        code = 0
        try:
            main(words)
        except SystemExit as ended:
            code = int(ended.code or 0)
        written = capsys.readouterr()
        assert written.out.count("\n") == 1
        return code, json.loads(written.out), written.err

    return run


def all_commands(app: typer.Typer, before: str = "") -> Iterator[tuple[str, set[str]]]:
    """The words of each command, and its options."""
    for command in app.registered_commands:
        group = typer.Typer(add_completion=False)
        group.command(command.name)(command.callback)  # type: ignore[type-var]
        options = {option for each in typer.main.get_command(group).params for option in each.opts}
        yield f"{before}{command.name}", options
    for each in app.registered_groups:
        assert each.typer_instance is not None
        yield from all_commands(each.typer_instance, f"{before}{each.name} ")


def test_every_command_that_answers_does_so_to_programs_too() -> None:
    found = dict(all_commands(commands.app))
    assert {name for name, options in found.items() if "--json" not in options} == FOR_PEOPLE
    assert len(found) > 40


def test_a_plan_has_its_figures_as_numbers(mira: Callable[..., Ran], tmp_path: Path) -> None:
    chosen = ("--set", f"folder={tmp_path}", "--set", "scoring.unit_tokens=50_000_000")
    code, plan, said = mira("plan", *SUPPOSED, "--within", "2", *chosen, "--json")
    assert (code, said) == (0, "")
    assert plan["corpus"]["documents"] == 1_000_000
    assert plan["is_supposed"] is True
    labelling = next(each for each in plan["calls"] if each["kind"] == "labelling")
    assert labelling["calls"] == 1_150_480
    linear = plan["scoring"][0]
    assert (linear["student"], linear["tokens_per_second"], linear["executors"]) == (
        "linear", 15_250_000, 1,
    )  # fmt: skip
    unknown = next(each for each in plan["scoring"] if each["student"] == "generative")
    assert (unknown["rate"], unknown["hours"], unknown["dollars"]) == (None, None, None)
    assert plan["units"]["units"] == 20
    assert {each["table"]: each["rows"] for each in plan["tables"]}["scores"] == 1_000_000


def test_a_first_look_is_an_object_and_asks_nothing(
    mira: Callable[..., Ran], tmp_path: Path
) -> None:
    corpus, out = tmp_path / "web.jsonl", tmp_path / "mira.yaml"
    text = "A text of some words, which is longer than what a name has, by far."
    corpus.write_text("".join(json.dumps({"id": n, "body": text}) + "\n" for n in range(3)))
    code, seen, said = mira("init", str(corpus), "--out", str(out), "--json")
    assert (code, seen["file"], seen["source"]) == (0, str(out), "web")
    assert seen["taken_as"] == {"doc_id": "id", "text": "body"}
    assert [column["name"] for column in seen["seen"]["columns"]] == ["id", "body"]
    assert f"the settings are in {out}; next:" in said
    assert out.exists()


def test_what_was_done_is_said_to_people_and_listed_for_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    give_lines(["signed a", "signed b"], as_json=True)
    give_lines(["signed a", "signed b"], as_json=False)
    assert capsys.readouterr().out == '{"done": ["signed a", "signed b"]}\nsigned a\nsigned b\n'


@pytest.mark.parametrize(
    ("words", "code", "kind", "message"),
    [
        (("status", "--set", "selection.bugdet=1"), 2, "ConfigError", "did you mean"),
        (("status", "--no-such-option"), 2, "UsageError", "No such option"),
        (("no-such-command",), 2, "UsageError", "No such command"),
        (("plan", "--tokens", "many"), 2, "UsageError", "should be a number"),
        (("explain", "a", "--config", "none.yaml"), 2, "ConfigError", "none.yaml"),
    ],
)
def test_an_error_is_an_object_beside_its_line_and_exit_code(
    mira: Callable[..., Ran], words: tuple[str, ...], code: int, kind: str, message: str
) -> None:
    ended, answer, said = mira(*words, "--json")
    assert ended == code
    error = answer.pop("error")
    assert answer == {}
    assert (error["kind"], error["exit_code"]) == (kind, code)
    assert message in error["message"]
    assert said.startswith(f"{kind}: ")


@pytest.mark.parametrize(("accept", "code"), [((), 75), (("--accept", "stopped"), 0)])
def test_a_step_that_stops_is_an_object_also_where_that_is_accepted(
    tmp_path: Path, accept: tuple[str, ...], code: int
) -> None:
    session.hold(tmp_path)  # and another process asks for it
    settings = ("--set", "corpus.input=python_environment", "--set", f"folder={tmp_path}")
    ended = subprocess.run(
        [sys.executable, "-m", "mira_spark", "ingest-corpus", *settings, *accept, "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    error = json.loads(ended.stdout)["error"]
    assert (ended.returncode, error["exit_code"]) == (code, 75)
    assert "is in use by process" in error["message"]
    assert ended.stderr == f"{error['kind']}: {error['message']}\n"


def test_a_defect_is_an_object_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with answer_alone(True):
        assert exit_code(lambda: 1 // 0) == 1
    written = capsys.readouterr()
    error = json.loads(written.out)["error"]
    assert (error["kind"], error["exit_code"]) == ("a defect", 1)
    assert "please report it" in written.err


def test_what_is_said_on_the_way_is_on_standard_error_and_only_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with answer_alone(True):
        say("on the way")
        with answer_alone(False):
            say("deeper")
        write_answer({"é": "\x1b[2J"})
    say("after")
    assert capsys.readouterr() == ('{"\\u00e9": "\\u001b[2J"}\nafter\n', "on the way\ndeeper\n")
    assert not console.stderr


class Named(NamedTuple):
    place: int
    of: tuple[float | None, ...]


@dataclass(frozen=True)
class Fields:
    named: Named
    settings: SelectionSettings
    row: Row
    when: datetime


def test_what_has_fields_is_an_object_of_them() -> None:
    at = datetime(2026, 11, 30, 5, 16, tzinfo=UTC)
    value = Fields(Named(1, (0.5, None)), SelectionSettings(), Row(n=Row(m=[2])), at)
    found = plain(value)
    assert found["named"] == {"place": 1, "of": [0.5, None]}
    assert found["row"] == {"n": {"m": [2]}}
    assert found["settings"]["policy"] == "group"
    assert found["when"] == "2026-11-30T05:16:00+00:00"


def test_numbers_stay_numbers_and_what_is_none_is_null() -> None:
    matrix = np.array([[1.0, np.nan], [np.inf, -0.25]])
    given = {1: matrix, "n": np.int64(3), "dollars": Decimal("0.125"), "is": True, "b": b"\x01\xff"}
    assert plain(given) == {
        "1": [[1.0, None], [None, -0.25]], "n": 3, "dollars": 0.125, "is": True, "b": "01ff",
    }  # fmt: skip


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.decimals() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    | st.tuples(inner, inner) | st.builds(Named, st.integers(), st.tuples(inner)),
    max_leaves=20,
)  # fmt: skip


@given(VALUES)
def test_every_value_can_be_written_and_read(value: object) -> None:
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == plain(value)
