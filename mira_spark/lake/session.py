"""The Spark session: the platform's own, or a local one that keeps everything in one folder."""

import contextlib
import fcntl
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pyspark
from pyspark import SparkContext
from pyspark.accumulators import AccumulatorTCPServer
from pyspark.sql import SparkSession

from mira_spark.errors import BusyError, ConfigError

OLDEST_SPARK = (4, 0)
TASK_ATTEMPTS = 4
LOG_LAYOUT = """\
rootLogger.level = error
rootLogger.appenderRef.file.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss} %p %c: %m%n%ex
"""
"""Errors alone, with their time and stack: Spark's own says much more."""
_held: dict[Path, IO[str]] = {}


def open_platform() -> SparkSession:
    """The session the platform or spark-submit configured; nothing of it is changed. ConfigError
    for a Spark that is too old."""
    spark = SparkSession.builder.getOrCreate()
    check_version(spark.version)
    return spark


def check_version(version: str) -> None:
    """ConfigError for a version of Spark before OLDEST_SPARK, which lacks functions we call."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST_SPARK:
        raise ConfigError(
            f"Spark {version} is too old: 4.0 or later is needed, as in Databricks Runtime 17.3 or "
            "emr-spark-8.0"
        )


def has_catalog(folder: Path) -> bool:
    """Whether a local session was ever opened in `folder`."""
    return (folder / "metastore").is_dir()


def open_local(folder: Path, cores: int | None = None, memory: str = "4g") -> SparkSession:
    """A local session whose catalog, tables and log live in `folder`.

    Raises BusyError when another process holds the folder: its catalog (Derby) admits one.
    """
    with_delta = _delta_configurer()
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    hold(folder)
    # It prints a traceback when the Java process has ended, which is raised where Spark is asked.
    AccumulatorTCPServer.handle_error = lambda *_: None  # type: ignore[method-assign]
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers see what this process sees
    # A task may fail and be tried again, as on a cluster: so a document that kills it is found.
    master = f"local[{cores or '*'},{TASK_ATTEMPTS}]"
    builder = SparkSession.builder.master(master).appName("mira_spark")
    for key, value in _local_options(folder, memory).items():
        builder = builder.config(key, value)
    log = folder / "spark.log"
    size_before = log.stat().st_size if log.exists() else 0
    try:
        with _one_start_at_a_time(), _output_to(log):
            session = with_delta(builder).getOrCreate()
    except Exception as error:
        with log.open(errors="replace") as file:
            file.seek(size_before)
            error.add_note(file.read())  # why Java did not start is nowhere else
        raise
    _take_jars_from_python(SparkContext.getOrCreate())
    return session


def _take_jars_from_python(context: SparkContext) -> None:
    """Take the jars that Spark fetched off the path of Python, here and in workers. Spark puts them
    there as if they held Python; each worker would read them all for every module it imports."""
    includes = context._python_includes or []
    jars = {name for name in includes if name.endswith(".jar")}
    context._python_includes = [name for name in includes if name not in jars]
    sys.path[:] = [path for path in sys.path if Path(path).name not in jars]


def _delta_configurer() -> Callable[[SparkSession.Builder], SparkSession.Builder]:
    """The function that adds Delta's jars to a session; ConfigError without delta-spark."""
    try:
        from delta import configure_spark_with_delta_pip
    except ImportError as error:
        raise ConfigError(
            "session: local needs delta-spark: pip install 'mira-spark[spark]'"
        ) from error
    return configure_spark_with_delta_pip


def _local_options(folder: Path, memory: str) -> dict[str, str]:
    """Spark's settings for a session in `folder`, and the file of its log's layout."""
    quiet = folder / "log4j2.properties"
    quiet.write_text(LOG_LAYOUT)
    log = str(folder / "derby.log").replace("\\", "\\\\").replace('"', '\\"')
    java = (  # the path in quotes: Spark divides this at spaces
        f'"-Dderby.stream.error.file={log}" -Dlog4j2.configurationFile={quiet.as_uri()}'
        # Spark compiles code for every query: when the cache is full, sweeping it costs most.
        " -XX:ReservedCodeCacheSize=512m"
    )
    return {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.catalogImplementation": "hive",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.hadoop.javax.jdo.option.ConnectionURL": (
            f"jdbc:derby:;databaseName={folder}/metastore;create=true"
        ),
        "spark.driver.extraJavaOptions": java,
        "spark.driver.memory": memory,
        "spark.local.dir": str(folder / "spark"),
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.session.timeZone": "UTC",
        "spark.databricks.delta.snapshotPartitions": "2",
        # Without Hadoop's native library the default ones start processes (chmod, readlink) for
        # every file of a table's log. These start fewer, and do not guard against other processes,
        # which `hold` keeps out.
        "spark.delta.logStore.file.impl": "io.delta.storage.LocalLogStore",
        "spark.hadoop.spark.sql.streaming.checkpointFileManagerClass": (
            f"org.apache.spark.sql.execution.streaming.{_checkpointing()}"
            "FileSystemBasedCheckpointFileManager"
        ),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }


def _checkpointing() -> str:
    """The package of Spark's checkpoints, which Spark 4.1 moved to one of its own."""
    return "" if pyspark.__version__.startswith("4.0.") else "checkpointing."


def hold(folder: Path) -> None:
    """Keep other processes out of `folder` until this one ends; BusyError when one holds it."""
    if folder in _held:
        return
    lock = (folder / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise BusyError(
            f"{folder} is in use by process {holder}: wait until it ends, or give this one a "
            "folder of its own with --set folder=PATH"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    _held[folder] = lock


def release(folder: Path) -> None:
    """Let other processes use `folder`; its session must have ended, its Java process too."""
    lock = _held.pop(folder.absolute(), None)
    if lock is not None:
        lock.close()


@contextlib.contextmanager
def _one_start_at_a_time() -> Iterator[None]:
    """Wait until no other process of this user starts a local session.

    The first start on a machine fetches Delta's jars; two that fetch at once both fail.
    """
    with (Path(tempfile.gettempdir()) / f"mira_spark_{os.getuid()}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Send what this process and the Java process started inside write to `log`.

    The Java process keeps that output for its life, so Spark never writes between our lines.
    """
    with log.open("ab") as file:
        saved = [os.dup(1), os.dup(2)]
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            yield
        finally:
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            for descriptor in saved:
                os.close(descriptor)
