"""Whatever a text holds, it is shown and does nothing to a terminal."""

import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from mira_spark.__main__ import main
from mira_spark.process.progress import (
    console,
    counted,
    say,
    say_error,
    say_text,
    show_table,
    track,
    visible,
)

STYLES = re.compile(r"\x1b\[[0-9;]*m")
"""What rich puts around styled text on a terminal."""
BAR = re.compile(r"\x1b\[(\?25[lh]|[0-9]*[AK])|\r")
"""How rich draws a bar over the one before."""

CONTROLS = ("\x1b[2J", "\x1b]0;x\x07", "\x9b31m", "\x07", "\b", "\r", "\x00", "\t", "\x7f", "\x85",
            "\u202e", "\u2066", "\u2028", "\u200b", "\ufeff", "\ud800")  # fmt: skip
MARKUP = ("[red]", "[/x]", "[/]", "[link=x]", ":warning:", "\\[", "[@click=app.quit]")
hostile = st.lists(st.sampled_from((*CONTROLS, *MARKUP, "\n")) | st.text(max_size=5)).map("".join)

thorough = settings(
    max_examples=500,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def shown(act: Callable[[], object]) -> str:
    with console.capture() as capture:
        act()
    return capture.get()


@thorough
@given(text=hostile)
@example(text="".join((*CONTROLS, *MARKUP)))
def test_a_line_shows_its_text_and_nothing_else(text: str) -> None:
    assert shown(lambda: say(text)) == f"{visible(text)}\n"
    assert shown(lambda: say("a ", (text, "red"), " z")) == f"a {visible(text)} z\n"


@thorough
@given(text=hostile)
def test_what_is_visible_is_one_line_of_printable_characters_and_can_be_told_from_others(
    text: str,
) -> None:
    assert visible(text).isprintable()
    assert visible(text).encode().decode() == visible(text)
    assert text.isprintable() == (visible(text) == text)


@thorough
@given(text=hostile)
def test_of_a_message_only_its_line_breaks_act(text: str) -> None:
    lines = [visible(line) for line in text.split("\n")]
    assert shown(lambda: say_error("Error", text)).split("\n")[0] == f"Error: {lines[0]}"
    assert shown(lambda: say_text(f"{text}\nz")).split("\n") == [*lines, "z", ""]


@thorough
@given(text=hostile)
def test_a_table_shows_cells_headings_and_title_as_they_are(text: str) -> None:
    output = shown(lambda: show_table((f"h{text}", "n"), [(f"c{text}z", "1"), None], 1, f"t{text}"))
    assert output.replace("\n", "").isprintable()
    narrow = len(visible(text)) < 50 and all(len(c.encode()) == 1 for c in visible(text))
    if narrow:  # a cell that is wider than the terminal is cut
        for begin, end in (("h", ""), ("c", "z"), ("t", "")):
            assert f"{begin}{visible(text)}{end}" in output


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is printed to a terminal."""
    output = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(console, "_force_terminal", True)
        patch.setattr(console, "_file", output)
        patch.setattr(console, "is_interactive", True)
        patch.setenv("TERM", "xterm")
        yield output


@thorough
@given(text=hostile)
def test_on_a_terminal_nothing_but_our_own_styles_gets_through(
    terminal: io.StringIO, text: str
) -> None:
    terminal.seek(0)
    terminal.truncate()
    say((text, "bold"), text)
    show_table((text,), [(text,)], title=text)
    say_error("Error", text)
    output = STYLES.sub("", terminal.getvalue())
    assert output.replace("\n", "").isprintable()
    assert output.startswith(visible(text) * 2 + "\n")


@settings(thorough, max_examples=20)
@given(text=hostile)
@example(text="".join((*CONTROLS, *MARKUP)))
def test_a_bar_takes_no_markup_and_no_control_from_its_words(
    terminal: io.StringIO, text: str
) -> None:
    terminal.seek(0)
    terminal.truncate()
    assert list(track([1], 1, text)) == [1]
    with counted(1, text) as add:
        add(1, text)
    output = BAR.sub("", STYLES.sub("", terminal.getvalue()))
    assert visible(text)[:8] in output
    assert output.replace("\n", "").isprintable()


def test_what_is_logged_is_shown_too(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import logging\nfrom mira_spark.process.progress import set_up_logging\nset_up_logging()\n"
        "logging.getLogger('x').warning('a\\x1b[2J\\u202e[/x]\\nb')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr == "WARNING x: a\\x1b[2J\\u202e[/x]\nb\n"


def test_a_terminal_that_is_not_utf_8_gets_escapes() -> None:
    code = (
        "from mira_spark.process.progress import set_up_logging, say\nset_up_logging()\n"
        "say('caf\\xe9 \\u2026 \\udcff')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env={"PYTHONIOENCODING": "ascii", "PATH": ""},
    )
    assert run.stdout == b"caf\\xe9 \\u2026 \\udcff\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["\x1b[2J[/x]"], "No such command '\\x1b[2J[/x]'."),
        (["plan", "--\u202e[red]"], "No such option: --\\u202e[red]"),
        (["judge", "retry", "--outcome", "\x9b"], "'\\x9b' is not one of 'failed', 'unreadable'"),
        (["plan", "--config", "/\x1b[2J[/x]"], "/\\x1b[2J[/x]: cannot be read: No such file"),
        (["plan", "--set", "a\u202e[/x]"], "--set a\\u202e[/x]: should be key=value"),
    ],
)
def test_a_hostile_argument_is_shown_when_it_is_refused(arguments: list[str], said: str) -> None:
    with console.capture() as capture, pytest.raises(SystemExit) as ended:
        main(arguments)
    assert said in capture.get()
    assert capture.get().replace("\n", "").isprintable()
    assert ended.value.code == 2
