"""The command as a user types it, each in a process of its own, and a job on separate executors."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pyspark
import pytest

ROOT = Path(__file__).parents[2]
MIRA = Path(sys.executable).parent / "mira"
SMALL = (
    "corpus.max_documents_per_source=80",
    "corpus.max_bytes_per_source=600_000",
    "discovery.documents_per_group=60",
    "labelling.documents_per_source=80",
    "labelling.validation_share=0.4",
    "reliability.min_rows=10",
    "reliability.min_gate_spearman=0.3",
)


def mira(
    *arguments: str, folder: Path, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `mira` with everything in `folder`."""
    command = [str(MIRA), *arguments, "--set", f"folder={folder}", "--set", "local_memory=2g"]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, timeout=600, check=False
    )


def small(*names: str) -> list[str]:
    return [part for setting in (*SMALL, *names) for part in ("--set", setting)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a small demo, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    ended = mira("demo", *small(), folder=folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder, ended.stdout


def test_the_demo_ends_with_what_was_kept_and_what_to_type_next(demo: tuple[Path, str]) -> None:
    folder, printed = demo
    for words in ("What was kept", "docstring_qa", "three highest and three lowest", "a stand-in",
                  "mira sql", "report.html"):  # fmt: skip
        assert words in printed
    assert (folder / "report.html").stat().st_size > 100_000
    for noise in ("WARN", "Traceback", "SLF4J", ":: loading settings"):
        assert noise not in printed


def test_the_views_answer_in_a_new_process(demo: tuple[Path, str]) -> None:
    query = "select source, count(*) as n, sum(n_tokens) from selected group by source order by n"
    ended = mira("sql", query, folder=demo[0])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "docstring_qa" in ended.stdout


def test_a_query_that_is_wrong_is_one_message(demo: tuple[Path, str]) -> None:
    ended = mira("sql", "select nothing from nowhere", folder=demo[0])
    assert ended.returncode == 2
    assert "nowhere" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def test_the_notebook_runs_after_the_demo(demo: tuple[Path, str], tmp_path: Path) -> None:
    notebook = ROOT / "notebooks" / "01_explore_corpus.py"
    command = [sys.executable, str(notebook), str(demo[0])]
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(list(demo[0].glob("*.html"))) >= 3, "the report and two plots"


def test_a_job_scores_on_separate_executors_from_an_empty_directory(
    demo: tuple[Path, str], tmp_path: Path
) -> None:
    folder = demo[0]
    texts = [f"def f{i}():\n    return {i}\n" * 9 for i in range(50)]
    rows = [{"id": f"new/{i}", "source": "package_code", "text": t} for i, t in enumerate(texts)]
    (tmp_path / "new.json").write_text("\n".join(json.dumps(row) for row in rows))
    new = ("corpus.input=json", f"corpus.path={tmp_path / 'new.json'}", "corpus.columns.doc_id=id")
    taken = mira("ingest-corpus", *small(*new), folder=folder)
    assert "50 new and 0 changed" in taken.stdout, taken.stdout + taken.stderr
    subprocess.run(["make", "dist"], cwd=ROOT, check=True, capture_output=True, timeout=300)
    empty = tmp_path / "empty"
    empty.mkdir()
    ended = subprocess.run(
        spark_submit(folder, empty), cwd=empty, env=cluster_environment(tmp_path / "python"),
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr[-3000:]
    assert "50 documents scored" in ended.stdout
    counted = mira(
        "sql", "select count(*) as n from scores where doc_id like 'new/%'", folder=folder
    )
    assert "50" in counted.stdout.split()


def spark_submit(folder: Path, empty: Path) -> list[str]:
    """The job on two executors of their own, Spark configured as a platform would."""
    (empty / "cluster.yaml").write_text(f"session: platform\nfolder: {folder}\n")
    metastore = f"jdbc:derby:;databaseName={folder}/metastore"
    conf = {
        "spark.jars.packages": "io.delta:delta-spark_4.2_2.13:4.4.0",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.catalogImplementation": "hive",
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
        "spark.hadoop.javax.jdo.option.ConnectionURL": metastore,
        "spark.ui.enabled": "false",
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
