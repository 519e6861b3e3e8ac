"""SQL: mira_quality(text STRING, source STRING, source_group STRING) -> SMALLINT

The quality the champion gives a text of a source, thousandths of a point 0-10000, the same that
`score_documents` writes; null for a null text, a group without a champion, a source without a
dimension that counts, or a text that cannot be scored.

    SELECT doc_id FROM corpus WHERE mira_quality(text, source, source_group) > 7000
"""

from collections.abc import Iterator, Mapping

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql.functions import pandas_udf
from pyspark.sql.types import ShortType

from mira_spark.scoring import batches, workers
from mira_spark.scoring.scorer import Scorer


def register(spark: SparkSession, scorers: Mapping[str, Scorer]) -> None:
    """Make `mira_quality` known to the session's SQL, with these champions by group."""
    champions = dict(scorers)

    def mira_quality(
        columns: Iterator[tuple[pd.Series, pd.Series, pd.Series]],
    ) -> Iterator[pd.Series]:
        folder = workers.folder()
        for texts, sources, groups in columns:
            yield batches.rate_by_group(texts, sources, groups, champions, folder)["quality"]

    function = pandas_udf(mira_quality, ShortType()).asNondeterministic()
    spark.udf.register("mira_quality", function)
