"""The options that commands have in common."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from mira_spark.cli.ending import JSON
from mira_spark.errors import InputError
from mira_spark.lake.storage import Root
from mira_spark.settings.types import NAME, NAME_IN_WORDS, root_folder

ConfigOption = Annotated[
    str | None, typer.Option("--config", help="the settings, a YAML file by path or URI")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value over the file, e.g. selection.budget=30%"),
]


def _name(run_id: str | None) -> str | None:
    if run_id is not None and not re.fullmatch(NAME, run_id):
        raise typer.BadParameter(f"should be {NAME_IN_WORDS}, found {run_id!r}")
    return run_id


RunId = Annotated[
    str | None, typer.Option("--run-id", help="names the run in the tables", callback=_name)
]


AsJson = Annotated[
    bool, typer.Option(JSON, help="one JSON object, alone on standard output, an error too")
]

ShownAs = Literal["table", "vertical", "json", "csv"]
"""How rows are printed: the first two for people, the others for programs."""


def root_option(text: str) -> Root:
    """The folder that an option names by path or URI; BadParameter for what is neither."""
    try:
        return root_folder(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, found {text!r}") from error


def read_text(file: Path) -> str:
    """What a file of a person's says. InputError when it cannot be read as UTF-8."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is not UTF-8: {error.reason}; save it as UTF-8") from error
