"""Find documents that nearly equal another. Reads `documents`; writes `text_bands`, `near_pairs`,
`near_duplicates`."""

from pyspark.sql import DataFrame, functions as F

from mira_spark.corpus import clusters, near_pairs
from mira_spark.corpus.near_pairs import PAIR
from mira_spark.corpus.shingles import MinHash, rows_of_a_band
from mira_spark.errors import InputError
from mira_spark.lake import runs
from mira_spark.lake.caches import persisted
from mira_spark.lake.runs import Outcome
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.failpoints import reach
from mira_spark.settings.duplicates import DuplicatesSettings
from mira_spark.settings.root import Settings

SETTINGS = ("duplicates",)
WRITES = ("text_bands", "near_pairs", "near_duplicates")


def inputs(lake: Lakehouse, settings: Settings) -> dict[str, str]:
    """The version of `documents`; InputError while there are none."""
    if lake.read("documents").isEmpty():
        raise InputError(f"{lake.name('documents')} is empty: run mira ingest-corpus first")
    return {"documents": str(lake.snapshot("documents"))}


def missing(lake: Lakehouse, settings: Settings) -> list[str]:
    """One reason when `near_duplicates` has not as many rows as the last run left; else empty."""
    last = runs.last_finished(lake, settings.selection.name)["find_duplicates"]
    is_whole = lake.read("near_duplicates").count() == last["rows_out"]
    return [] if is_whole else ["near_duplicates is not as it left it"]


def run(lake: Lakehouse, settings: Settings, run_id: str) -> Outcome:
    """What is new is read and compared, what is gone is forgotten, and all clusters are made anew
    from what is there: the same rows as if nothing had been known, on any partitioning."""
    chosen = settings.duplicates
    by = MinHash(chosen.words, rows_of_a_band(chosen.similarity), chosen.seed)
    documents = lake.read("documents")
    firsts = (F.min("doc_id").alias("doc_id"), F.count("*").alias("documents"))
    with persisted(documents.groupBy("content_hash").agg(*firsts)) as texts:
        _forget(lake, texts, by)
        read = _read_new(lake, texts, by, run_id)
        bands = lake.read("text_bands")
        with persisted(near_pairs.candidate_pairs(bands)) as candidates:
            compared = _compare_new(lake, candidates, texts, by, run_id)
            with persisted(_near(lake, candidates, chosen)) as near:
                members = clusters.memberships(near)
                rows = clusters.clustered_documents(documents, texts, members)
                lake.replace_all(rows, "near_duplicates", run_id)
    reach("near_duplicates.written")
    return _outcome(lake, documents.count(), read, compared)


def _forget(lake: Lakehouse, texts: DataFrame, by: MinHash) -> None:
    """Remove the texts that are gone, and all that was hashed in another way; `text_bands` last,
    so that an interrupted call can be made again."""
    is_other = F.col("hashed_by") != by.id
    for table in ("near_pairs", "text_bands"):
        if not lake.read(table).filter(is_other).isEmpty():
            lake.delete(table, is_other)
    gone = lake.read("text_bands").join(texts, on="content_hash", how="left_anti")
    with persisted(gone.select("content_hash")) as gone:
        if not gone.isEmpty():
            for name in PAIR:
                lake.remove(gone.toDF(name), "near_pairs", name)
            lake.remove(gone, "text_bands", "content_hash")


def _read_new(lake: Lakehouse, texts: DataFrame, by: MinHash, run_id: str) -> int:
    """Write the bands of the texts that have none; how many these are."""
    known = lake.read("text_bands").select("content_hash")
    with persisted(texts.join(known, on="content_hash", how="left_anti")) as new:
        count = new.count()
        if count:
            rows = lake.read("documents")
            if count < texts.count():  # else a join would move every text for nothing
                rows = rows.join(new.select("doc_id"), on="doc_id", how="left_semi")
            bands = near_pairs.text_bands(rows, by).dropDuplicates(["content_hash"])
            lake.append(bands.withColumn("hashed_by", F.lit(by.id)), "text_bands", run_id)
    return count


def _compare_new(
    lake: Lakehouse, candidates: DataFrame, texts: DataFrame, by: MinHash, run_id: str
) -> int:
    """Write the similarities of the candidates that were not compared yet; how many these are."""
    known = lake.read("near_pairs").select(*PAIR)
    with persisted(candidates.join(known, on=PAIR, how="left_anti")) as new:
        count = new.count()
        if count:
            documents = lake.read("documents")
            rows = near_pairs.pair_similarities(new, texts, documents, by.words)
            lake.append(rows.withColumn("hashed_by", F.lit(by.id)), "near_pairs", run_id)
    return count


def _near(lake: Lakehouse, candidates: DataFrame, chosen: DuplicatesSettings) -> DataFrame:
    """The candidates that are near: a pair that is known from a former run and shares no band with
    the texts there are now does not count."""
    is_near = F.col("similarity") >= chosen.similarity
    known = lake.read("near_pairs").filter(is_near)
    return candidates.join(known, on=PAIR, how="inner").select(*PAIR, "similarity")


def _outcome(lake: Lakehouse, documents: int, read: int, compared: int) -> Outcome:
    counts = (F.count("*"), F.count_distinct("representative"))
    near, groups = lake.read("near_duplicates").agg(*counts).collect()[0]
    message = (
        f"{near:,} of {documents:,} documents are near another, in {groups:,} clusters; "
        f"{read:,} texts read, {compared:,} pairs compared"
    )
    return Outcome(message, rows_in=documents, rows_out=near)
