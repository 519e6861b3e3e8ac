"""The program `mira`, also `python -m mira_spark`: a command, and how it ends."""

import sys
import threading
from collections.abc import Sequence

from mira_spark.cli.ending import JSON, exit_code, say_defect_of_thread
from mira_spark.process import interruption
from mira_spark.process.progress import answer_alone, set_up_logging


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; `exit_code` says how it ends. With 0 it returns: a task of Databricks that
    exits, if with 0, counts as failed. With --json among the arguments standard output is for the
    answer, and all else goes to standard error."""
    set_up_logging()
    threading.excepthook = say_defect_of_thread
    words = sys.argv[1:] if arguments is None else list(arguments)
    as_json = JSON in words
    with interruption.bounded(said_to=2 if as_json else 1), answer_alone(as_json):
        if code := exit_code(lambda: _run(words)):
            sys.exit(code)


def _run(words: Sequence[str]) -> int | None:
    from mira_spark.cli.main import app  # takes a while, in which it can be interrupted

    # Not in typer's own mode, which prints what it was given as it is.
    code: int | None = app(args=list(words), prog_name="mira", standalone_mode=False)
    return code


def step_main(step: str) -> None:
    """The program of `jobs/<step>.py`: the step's subcommand with the program's arguments."""
    main([step.replace("_", "-"), *sys.argv[1:]])


if __name__ == "__main__":
    main()
