"""The tables of a command, over the platform's Spark session or a local one."""

from pyspark.sql import SparkSession

from mira_spark.errors import InputError
from mira_spark.lake import adoption, session
from mira_spark.lake.creation import create_tables
from mira_spark.lake.single_writer import check_single_writer
from mira_spark.lake.tables import Lakehouse
from mira_spark.process import interruption
from mira_spark.process.progress import detail
from mira_spark.settings.root import Settings


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


def open_tables(settings: Settings) -> Lakehouse:
    """`open_lakehouse`, with the tables that are missing made, empty."""
    lake = open_lakehouse(settings)
    create_tables(lake)
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
    detail(f"the session of Spark {spark.version} is open")
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
