"""The options that commands have in common, and the tables they lead to."""

from pathlib import Path
from typing import Annotated

import typer

from mira_spark import session
from mira_spark.settings import Settings
from mira_spark.tables import Lakehouse

Config = Annotated[Path | None, typer.Option("--config", help="the settings, a YAML file")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value over the file, e.g. selection.budget=30%"),
]
RunId = Annotated[str | None, typer.Option("--run-id", help="names the run in the tables")]


def open_lakehouse(settings: Settings) -> Lakehouse:
    """The tables of the configured namespace, over the platform's session or a local one."""
    if settings.session == "platform":
        spark = session.open_platform()
    else:
        spark = session.open_local(settings.folder, settings.local_cores, settings.local_memory)
    return Lakehouse(spark, settings.namespace)
