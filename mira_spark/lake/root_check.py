"""Whether driver and executors share the root folder, before anything is done."""

import uuid
from functools import partial

from pyspark.sql import SparkSession

from mira_spark.errors import ConfigError
from mira_spark.lake import storage
from mira_spark.lake.storage import Root


def check_root(spark: SparkSession, root: Root) -> None:
    """ConfigError unless the driver can write below the root and an executor reads what it wrote;
    OutsideError where the storage failed. One task looks; the others are taken to be like it."""
    place = storage.location(root, f".probe-{uuid.uuid4().hex}")
    content = uuid.uuid4().bytes
    try:
        storage.write_content(content, place)
    except OSError as error:
        raise ConfigError(f"folder: the driver cannot write to {root}: {error}") from error
    try:
        rows = spark.range(1, numPartitions=1).mapInArrow(
            partial(storage.seen_rows, place), "content binary, reason string"
        )
        seen = rows.collect()[0]
    finally:
        storage.remove_file(place)
    if seen["content"] != content:
        raise ConfigError(
            f"folder: executors do not see {root} as the driver does ({seen['reason']}): give a "
            "folder that all share, a volume or a URI such as s3://bucket/prefix"
        )
