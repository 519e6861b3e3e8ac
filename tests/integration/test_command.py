"""The command and a job in processes of their own, over what the pipeline left.

These tests come last (see `pytest_collection_modifyitems`): they end the suite's Spark session, so
that its catalog is free for other processes.
"""

import json
import subprocess
import sys
from pathlib import Path

import deltalake
import pytest
from pyspark import SparkContext
from pyspark.sql import SparkSession

from mira_spark import pipeline
from mira_spark.lake import session
from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.root import Settings
from tests import cluster

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def left(spark: SparkSession, settings: Settings, first_run: str, files: Path) -> Path:
    """The folder of the pipeline, with fifty documents more that have no score, and free."""
    texts = [f"def f{i}():\n    return {i}\n" * 9 for i in range(50)]
    rows = [{"id": f"new/{i}", "source": "stdlib_code", "text": t} for i, t in enumerate(texts)]
    (files / "new.json").write_text("\n".join(json.dumps(row) for row in rows))
    pipeline.perform(Lakehouse(spark, settings.namespace), settings, "more", ["ingest_corpus"])
    spark.stop()
    gateway = SparkContext._gateway
    gateway.shutdown()
    gateway.proc.stdin.close()  # the Java process ends with it, and with it Derby's lock
    gateway.proc.wait(60)
    SparkContext._gateway = SparkContext._jvm = None
    session.release(settings.folder)
    return settings.folder


def run(command: list[str], cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False, **options
    )


def test_the_views_answer_in_a_new_process(left: Path, settings: Settings, tmp_path: Path) -> None:
    query = "select source, count(*) as n, sum(n_tokens) from selected group by source order by n"
    places = ["--set", f"folder={left}", "--set", f"namespace={settings.namespace}"]
    ended = run([str(BIN / "mira"), "sql", query, *places], tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "docstring_qa" in ended.stdout
    for noise in ("WARN", "Traceback", "SLF4J", ":: loading settings"):
        assert noise not in ended.stdout + ended.stderr


def test_a_job_scores_on_separate_executors_from_an_empty_directory(
    left: Path, settings: Settings, tmp_path: Path
) -> None:
    cluster.built()
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "cluster.yaml").write_text(
        f"session: platform\nfolder: {left}\nnamespace: {settings.namespace}\n"
        "grouping: {groups: 2}\ncorpus: {input: table, path: not.read}\n"
    )
    command = cluster.spark_submit(left, ["--config", "cluster.yaml"], 2)
    ended = run(command, empty, env=cluster.environment(tmp_path / "python"))
    assert ended.returncode == 0, ended.stdout + ended.stderr[-3000:]
    assert "50 documents scored" in ended.stdout
    scores = deltalake.DeltaTable(str(left / "warehouse" / f"{settings.namespace}.db" / "scores"))
    rows = scores.to_pyarrow_table(columns=["doc_id", "status"]).to_pylist()
    new = [row["status"] for row in rows if row["doc_id"].startswith("new/")]
    assert new == ["scored"] * 50
