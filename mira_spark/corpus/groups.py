"""Which group a source is in now, by which grouping and embedder."""

import hashlib

from pyspark.sql import functions as F

from mira_spark.corpus import embedder_ids
from mira_spark.corpus.grouping import grouping_id
from mira_spark.errors import InputError
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.embedder import EmbedderSettings, Grouping


def source_groups(lake: Lakehouse, grouping: Grouping) -> dict[str, str]:
    """Source to group; InputError when nothing was grouped under these settings."""
    wanted = current_grouping_id(lake, grouping)
    rows = lake.read("source_groups").filter(F.col("grouping_id") == wanted)
    groups = {
        r["source"]: r["source_group"] for r in rows.select("source", "source_group").collect()
    }
    if not groups:
        raise _not_grouped(lake)
    return groups


def current_grouping_id(lake: Lakehouse, grouping: Grouping) -> str:
    """The id of the grouping under these settings; InputError as of `embedder_id`."""
    return grouping_id(grouping.settings, embedder_id(lake, grouping.embedder))


def embedder_id(lake: Lakehouse, settings: EmbedderSettings) -> str:
    """The id of the embedder that sources were grouped by.

    That of an encoder names its weights, which only the steps that embed need to have: the others
    read what `record_embedder` noted. InputError before anything was grouped by this encoder.
    """
    if settings.kind != "encoder":
        return embedder_ids.embedder_id(settings)
    recorded = lake.properties("source_groups").get(_property(settings))
    if recorded is None:
        raise _not_grouped(lake)
    return recorded


def record_embedder(lake: Lakehouse, settings: EmbedderSettings, embedder_id: str) -> None:
    """Note by which weights of an encoder the sources are grouped from now on."""
    name = _property(settings)
    if settings.kind == "encoder" and lake.properties("source_groups").get(name) != embedder_id:
        lake.set_properties("source_groups", {name: embedder_id})


def _property(settings: EmbedderSettings) -> str:
    """The property of `source_groups` that holds the embedder's id."""
    chosen = f"{settings.model}\x00{settings.max_tokens}"
    return f"mira.embedder.{hashlib.sha256(chosen.encode()).hexdigest()[:16]}"


def _not_grouped(lake: Lakehouse) -> InputError:
    return InputError(
        f"{lake.name('source_groups')} has no grouping yet: run mira group-sources first"
    )
