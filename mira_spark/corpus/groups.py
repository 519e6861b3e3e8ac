"""Which group a source is in now."""

from pyspark.sql import functions as F

from mira_spark.corpus.grouping import grouping_id
from mira_spark.errors import InputError
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.corpus import GroupingSettings


def source_groups(lake: Lakehouse, settings: GroupingSettings) -> dict[str, str]:
    """Source to group; InputError when nothing was grouped under these settings."""
    wanted = grouping_id(settings)
    rows = lake.read("source_groups").filter(F.col("grouping_id") == wanted)
    groups = {
        r["source"]: r["source_group"] for r in rows.select("source", "source_group").collect()
    }
    if not groups:
        raise InputError(
            f"{lake.name('source_groups')} has no grouping yet: run group_sources first"
        )
    return groups
