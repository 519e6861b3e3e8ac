"""What a person sees while a step runs: bars on a terminal, log lines elsewhere."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

WIDTH_ELSEWHERE = 120
LOG_EVERY_S = 10.0

console = Console(highlight=False, soft_wrap=True)
if not console.is_terminal:
    console.width = WIDTH_ELSEWHERE

T = TypeVar("T")


def set_up_logging() -> None:
    """Our own lines to standard output, Spark's Python side to silence below errors of ours."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for noisy in ("SQLQueryContextLogger", "DataFrameQueryContextLogger", "py4j", "alembic"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    for chatty in ("mlflow", "httpx", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.ERROR)


def say(line: str) -> None:
    """One line to the person or the log; rich markup is allowed."""
    console.print(line)


def plain(text: str) -> str:
    """Text of others for `say`: without markup, and what cannot be seen as escapes, so that it does
    nothing to a terminal."""
    return escape("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text))


@contextmanager
def counted(total: int, what: str) -> Iterator[Callable[[int, str], None]]:
    """A function for the block to say that so many more are done, and a few words about it: on a
    terminal a bar with them, elsewhere a line every ten seconds and at the end."""
    if console.is_terminal:
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
        words = TextColumn("{task.fields[words]}")
        with Progress(*columns, words, console=console, transient=True) as bar:
            task = bar.add_task(what, total=total, words="")
            yield lambda more, said: bar.update(task, advance=more, words=escape(said))
        return
    state = {"done": 0, "said": time.monotonic()}

    def add(more: int, said: str) -> None:
        state["done"] += more
        if time.monotonic() - state["said"] >= LOG_EVERY_S:
            state["said"] = time.monotonic()
            say(f"  {what}: {state['done']:,} of {total:,}; {escape(said)}")

    yield add


def track(items: Iterable[T], total: int, what: str, weight: int = 1) -> Iterator[T]:
    """The items, while a bar (on a terminal) or a line every ten seconds says how far it is.

    `weight` is how many of `total` one item stands for.
    """
    if console.is_terminal:
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
            task = bar.add_task(what, total=total)
            for item in items:
                yield item
                bar.advance(task, weight)
        return
    last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last >= LOG_EVERY_S:
            last = time.monotonic()
            say(f"  {what}: {min(done * weight, total):,} of {total:,}")
