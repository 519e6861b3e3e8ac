"""The model runs once for each row, counted by a server that is asked for every score."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from mira_spark.corpus.tokens import tokenizer
from mira_spark.scoring.scorer import Scorer
from mira_spark.students import answers
from tests.scoring.test_batches import a_manifest, written
from tests.students.test_served import Server, student
from udfs import register_all

ROWS = 40


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server() as found:
        threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        yield found
        found.shutdown()


def asked(server: Server) -> Counter[str]:
    """How often each text's first score was asked for; then forget it."""
    firsts = [
        prompt.rpartition("The document:\n")[2].removesuffix(answers.ASK)
        for body in server.asked
        for prompt in body["prompt"]
        if prompt.endswith(answers.ASK)
    ]
    server.asked.clear()
    return Counter(firsts)


QUALITY = "mira_quality(text, s, g)"
SCORED = f"SELECT text, k, {QUALITY} AS q FROM t"
QUERIES = (
    SCORED,
    f"SELECT q, q / 1000 FROM ({SCORED}) WHERE q > 3000 AND q < 9000",
    f"SELECT {QUALITY} FROM t WHERE {QUALITY} > 3000",
    f"SELECT {QUALITY}, mira_scores(text, g) FROM t WHERE {QUALITY} > 3000 AND {QUALITY} < 9000",
    f"SELECT k, avg(q), max(q) FROM ({SCORED}) WHERE q > 3000 GROUP BY k ORDER BY 2",
    f"SELECT a.q, k FROM ({SCORED}) a JOIN (SELECT DISTINCT k FROM t) b USING (k) WHERE a.q >= 0",
    f"SELECT k, {QUALITY} FROM t JOIN (SELECT DISTINCT k FROM t) b USING (k) WHERE {QUALITY} > 0",
    f"SELECT {QUALITY} FROM t WHERE k < 2 UNION ALL SELECT {QUALITY} FROM t WHERE k >= 2",
    f"MERGE INTO kept USING (SELECT text, {QUALITY} AS q FROM t WHERE {QUALITY} >= 0) AS new "
    "ON kept.text = new.text WHEN MATCHED THEN UPDATE SET q = new.q "
    "WHEN NOT MATCHED THEN INSERT (text, q) VALUES (new.text, new.q)",
)


# In every run: a plain query, an aggregate and a MERGE.
@pytest.mark.parametrize("queries", [QUERIES[::4], pytest.param(QUERIES, marks=pytest.mark.long)])
def test_sql_runs_the_model_once_a_row(
    spark: SparkSession, server: Server, tmp_path: Path, queries: Sequence[str]
) -> None:
    server.likelihoods = lambda prompt: {str(len(prompt) % 10): 1.0}
    made: Any = student(server, ("a", "b", "c"), secret="none")
    scorer: Scorer = written(tmp_path / "served", made, a_manifest(anchors=("a", "b", "c")))
    register_all(spark, {"group_a": scorer}, tokenizer("bytes4"))
    spark.sql("CREATE SCHEMA once")
    spark.sql("USE once")
    try:
        spark.sql("CREATE TABLE kept (text STRING, q SMALLINT) USING delta")
        spark.sql(f"CREATE TABLE numbers USING delta AS SELECT id FROM range({ROWS})")
        for number, query in enumerate(queries):  # of texts of their own: scores are remembered
            spark.sql(
                f"CREATE OR REPLACE TEMP VIEW t AS SELECT concat('{number}: text ', id) AS text, "
                "'web' AS s, 'group_a' AS g, id % 4 AS k FROM numbers"
            )
            spark.sql(query).collect()
            once = Counter({f"{number}: text {i}": 1 for i in range(ROWS)})
            assert asked(server) == once, query
        spark.sql(SCORED).collect()
        assert not asked(server), "what this application has scored is remembered"
        assert spark.table("kept").filter("q IS NOT NULL").count() == ROWS
    finally:
        spark.sql("DROP VIEW IF EXISTS t")
        spark.sql("USE default")
        spark.sql("DROP SCHEMA once CASCADE")
