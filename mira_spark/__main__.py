"""The program `mira`, also `python -m mira_spark`: a command, and how it ends when it fails."""

import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from typing import cast

import typer

from mira_spark.process import failures, interruption
from mira_spark.process.progress import say_error, set_up_logging

DEFECT = 1
_ClickError = cast(type[typer.BadParameter], typer.BadParameter.__mro__[2])
"""What typer raises for a wrong option or argument, wherever it keeps click."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. What the user can mend is one message and an exit code; a defect is one line
    that names the file with its traceback, and exit code 1."""
    set_up_logging()
    threading.excepthook = _say_defect_of_thread
    with interruption.bounded():
        try:
            from mira_spark.cli.main import app  # takes seconds, in which it can be interrupted

            # Not in typer's own mode, which prints what it was given as it is.
            code = app(
                args=list(arguments) if arguments is not None else None,
                prog_name="mira",
                standalone_mode=False,
            )
        except _ClickError as error:
            if message := error.format_message():  # none where the help was shown
                say_error("UsageError", f"{message} (mira --help, or --help after a command)")
            sys.exit(2)
        except Exception as error:
            known = failures.explained(error)
            if known is None:
                say_error("a defect", _defect(error))
                sys.exit(DEFECT)
            say_error(type(known).__name__, str(known))
            sys.exit(known.exit_code)
        if code:  # a task of Databricks that exits, if with 0, counts as failed
            sys.exit(code)


def step_main(step: str) -> None:
    """The program of `jobs/<step>.py`: the step's subcommand with the program's arguments."""
    main([step.replace("_", "-"), *sys.argv[1:]])


def _say_defect_of_thread(ended: threading.ExceptHookArgs) -> None:
    """A known failure ends the main thread, too, and is said there."""
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


if __name__ == "__main__":
    main()
