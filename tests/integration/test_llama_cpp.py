"""The whole pipeline with a judge behind llama.cpp's own server, whose context is too small for the
longer documents.

Its model has random weights. They can copy no document's code and give no score that a student
could learn, so a proxy puts these values into the schema of each answer (`tests.narrow_schema`):
what is left to the weights are the reasons. The server, its grammars, refusals and counts are its
own. The labels are so few that the student need not pass its gate: it is promoted by hand.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession, functions as F

from mira_spark import pipeline
from mira_spark.distillation import champions
from mira_spark.lake.tables import Lakehouse
from mira_spark.process.progress import console
from mira_spark.settings.root import Settings, load
from tests.integration.conftest import SOURCES
from tests.llama_server import LlamaServer
from tests.narrow_schema import NarrowSchema

pytestmark = pytest.mark.long  # tests/judges/test_llama_cpp.py drives the server in every run
NAMESPACE = "llama_judged"
STEPS = tuple(pipeline.STEPS)
JUDGED = STEPS[: STEPS.index("distill_students")]
SELECTED = STEPS[STEPS.index("score_documents") :]
ASKING = ("discover_rubrics", "label_documents")
CONTEXT = 5_120
"""Tokens of prompt and answer, of which the prompt without its document takes some 3,000. llama.cpp
rounds up to a multiple of 256."""
WINDOW_TOKENS = 250


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NarrowSchema]:
    folder = tmp_path_factory.mktemp("llama")
    with LlamaServer(folder, CONTEXT) as server, NarrowSchema(server.url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def settings(
    files: Path, judge: NarrowSchema, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    folder = tmp_path_factory.mktemp("llama_judged")
    judge_settings = {
        "kind": "openai",
        "model": "random",
        "url": judge.url,
        "hosts": ["127.0.0.1"],
        "secret": "none",
        "prices": {"random": {"input": 1, "output": 2, "read_on": "2026-01-01"}},
        "max_output_tokens": 2_000,
        "window_tokens": WINDOW_TOKENS,
        "pacing": {"in_flight": 4},
    }
    return load(
        None,
        [
            f"namespace={NAMESPACE}",
            f"folder={folder}",
            "corpus.input=json",
            f"corpus.path={files}",
            "corpus.columns.doc_id=id",
            "corpus.columns.domain=domain",
            f"grouping.mapping={json.dumps(dict.fromkeys(SOURCES, 'group_a'))}",
            f"judge={json.dumps(judge_settings)}",
            "discovery.documents_per_group=24",
            "discovery.dimensions=4",
            "labelling.documents_per_source=40",
            "labelling.reversed_documents=0",
            "labelling.canaries=4",
            "distillation.linear.bits=16",
            "scoring.unit_tokens=400_000",
        ],
    )


@pytest.fixture(scope="module")
def lake(spark: SparkSession, settings: Settings) -> Iterator[Lakehouse]:
    yield Lakehouse(spark, NAMESPACE)
    spark.sql(f"DROP SCHEMA {NAMESPACE} CASCADE")


def test_the_whole_pipeline_runs_and_long_documents_are_judged_by_a_shorter_excerpt(
    lake: Lakehouse, settings: Settings, judge: NarrowSchema
) -> None:
    with console.capture() as output:
        assert pipeline.perform(lake, settings, "judged", JUDGED) == 0, output.get()
        pipeline.perform(lake, settings, "trained", ["distill_students"])
        (student,) = lake.read("students").collect()
        champions.promote(lake, settings.student_registry, student["student_id"], force=True)
        assert pipeline.perform(lake, settings, "selected", SELECTED) == 0, output.get()
    assert {200, 400} <= set(judge.statuses)
    calls = lake.read("judge_calls")
    attempts = calls.agg(F.sum("attempts")).collect()[0][0]
    assert attempts == len(judge.statuses), "every answer is in the ledger, refusals too"
    too_long = calls.filter("outcome = 'too_long'")
    for purpose in ("discover", "label"):
        refused = too_long.filter(F.col("purpose") == purpose).select(
            "doc_id", "reason", "cost_usd"
        )
        rows = refused.collect()
        assert rows, purpose
        said = f"exceeds the available context size ({CONTEXT} tokens)"
        assert all(said in row["reason"] for row in rows)
        assert all(row["cost_usd"] == 0 for row in rows)
        again = calls.filter((F.col("purpose") == purpose) & (F.col("outcome") != "too_long"))
        ids = [row["doc_id"] for row in again.select("doc_id").collect()]
        assert all(ids.count(row["doc_id"]) == 1 for row in rows), "asked again once"
    labels = lake.read("labels").filter("spoilt IS NULL")
    cut = too_long.filter("purpose = 'label'").select("doc_id")
    shorter = labels.join(cut, on="doc_id", how="left_semi").collect()
    assert (
        f"{cut.count()} too long for the judge and asked about with a shorter excerpt"
        in (
            lake.read("runs")
            .filter("step = 'label_documents' AND status = 'done'")
            .collect()[0]["message"]
        )
    )
    assert len(shorter) == cut.count()
    lengths = {r["doc_id"]: len(r["text"]) for r in lake.read("documents").collect()}
    for row in shorter:
        expected = 1 - 3 * WINDOW_TOKENS / lengths[row["doc_id"]]
        assert row["unseen_share"] == pytest.approx(expected, abs=0.02)
    assert lake.read("selections").count() == 1
    assert lake.spark.table(f"{NAMESPACE}.selected").count() > 0


def test_a_second_run_asks_nothing(
    lake: Lakehouse, settings: Settings, judge: NarrowSchema
) -> None:
    asked = len(judge.statuses)
    with console.capture():
        assert pipeline.perform(lake, settings, "again", JUDGED) == 0
        assert pipeline.perform(lake, settings, "forced", ASKING, force=True) == 0
    assert len(judge.statuses) == asked
