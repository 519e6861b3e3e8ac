"""The command and a job in processes of their own, over what the pipeline left.

These tests come last (see `pytest_collection_modifyitems`): they end the suite's Spark session, so
that its catalog is free for other processes.
"""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import deltalake
import pyspark
import pytest
from pyspark import SparkContext
from pyspark.sql import SparkSession

from mira_spark import pipeline, session
from mira_spark.settings import Settings
from mira_spark.tables import Lakehouse

ROOT = Path(__file__).parents[2]
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


@pytest.mark.long
@pytest.mark.parametrize("place", ["lease.taken", "unit.planned", "unit.committed",
                                   "unit.reconciled", "units.done", "view.replaced"])  # fmt: skip
def test_a_driver_that_dies_anywhere_loses_and_repeats_nothing(
    left: Path, settings: Settings, tmp_path: Path, place: str
) -> None:
    options = [f"folder={left}", f"namespace={settings.namespace}", "grouping.groups=2"]
    places = [word for option in options for word in ("--set", option)]
    mira = str(BIN / "mira")
    removed = run([mira, "sql", "delete from scores where bucket % 5 = 1", *places], tmp_path)
    assert removed.returncode == 0, removed.stdout
    drill = os.environ | {"MIRA_FAILPOINTS": f"{place}=exit"}
    died = run([mira, "score-documents", "--set", "scoring.hung_after_s=800", *places], tmp_path,
               env=drill)  # fmt: skip
    assert died.returncode == 70, died.stdout
    again = run([mira, "score-documents", *places], tmp_path)
    assert again.returncode == 0, again.stdout
    tables = left / "warehouse" / f"{settings.namespace}.db"
    ids = {
        name: sorted(
            deltalake.DeltaTable(str(tables / name)).to_pyarrow_table(columns=["doc_id"])["doc_id"]
            .to_pylist()
        )
        for name in ("scores", "documents")
    }  # fmt: skip
    assert ids["scores"] == ids["documents"]


def test_a_job_scores_on_separate_executors_from_an_empty_directory(
    left: Path, settings: Settings, tmp_path: Path
) -> None:
    built = run(["make", "dist"], ROOT)
    assert built.returncode == 0, built.stdout + built.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = cluster_environment(tmp_path / "python")
    ended = run(spark_submit(left, settings.namespace, empty), empty, env=environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-3000:]
    assert "50 documents scored" in ended.stdout
    scores = deltalake.DeltaTable(str(left / "warehouse" / f"{settings.namespace}.db" / "scores"))
    rows = scores.to_pyarrow_table(columns=["doc_id", "status"]).to_pylist()
    new = [row["status"] for row in rows if row["doc_id"].startswith("new/")]
    assert new == ["scored"] * 50


def spark_submit(folder: Path, namespace: str, empty: Path) -> list[str]:
    """The job on two executors of their own, Spark configured as a platform would."""
    (empty / "cluster.yaml").write_text(
        f"session: platform\nfolder: {folder}\nnamespace: {namespace}\ngrouping: {{groups: 2}}\n"
    )
    metastore = f"jdbc:derby:;databaseName={folder}/metastore"
    conf = {
        "spark.jars.packages": "io.delta:delta-spark_4.2_2.13:4.4.0",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.catalogImplementation": "hive",
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
        "spark.hadoop.javax.jdo.option.ConnectionURL": metastore,
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "2",  # the default of 50 is for large tables
    }
    home = Path(pyspark.__file__).parent
    command = [str(home / "bin" / "spark-submit"), "--master", "local-cluster[2,1,1024]"]
    for key, value in conf.items():
        command += ["--conf", f"{key}={value}"]
    command += ["--py-files", str(ROOT / "dist" / "mira_spark.zip")]
    command += [str(ROOT / "jobs" / "score_documents.py"), "--config", "cluster.yaml"]
    return [*command, "--set", f"registry.tracking_uri=sqlite:///{folder}/mlflow.db"]


def cluster_environment(folder: Path) -> dict[str, str]:
    """A Python with every package of this one but ours: the zip is all there is of mira_spark."""
    venv.create(folder, with_pip=False)
    packages = sysconfig.get_path("purelib")
    own = next((folder / "lib").glob("python*/site-packages"))
    (own / "packages.pth").write_text(packages)  # paths only: its own .pth files are not read
    python = str(folder / "bin" / "python")
    probe = [python, "-c", "import pyspark, torch, mira_spark"]
    missing = subprocess.run(probe, cwd=folder, capture_output=True, text=True, check=False)
    assert "No module named 'mira_spark'" in missing.stderr
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYSPARK", "SPARK"))}
    return kept | {"PYSPARK_PYTHON": python, "PYSPARK_DRIVER_PYTHON": python}
