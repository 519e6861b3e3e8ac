"""Documents whose id is in `documents` more than once, which no step may leave behind."""

from pyspark.sql import Window, functions as F

from mira_spark.errors import ReconciliationError
from mira_spark.lake.tables import Lakehouse

WRITES = ("documents",)


def check_repeated(lake: Lakehouse) -> None:
    """ReconciliationError when an id is there more than once."""
    counts = (F.count("*"), F.count_distinct("doc_id"))
    documents, ids = lake.read("documents").agg(*counts).collect()[0]
    if documents != ids:
        raise ReconciliationError(
            f"{lake.name('documents')}: {documents:,} documents of {ids:,} ids. "
            "mira doctor --repair leaves the latest of each id"
        )


def remove_repeated(lake: Lakehouse, run_id: str) -> int:
    """Leave the latest document of each id; how many were removed. One commit for each bucket that
    has an id twice: it can be repeated where it was interrupted."""
    ids = lake.read("documents").groupBy("doc_id").agg(F.count("*").alias("n"), F.max("bucket"))
    twice = ids.filter("n > 1").toDF("doc_id", "n", "bucket").groupBy("bucket")
    removed = {r["bucket"]: r["n"] for r in twice.agg(F.sum(F.col("n") - 1).alias("n")).collect()}
    latest = Window.partitionBy("doc_id").orderBy(F.desc("ingested_at"), "content_hash", "source")
    for bucket in sorted(removed):
        rows = lake.read("documents").filter(F.col("bucket") == bucket)
        rows = rows.withColumn("place", F.row_number().over(latest)).filter("place = 1")
        lake.replace(rows, "documents", "bucket", bucket, run_id)
    return sum(removed.values())
