"""The options that commands have in common, and the tables they lead to."""

import re
from typing import Annotated

import typer
from pyspark.sql import SparkSession

from mira_spark.errors import InputError
from mira_spark.lake import adoption, session
from mira_spark.lake.single_writer import check_single_writer
from mira_spark.lake.storage import Root
from mira_spark.lake.tables import Lakehouse
from mira_spark.process import interruption
from mira_spark.settings.root import Settings
from mira_spark.settings.types import NAME, root_folder

ConfigOption = Annotated[
    str | None, typer.Option("--config", help="the settings, a YAML file by path or URI")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value over the file, e.g. selection.budget=30%"),
]


def _name(run_id: str | None) -> str | None:
    if run_id is not None and not re.fullmatch(NAME, run_id):
        raise typer.BadParameter(f"should be 1 to 64 of a to z, 0 to 9 and _, found {run_id!r}")
    return run_id


RunId = Annotated[
    str | None, typer.Option("--run-id", help="names the run in the tables", callback=_name)
]


def root_option(text: str) -> Root:
    """The folder that an option names by path or URI; BadParameter for what is neither."""
    try:
        return root_folder(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}, found {text!r}") from error


def open_lakehouse(settings: Settings, creates: bool = False) -> Lakehouse:
    """The tables of the configured namespace, over the platform's session or a local one.

    Raises InputError when there are none, unless the command `creates` them, and ConfigError for a
    local folder that was copied or moved and not adopted, and for tables on S3 that several drivers
    may write.
    """
    place = f"schema {settings.namespace}"
    if settings.session == "local":
        place = f"{settings.driver_files.absolute()}, {place}"
        if not creates and not session.has_catalog(settings.driver_files):
            raise _no_tables(place)
    lake = Lakehouse(_open_session(settings), settings.namespace)
    if not creates and not lake.exists():
        raise _no_tables(place)
    if settings.session == "platform":
        check_single_writer(lake, settings.single_writer)
    return lake


def _open_session(settings: Settings) -> SparkSession:
    folder = settings.driver_files.absolute()
    if settings.session == "local":
        adoption.check_record(folder)
    with interruption.opening_spark():
        if settings.session == "platform":
            spark = session.open_platform()
        else:
            spark = session.open_local(folder, settings.local_cores, settings.local_memory)
    interruption.cancel_with(spark.interruptAll)
    if settings.session == "local":
        adoption.check_tables(spark, folder)
        adoption.finish(spark, folder)
    return spark


def _no_tables(place: str) -> InputError:
    return InputError(
        f"{place}: there are no tables, and none were made: mira run makes them; another place is "
        "named with --config, --set folder=PATH or --set namespace=NAME"
    )
