"""The SQL functions; `register_all` makes them known to a session."""

from collections.abc import Mapping

from pyspark.sql import SparkSession

from mira_spark.corpus.tokens import Tokenizer
from mira_spark.scoring.scorer import Scorer


def register_all(spark: SparkSession, scorers: Mapping[str, Scorer], tokenizer: Tokenizer) -> None:
    """Register `mira_scores`, `mira_quality` and `count_tokens`; the champions are
    `current.scorers(...)`, fixed until the next call."""
    from . import count_tokens, mira_quality, mira_scores

    mira_scores.register(spark, scorers)
    mira_quality.register(spark, scorers)
    count_tokens.register(spark, tokenizer)
