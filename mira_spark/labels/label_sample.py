"""Which documents the judge labels."""

from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus import sampling
from mira_spark.settings.labels import LabellingSettings


def label_sample(documents: DataFrame, settings: LabellingSettings) -> DataFrame:
    """The rows of `documents` to be labelled, the same at any partitioning: `documents_per_source`
    of every source, drawn by hash, and of those with equal texts the first by doc_id. An answer
    about a text is not worth more the second time, and would count as another witness."""
    drawn = sampling.sample(
        documents,
        settings.documents_per_source,
        settings.seed,
        "source",
        settings.documents_per_domain,
    )
    first = drawn.groupBy("content_hash").agg(F.min("doc_id").alias("doc_id"))
    return drawn.join(first.select("doc_id"), on="doc_id", how="left_semi")
