"""The options that commands have in common, and the tables they lead to."""

from pathlib import Path
from typing import Annotated

import typer

from mira_spark import adoption, session
from mira_spark.settings import Settings
from mira_spark.tables import Lakehouse

Config = Annotated[Path | None, typer.Option("--config", help="the settings, a YAML file")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value over the file, e.g. selection.budget=30%"),
]
RunId = Annotated[str | None, typer.Option("--run-id", help="names the run in the tables")]


def open_lakehouse(settings: Settings) -> Lakehouse:
    """The tables of the configured namespace, over the platform's session or a local one.

    ConfigError for a local folder that was copied or moved and not adopted.
    """
    if settings.session == "platform":
        spark = session.open_platform()
    else:
        folder = settings.folder.absolute()
        adoption.check_record(folder)
        spark = session.open_local(folder, settings.local_cores, settings.local_memory)
        adoption.check_tables(spark, folder)
        adoption.finish(spark, folder)
    return Lakehouse(spark, settings.namespace)
