"""Whether the tables lie where more than one driver may write them, before any is written."""

import contextlib
import os
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

from pyspark.errors import PySparkException

from mira_spark.errors import ConfigError
from mira_spark.lake.creation import schema_location
from mira_spark.lake.tables import Lakehouse

_S3 = ("s3", "s3a", "s3n")
_SHARED_LOG = "io.delta.storage.S3DynamoDBLogStore"
"""Delta's own way to let several drivers write a table on S3; all of them need it."""
_DATABRICKS = "spark.databricks.clusterUsageTags.sparkVersion"


def check_single_writer(lake: Lakehouse, is_single_writer: bool) -> None:
    """`check_place` for where the lake's schema lies, or a new one would lie, unless the settings
    say that one driver at a time writes it."""
    if not is_single_writer:
        place = schema_location(lake) if lake.exists() else _option(lake, "spark.sql.warehouse.dir")
        check_place(lake.namespace, place or "", partial(_option, lake))


def check_place(namespace: str, place: str, option: Callable[[str], str | None]) -> None:
    """ConfigError where two drivers could overwrite each other's commits: on S3, but for Databricks
    and Delta's log store in DynamoDB. `option` gives a setting of Spark's session."""
    if admits_several_writers(place, option):
        return
    raise ConfigError(
        f"single_writer: {namespace} lies on {place}, where Delta keeps the commits of two drivers "
        "apart only with a log store in DynamoDB: set single_writer: true and let one driver at a "
        f"time write these tables, or spark.delta.logStore.{urlsplit(place).scheme}.impl="
        f"{_SHARED_LOG} on every one that does"
    )


def _option(lake: Lakehouse, name: str) -> str | None:
    with contextlib.suppress(PySparkException):  # some platforms show only some settings
        return lake.spark.conf.get(name, None)
    return None


def admits_several_writers(place: str, option: Callable[[str], str | None]) -> bool:
    """Whether Delta keeps commits of several drivers at this place apart."""
    scheme = urlsplit(place).scheme
    if scheme not in _S3 or option(_DATABRICKS) or "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return True
    log_store = option(f"spark.delta.logStore.{scheme}.impl") or option(
        "spark.delta.logStore.class"
    )
    return log_store == _SHARED_LOG
