"""What an endpoint is still to embed, and what that costs; sends nothing."""

from decimal import Decimal
from typing import NamedTuple

from pyspark.sql import functions as F

from mira_spark.corpus import sampling
from mira_spark.corpus.excerpts import CHARACTERS_PER_TOKEN
from mira_spark.corpus.grouping import WINDOW_TOKENS
from mira_spark.corpus.groups import current_grouping_id, embedder_id
from mira_spark.judges.calls.prices import NANOS, Usage, cost_nanos, price_of
from mira_spark.labels import questions
from mira_spark.labels.call_estimates import OUTPUT_TOKENS_PER_DIMENSION
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.embedder import Grouping
from mira_spark.settings.judge import JudgeSettings
from mira_spark.settings.rubrics import MAX_DIMENSIONS


class EmbeddingEstimate(NamedTuple):
    """Texts that have no vector yet, their tokens by characters / 4, and US dollars."""

    task: str
    texts: int
    tokens: int
    dollars: Decimal


def grouping_estimate(
    lake: Lakehouse, grouping: Grouping, judge: JudgeSettings
) -> EmbeddingEstimate:
    """The excerpts of the sampled documents of the sources without a group.
    ConfigError for an endpoint without a price."""
    chosen, embedder = grouping
    groups = lake.read("source_groups").select("source", "grouping_id")
    grouped = groups.filter(F.col("grouping_id") == current_grouping_id(lake, grouping))
    new = lake.read("documents").join(grouped, on="source", how="left_anti")
    new = questions.may_leave(new, judge.licenses)
    sample = sampling.sample(new, chosen.documents_per_source, chosen.seed)
    texts = questions.with_excerpts(sample, WINDOW_TOKENS).select(
        F.unhex(F.substring(F.sha2("document", 256), 1, 32)).alias("text_hash"),
        F.least(F.length("document"), F.lit(embedder.max_characters)).alias("characters"),
    )
    known = lake.read("embeddings").filter(F.col("embedder") == embedder_id(lake, embedder))
    texts = texts.dropDuplicates(["text_hash"]).join(known, on="text_hash", how="left_anti")
    row = texts.agg(F.count("*").alias("n"), F.sum("characters").alias("characters")).collect()[0]
    tokens = (row["characters"] or 0) // CHARACTERS_PER_TOKEN
    return _estimate(grouping, judge, "grouping", row["n"], tokens)


def discovery_estimate(
    grouping: Grouping, judge: JudgeSettings, documents: int
) -> EmbeddingEstimate:
    """What the judge names in so many documents that it is still to be asked about, at most."""
    texts = documents * MAX_DIMENSIONS
    return _estimate(grouping, judge, "discovery", texts, texts * OUTPUT_TOKENS_PER_DIMENSION)


def _estimate(
    grouping: Grouping, judge: JudgeSettings, task: str, texts: int, tokens: int
) -> EmbeddingEstimate:
    price = price_of(grouping.embedder.model or "", judge.prices)
    dollars = Decimal(cost_nanos(price, Usage(tokens, 0))) / NANOS
    return EmbeddingEstimate(task, texts, tokens, dollars)
