"""The model runs once for each row, counted by a server that is asked for every score."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from mira_spark.scoring import Scorer
from mira_spark.students import answers
from mira_spark.tokens import tokenizer
from tests.test_scoring import a_manifest, written
from tests.test_served import Server, student
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


def test_sql_runs_the_model_once_a_row(spark: SparkSession, server: Server, tmp_path: Path) -> None:
    server.likelihoods = lambda prompt: {str(len(prompt) % 10): 1.0}
    made: Any = student(server, ("a", "b", "c"), secret="none")
    scorer: Scorer = written(tmp_path / "served", made, a_manifest(anchors=("a", "b", "c")))
    register_all(spark, {"group_a": scorer}, tokenizer("bytes4"))
    spark.sql("CREATE SCHEMA once")
    try:
        spark.sql(
            "CREATE TABLE once.t USING delta AS SELECT concat('text ', id) AS text, 'web' AS s, "
            f"'group_a' AS g, id % 4 AS k FROM range({ROWS})"
        )
        scored = "SELECT text, k, mira_quality(text, s, g) AS q FROM once.t"
        once = Counter({f"text {i}": 1 for i in range(ROWS)})
        for query in (
            scored,
            f"SELECT q, q / 1000 FROM ({scored}) WHERE q > 3000 AND q < 9000",
            f"SELECT a.q, b.k FROM ({scored}) a JOIN (SELECT DISTINCT k FROM once.t) b ON a.k = b.k"
            " WHERE a.q >= 0",
            f"SELECT k, avg(q), max(q) FROM ({scored}) GROUP BY k",
        ):
            server.asked.clear()
            spark.sql(query).collect()
            assert asked(server) == once, query
        spark.sql(f"SELECT * FROM ({scored}) UNION ALL SELECT * FROM ({scored})").collect()
        assert asked(server) == once + once, "two questions of a union are two"
        spark.sql("CREATE TABLE once.kept (text STRING, q SMALLINT) USING delta")
        spark.sql(
            f"MERGE INTO once.kept USING ({scored}) AS new ON kept.text = new.text "
            "WHEN MATCHED THEN UPDATE SET q = new.q WHEN NOT MATCHED THEN INSERT (text, q) "
            "VALUES (new.text, new.q)"
        )
        assert asked(server) == once
    finally:
        spark.sql("DROP SCHEMA once CASCADE")
