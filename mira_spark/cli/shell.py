"""`mira shell`: commands and SQL, one a line, over one Spark session."""

import contextlib
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from functools import partial

import typer

from mira_spark.cli.ending import JSON, USAGE, exit_code, say_failure
from mira_spark.cli.opening import open_lakehouse
from mira_spark.process.progress import answer_alone, console, say
from mira_spark.settings.root import load

ENDS = ("exit", "quit")


def run_shell(app: typer.Typer, config: str | None, overrides: Sequence[str]) -> None:
    """Run each line of the standard input: a command of `app`, or else a statement of SQL. What
    fails is said, and the next line is read."""
    open_lakehouse(load(config, overrides))
    options = ["--config", config] if config else []
    options += [word for override in overrides for word in ("--set", override)]
    names = {command.name for command in app.registered_commands}
    names |= {group.name for group in app.registered_groups}
    say(f"a command of mira or a statement of SQL, one a line; {ENDS[0]} ends")
    for line in _lines():
        words = line.split()
        if words and words[0] in ENDS:
            return
        if words:
            with answer_alone(JSON in words):
                exit_code(partial(_run, app, line.strip(), options, names))


def _run(app: typer.Typer, line: str, options: list[str], names: Collection[str | None]) -> int:
    if line.split()[0] not in names:
        arguments = ["sql", *options, "--", line]
    else:
        try:
            arguments = [*shlex.split(line), *options]
        except ValueError as error:
            return say_failure("UsageError", f"{line}: {error}", USAGE)
    return int(app(args=arguments, prog_name="mira", standalone_mode=False) or 0)


def _lines() -> Iterator[str]:
    """What a person types, with the keys of readline where it is there, or a program writes."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # `input` uses it from now on
    while True:
        try:
            yield input("mira> ")
        except EOFError:
            console.print()
            return
