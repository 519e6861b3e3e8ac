"""A job on executors of their own: Spark's standalone cluster on this machine, and only our zip."""

import os
import subprocess
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path

import pyspark
from delta import configure_spark_with_delta_pip
from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[1]
EXECUTOR = "CoarseGrainedExecutorBackend"


def conf(folder: Path) -> dict[str, str]:
    """Spark's configuration over the lake in `folder`, as a platform would give it."""
    return {
        "spark.jars.packages": delta_package(),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.catalogImplementation": "hive",
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
        "spark.hadoop.javax.jdo.option.ConnectionURL": (
            f"jdbc:derby:;databaseName={folder}/metastore"
        ),
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "2",  # the default of 50 is for large tables
    }


def delta_package() -> str:
    """Delta's jar for this Spark, as Spark's resolver names it."""
    builder = configure_spark_with_delta_pip(SparkSession.builder.master("local"))
    return str(builder._options["spark.jars.packages"])


def options(master: str, conf: Mapping[str, str]) -> list[str]:
    """What spark-submit is given before the program."""
    pairs = (("--conf", f"{key}={value}") for key, value in conf.items())
    return ["--master", master, *(word for pair in pairs for word in pair)]


def spark_submit(
    folder: Path, arguments: list[str], executors: int, more: Mapping[str, str] | None = None
) -> list[str]:
    """The command that scores the lake in `folder`, Spark configured as a platform would."""
    submit = str(Path(pyspark.__file__).parent / "bin" / "spark-submit")
    master = f"local-cluster[{executors},1,1024]"
    command = [submit, *options(master, conf(folder) | dict(more or {}))]
    command += ["--py-files", str(ROOT / "dist" / "mira_spark.zip")]
    command += [str(ROOT / "jobs" / "score_documents.py"), *arguments]
    return [*command, "--set", f"registry.tracking_uri=sqlite:///{folder}/mlflow.db"]


def environment(folder: Path) -> dict[str, str]:
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
    home = folder / "spark"  # executors leave their files in its `work`, not in the package's
    home.mkdir()
    for part in Path(pyspark.__file__).parent.iterdir():
        (home / part.name).symlink_to(part)
    return kept | {
        "PYSPARK_PYTHON": python,
        "PYSPARK_DRIVER_PYTHON": python,
        "SPARK_HOME": str(home),
    }


def built() -> None:
    """Make the zip."""
    ended = subprocess.run(["make", "dist"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def executors(driver: int) -> list[int]:
    """The process ids of the executors that descend from this driver's process."""
    listed = subprocess.run(["ps", "-wweo", "pid=,ppid=,args="], capture_output=True, text=True,
                            check=True).stdout  # fmt: skip
    rows = [line.split(None, 2) for line in listed.splitlines()]
    parents = {int(row[0]): int(row[1]) for row in rows}

    def descends(process: int) -> bool:
        while process in parents and process != driver:
            process = parents[process]
        return process == driver

    return [int(row[0]) for row in rows if EXECUTOR in row[-1] and descends(int(row[0]))]
