"""SQL: mira_scores(text STRING, source_group STRING) -> ARRAY<SMALLINT>

The champion's calibrated dimension scores of a text, thousandths of a point 0-10000 in the slot
order of the group's rubric; null for a null text, a group without a champion, or a text that
cannot be scored.

    SELECT doc_id, mira_scores(text, 'group_a')[0] / 1000 FROM documents
"""

from collections.abc import Iterator, Mapping

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql.functions import pandas_udf
from pyspark.sql.types import ArrayType, ShortType

from mira_spark.scoring import batches, workers
from mira_spark.scoring.scorer import Scorer


def register(spark: SparkSession, scorers: Mapping[str, Scorer]) -> None:
    """Make `mira_scores` known to the session's SQL, with these champions by group."""
    champions = dict(scorers)

    def mira_scores(columns: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        folder = workers.folder()
        for texts, groups in columns:
            rated = batches.rate_by_group(texts, groups, groups, champions, folder)
            yield rated["dimension_scores"]

    function = pandas_udf(mira_scores, ArrayType(ShortType())).asNondeterministic()
    spark.udf.register("mira_scores", function)
