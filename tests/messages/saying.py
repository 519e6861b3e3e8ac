"""What is said when something cannot be done, and the files that it cannot be done with."""

from collections.abc import Callable
from pathlib import Path

import typer

from mira_spark.errors import MiraError

Case = tuple[Callable[[], object], str]
"""What cannot be done, and what is said then."""


def message(call: Callable[[], object]) -> str:
    """Of the error that it raises, or gives."""
    try:
        error = call()
    except typer.BadParameter as refusal:
        return refusal.format_message()
    except (MiraError, ValueError) as refusal:
        return str(refusal)
    assert isinstance(error, MiraError), f"was done, with {error!r}"
    return str(error)


def written(name: str, content: bytes) -> str:
    """The name of a file of this content in the folder that the test works in."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return name
