"""Which labels a student may learn from."""

from collections.abc import Mapping

from pyspark.sql import DataFrame, functions as F

from mira_spark.lake.tables import Lakehouse


def usable(lake: Lakehouse, ids: Mapping[str, str]) -> DataFrame:
    """The rows of `labels` of these labellings (`ids` is group to labelling_id) that are not set
    aside, and whose document was not withdrawn."""
    documents = lake.read("documents").select("doc_id")
    return _not_set_aside(lake, ids).join(documents, on="doc_id", how="left_semi")


def counts(lake: Lakehouse, ids: Mapping[str, str]) -> dict[str, int]:
    """Group to its usable labels; spoilt copies are not counted."""
    return dict.fromkeys(ids, 0) | _by_group(usable(lake, ids))


def withdrawn_counts(
    lake: Lakehouse, ids: Mapping[str, str], usable_counts: Mapping[str, int]
) -> dict[str, int]:
    """Group to its labels beyond the usable ones, as `counts` gives them: their document was
    withdrawn. Groups without a label are absent."""
    given = _by_group(_not_set_aside(lake, ids))
    return {group: n - usable_counts[group] for group, n in given.items()}


def _not_set_aside(lake: Lakehouse, ids: Mapping[str, str]) -> DataFrame:
    of_labelling = F.col("labelling_id").isin(list(ids.values()))
    return lake.read("labels").filter(of_labelling & F.col("set_aside").isNull())


def _by_group(labels: DataFrame) -> dict[str, int]:
    rows = labels.filter(F.col("spoilt").isNull()).groupBy("source_group").count().collect()
    return {r["source_group"]: r["count"] for r in rows}
