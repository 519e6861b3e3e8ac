"""SQL: count_tokens(text STRING) -> INT

Tokens of a text by the tokenizer the corpus is counted with; null for a null text, and for one that
the tokenizer cannot count.

    SELECT sum(count_tokens(text)) FROM documents
"""

from collections.abc import Iterator

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql.functions import pandas_udf
from pyspark.sql.types import IntegerType

from mira_spark.corpus.tokens import Tokenizer


def register(spark: SparkSession, tokenizer: Tokenizer) -> None:
    """Make `count_tokens` known to the session's SQL, counting with this tokenizer."""

    def count_tokens(texts: Iterator[pd.Series]) -> Iterator[pd.Series]:
        for text in texts:
            counts = tokenizer.count(text.fillna("").tolist())
            yield pd.Series(counts, text.index, "Int32").mask(text.isna())

    spark.udf.register("count_tokens", pandas_udf(count_tokens, IntegerType()))
