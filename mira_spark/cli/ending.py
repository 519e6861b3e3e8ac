"""How a command ends: its exit code, and what is said of an error."""

import tempfile
import threading
import traceback
from collections.abc import Callable
from typing import cast

import typer

from mira_spark.process import failures
from mira_spark.process.progress import detail_traceback, is_answer_alone, say_error, write_answer

DEFECT = 1
USAGE = 2
JSON = "--json"
"""The option of every command that answers: then also an error is an object on standard output."""
_ClickError = cast(type[typer.BadParameter], typer.BadParameter.__mro__[2])
"""What typer raises for a wrong option or argument, wherever it keeps click."""


def exit_code(command: Callable[[], int | None]) -> int:
    """Run it. What the user can mend is one message and an exit code; a defect is one line that
    names the file with its traceback, and exit code 1."""
    try:
        return command() or 0
    except _ClickError as error:
        if message := error.format_message():  # none where the help was shown
            more = "(mira --help, or --help after a command)"
            return say_failure("UsageError", f"{message} {more}", USAGE)
        return USAGE
    except Exception as error:
        known = failures.explained(error)
        if known is None:
            return say_failure("a defect", _defect(error), DEFECT)
        detail_traceback(error)
        return say_failure(type(known).__name__, str(known), known.exit_code)


def say_failure(kind: str, message: str, code: int) -> int:
    """Say it; the exit code. Where standard output is for the answer alone, it is the answer."""
    say_error(kind, message)
    if is_answer_alone():
        write_answer({"error": {"kind": kind, "message": message, "exit_code": code}})
    return code


def say_defect_of_thread(ended: threading.ExceptHookArgs) -> None:
    """For `threading.excepthook`: a known failure ends the main thread, too, and is said there."""
    error = ended.exc_value
    if error is not None and failures.explained(error) is None:
        say_error("a defect", _defect(error))


def _defect(error: BaseException) -> str:
    """The error in one line; its traceback goes to a file, or after it where none can be made."""
    text = "".join(traceback.format_exception(error))
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
    try:
        with tempfile.NamedTemporaryFile(prefix="mira-", suffix=".txt", delete=False) as file:
            file.write(text.encode(errors="backslashreplace"))
    except OSError:
        return f"{said}; please report it:\n{text}"
    return f"{said}; the traceback is in {file.name}, please report it"
