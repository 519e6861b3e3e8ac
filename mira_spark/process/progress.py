"""What a person sees: lines, tables, and how far a step is.

Nothing else prints. Text is shown as it is: what it holds of markup, of escape sequences or of
characters that reorder a line is made visible, so that no name, id or row can act on a terminal.
What another program asks for with --json is one object on standard output, and nothing else there.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from mira_spark.process.plain_values import plain

WIDTH_ELSEWHERE = 120
LOG_EVERY_S = 10.0

console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
if not console.is_terminal:
    console.width = WIDTH_ELSEWHERE

_T = TypeVar("_T")
_STARTED = time.monotonic()


@dataclass
class Voice:
    """How much is said: quiet, nothing on the way to a result; verbose, when each part of the work
    began, and where an error comes from."""

    is_quiet: bool = False
    is_verbose: bool = False


voice = Voice()


class _VisibleFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(visible, super().format(record).split("\n")))


def set_up_logging() -> None:
    """Our own lines to standard output, Spark's Python side to silence below errors of ours.

    What the terminal's encoding lacks is shown as an escape.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler()
    handler.setFormatter(_VisibleFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for noisy in ("SQLQueryContextLogger", "DataFrameQueryContextLogger", "py4j", "alembic"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    for chatty in ("mlflow", "httpx", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.ERROR)


def visible(text: str) -> str:
    """The text with every character that cannot be seen as its escape, line breaks too: one line
    that does nothing to a terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def say(*parts: str | tuple[str, str]) -> None:
    """One line of these parts, each a text or (text, style); without parts an empty line."""
    line = Text()
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        line.append(visible(text), style)
    console.print(line)


def note(*parts: str | tuple[str, str]) -> None:
    """`say` of what is on the way to a result."""
    if not voice.is_quiet:
        say(*parts)


def detail(text: str) -> None:
    """Where it is asked for, a line on standard error with the seconds since the start."""
    if voice.is_verbose:
        with answer_alone(True):
            say((f"{time.monotonic() - _STARTED:6.1f} s: {text}", "dim"))


def detail_traceback(error: BaseException) -> None:
    """Where it is asked for, the error's traceback on standard error."""
    if voice.is_verbose:
        with answer_alone(True):
            say_text("".join(traceback.format_exception(error)))


def say_error(title: str, message: str) -> None:
    """A message of one or more lines after its title, for errors."""
    first, _, rest = message.partition("\n")
    say((f"{title}:", "red"), f" {first}")
    if rest:
        say_text(rest)


def write_lines(lines: Iterable[str]) -> None:
    """Lines for another program, as they are; on a terminal what cannot be seen is made visible."""
    for line in lines:
        sys.stdout.write(f"{visible(line) if console.is_terminal else line}\n")


@contextmanager
def answer_alone(is_asked: bool) -> Iterator[None]:
    """A block in which, where `is_asked`, all that is said goes to standard error: standard output
    is for `write_answer`."""
    before, console.stderr = console.stderr, is_asked or console.stderr
    try:
        yield
    finally:
        console.stderr = before


def is_answer_alone() -> bool:
    """Whether standard output is for `write_answer` alone."""
    return console.stderr


def write_answer(answer: object) -> None:
    """What a command answers, which has fields, for another program: one JSON object in a line, in
    ASCII, with `plain` values."""
    sys.stdout.write(json.dumps(plain(answer), allow_nan=False) + "\n")


def give_answer(answer: _T, show: Callable[[_T], None], as_json: bool) -> None:
    """What a command answers: shown to a person, or written for another program."""
    if as_json:
        write_answer(answer)
    else:
        show(answer)


def give_lines(done: Sequence[str], as_json: bool) -> None:
    """What a command did, a line each: for a person, or as `done` for another program."""
    if as_json:
        write_answer({"done": list(done)})
    else:
        for line in done:
            say(line)


def say_text(text: str) -> None:
    """A text of several lines, each as it is."""
    for line in text.removesuffix("\n").split("\n"):
        say(line)


def show_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str] | None],
    texts: int | None = None,
    title: str = "",
    is_cut: bool = False,
) -> None:
    """Print rows under their headings; None is a line between sections.

    The first `texts` columns (None: all) are flush left, the others are numbers, flush right. With
    `is_cut` a row is one line, and texts that are too long for the screen end in an ellipsis.
    """
    if title:
        say()
    table = Table(title=visible(title) or None, title_justify="left", box=None)
    for place, heading in enumerate(headings):
        is_text = texts is None or place < texts
        table.add_column(
            visible(heading),
            justify="left" if is_text else "right",
            no_wrap=is_cut,
            overflow="ellipsis" if is_cut else "fold",
        )
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*map(visible, row))
    console.print(table)


@contextmanager
def counted(total: int, what: str) -> Iterator[Callable[[int, str], None]]:
    """A function for the block to say that so many more are done, and a few words about it: on a
    terminal a bar with them, elsewhere a line every ten seconds and at the end."""
    if console.is_terminal:
        with _bar(total, what, _literal("{task.fields[words]}")) as (bar, task):
            yield lambda more, said: bar.update(task, advance=more, words=visible(said))
        return
    state = {"done": 0, "said": time.monotonic()}

    def add(more: int, said: str) -> None:
        state["done"] += more
        if time.monotonic() - state["said"] >= LOG_EVERY_S:
            state["said"] = time.monotonic()
            note(f"  {what}: {state['done']:,} of {total:,}; {said}")

    yield add


def track(items: Iterable[_T], total: int, what: str, weight: int = 1) -> Iterator[_T]:
    """The items, while a bar (on a terminal) or a line every ten seconds says how far it is.

    `weight` is how many of `total` one item stands for.
    """
    if console.is_terminal:
        with _bar(total, what, TimeRemainingColumn()) as (bar, task):
            for item in items:
                yield item
                bar.advance(task, weight)
        return
    last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last >= LOG_EVERY_S:
            last = time.monotonic()
            note(f"  {what}: {min(done * weight, total):,} of {total:,}")


@contextmanager
def _bar(
    total: int, what: str, after: TextColumn | TimeRemainingColumn
) -> Iterator[tuple[Progress, TaskID]]:
    columns = (_literal("  {task.description}"), BarColumn(), MofNCompleteColumn(), after)
    with Progress(*columns, console=console, transient=True, disable=voice.is_quiet) as bar:
        yield bar, bar.add_task(visible(what), total=total, words="")


def _literal(template: str) -> TextColumn:
    """A column of a bar that takes no markup."""
    return TextColumn(template, markup=False)
