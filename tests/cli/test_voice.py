"""What --quiet leaves out and --verbose adds, with every command."""

from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest

from mira_spark import pipeline
from mira_spark.__main__ import main
from mira_spark.lake.runs import Outcome
from mira_spark.process import progress
from mira_spark.process.progress import Voice, counted, detail, note, say, track, voice

Ran = tuple[int, str, str]


@pytest.fixture(autouse=True)
def _voice() -> Iterator[None]:
    """Whatever a test chooses, the next begins as a process does."""
    yield
    voice.is_quiet, voice.is_verbose = False, False


@pytest.fixture
def mira(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs `mira WORDS`: the exit code, standard output and standard error."""

    def run(*words: str) -> Ran:
        code = 0
        try:
            main(words)
        except SystemExit as ended:
            code = int(ended.code or 0)
        written = capsys.readouterr()
        return code, written.out, written.err

    return run


def work(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a long step does: it counts, says what it finds, and ends."""
    monkeypatch.setattr(progress, "LOG_EVERY_S", 0.0)
    detail("it begins")
    note("on the way")
    assert list(track("ab", 2, "letters")) == ["a", "b"]
    with counted(3, "files") as add:
        add(3, "all")
    say("the result")


def test_quiet_leaves_out_what_is_on_the_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work(monkeypatch)
    assert capsys.readouterr().out.splitlines() == [
        "on the way", "  letters: 1 of 2", "  letters: 2 of 2", "  files: 3 of 3; all",
        "the result",
    ]  # fmt: skip
    voice.is_quiet = True
    work(monkeypatch)
    assert capsys.readouterr() == ("the result\n", "")


def test_a_terminal_that_is_quiet_sees_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = StringIO()
    monkeypatch.setattr(progress.console, "_file", screen)
    monkeypatch.setattr(progress.console, "_force_terminal", True)
    voice.is_quiet = True
    work(monkeypatch)
    assert screen.getvalue() == "the result\n"


def test_verbose_says_when_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    voice.is_verbose = True
    work(monkeypatch)
    written = capsys.readouterr()
    assert "it begins" not in written.out
    assert written.err.endswith(" s: it begins\n")
    assert float(written.err.split(" s: ")[0]) > 0


@pytest.mark.parametrize("place", [0, 1, 2])
def test_of_several_steps_quiet_says_the_last_and_what_is_degraded(
    place: int, capsys: pytest.CaptureFixture[str]
) -> None:
    voice.is_quiet = True
    for number, status in enumerate(("done", "degraded", "done")):
        outcome = Outcome(f"outcome {number}", status)  # type: ignore[arg-type]
        pipeline._tell("a_step", outcome, is_last=number == 2)
    said = capsys.readouterr().out
    assert (f"outcome {place}" in said) == (place > 0)


def test_an_error_is_said_quietly_and_with_its_traceback_verbosely(
    mira: Callable[..., Ran], tmp_path: Path
) -> None:
    wrong = ("status", "--config", str(tmp_path / "none.yaml"))
    line = f"ConfigError: {tmp_path}/none.yaml: cannot be read: No such file or directory\n"
    assert mira("--quiet", *wrong) == (2, line, "")
    voice.is_quiet = False
    code, out, err = mira("--verbose", *wrong)
    assert (code, out) == (2, line)
    assert err.startswith("Traceback (most recent call last):\n")
    assert "FileNotFoundError" in err


def test_both_at_once_are_refused(mira: Callable[..., Ran]) -> None:
    code, out, _ = mira("--quiet", "--verbose", "status")
    assert code == 2
    assert "one of --quiet and --verbose" in out
    assert voice == Voice()


def test_a_line_of_the_shell_is_as_verbose_as_the_shell(mira: Callable[..., Ran]) -> None:
    voice.is_verbose = True
    code, _, err = mira("status", "--config", "none.yaml")
    assert code == 2
    assert err.startswith("Traceback")
