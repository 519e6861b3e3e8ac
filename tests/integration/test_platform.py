"""The pipeline where a platform runs it: our zip alone, executors that see no file of the driver.

Executors are processes in mount namespaces of their own, in which the driver's folder is empty.
What both share is a folder beside it: tables, root and input.
"""

import os
import shutil
import subprocess
from pathlib import Path

import deltalake
import pytest
import yaml

from mira_spark.settings.root import Settings
from tests import cluster
from tests.encoders import an_encoder

pytestmark = pytest.mark.long
JAVA = """#!/bin/sh
exec unshare --user --map-root-user --mount sh -c \\
  'mount -t tmpfs none "$1" && shift && exec "$@"' sh {hidden} {java} "$@"
"""


class ClusterRuns:
    """Runs of the pipeline over the input of `settings`, each with a lake of its own."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        cluster.built()
        self.settings, self.driver, self.shared = settings, folder / "driver", folder / "shared"
        for each in (self.driver / "tmp", self.shared, folder / "java" / "bin"):
            each.mkdir(parents=True)
        self.java = folder / "java"
        real = Path(shutil.which("java") or "java").resolve()
        wrapper = self.java / "bin" / "java"
        wrapper.write_text(JAVA.format(hidden=self.driver, java=real))
        wrapper.chmod(0o755)
        self.environment = cluster.environment(folder / "python")
        self.environment |= {"HOME": str(self.driver), "TMPDIR": str(self.driver / "tmp")}

    def run(self, name: str, **changed: object) -> subprocess.CompletedProcess[str]:
        """`jobs/run_pipeline.py` by spark-submit; sections of the settings as `changed`."""
        self.configure(name, **changed)
        return self.submit(name, str(cluster.ROOT / "jobs" / "run_pipeline.py"))

    def mira(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """A command over the lake of an earlier run, by spark-submit of the zip alone."""
        program = self.driver / "command.py"
        program.write_text("from mira_spark.__main__ import main\n\nmain()\n")
        return self.submit(name, str(program), *words)

    def configure(self, name: str, **changed: object) -> None:
        """Write the settings of a run."""
        said = self.settings.model_dump(mode="json", exclude_defaults=True)
        said |= {"session": "platform", "folder": str(self.shared / name / "a root"),
                 "driver_folder": str(self.driver / name), "namespace": name,
                 "registry": {"prefix": name}}  # fmt: skip
        said["selection"] = said.get("selection", {}) | {"materialize": "manifest"}
        (self.driver / f"{name}.yaml").write_text(yaml.safe_dump(said | changed))

    def submit(self, name: str, *program: str) -> subprocess.CompletedProcess[str]:
        """A program with its words, and the settings of the run."""
        conf = cluster.conf(self.shared / name) | {
            "spark.hadoop.javax.jdo.option.ConnectionURL": (
                f"jdbc:derby:;databaseName={self.driver}/{name}.metastore;create=true"
            ),
            "spark.executorEnv.JAVA_HOME": str(self.java),
            "spark.jars.ivy": str(Path.home() / ".ivy2.5.2"),
            "spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={self.driver}/tmp",
        }
        submit = str(Path(self.environment["SPARK_HOME"]) / "bin" / "spark-submit")
        command = [submit, *cluster.options("local-cluster[2,1,1024]", conf)]
        command += ["--py-files", str(cluster.ROOT / "dist" / "mira_spark.zip")]
        command += [*program, "--config", str(self.driver / f"{name}.yaml")]
        return subprocess.run(command, cwd=self.driver, env=self.environment, text=True,
                              capture_output=True, check=False)  # fmt: skip

    def column(self, name: str, table: str, column: str) -> set[str]:
        """What the run's table has in a column."""
        folder = self.shared / name / "warehouse" / f"{name}.db" / table
        rows = deltalake.DeltaTable(str(folder)).to_pyarrow_table(columns=[column])
        return set(rows[column].to_pylist())

    def selected(self, name: str) -> set[str]:
        """The ids that the run selected."""
        return self.column(name, "selected_documents", "doc_id")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> ClusterRuns:
    return ClusterRuns(tmp_path_factory.mktemp("cluster"), settings)


def test_executors_without_the_drivers_files_select_what_one_machine_selects(
    runs: ClusterRuns, selected_here: set[str]
) -> None:
    ended = runs.run("linear")
    assert ended.returncode == 0, ended.stdout[-4_000:] + ended.stderr[-4_000:]
    assert runs.selected("linear") == selected_here
    root = runs.shared / "linear" / "a root"
    assert {each.name for each in root.iterdir()} == {
        "staging", "students", "mlartifacts", "checkpoints", "report.html",
    }  # fmt: skip
    own = {each.name for each in (runs.driver / "linear").iterdir()}
    assert {"judge.sqlite", "mlflow.db"} <= own


def test_a_root_that_only_the_driver_sees_is_refused_before_anything_is_done(
    runs: ClusterRuns,
) -> None:
    ended = runs.run("refused", folder=str(runs.driver / "root"))
    assert ended.returncode == 2, ended.stderr[-4_000:]
    assert f"folder: executors do not see {runs.driver}/root as the driver does" in ended.stdout
    assert not (runs.shared / "refused" / "warehouse" / "refused.db").exists()
    assert os.listdir(runs.driver / "root") == []


def test_an_encoder_reaches_executors_that_see_nothing_of_the_driver(
    runs: ClusterRuns, tmp_path: Path
) -> None:
    encoder = an_encoder(tmp_path / "encoder", ["a text of words"])
    distillation = {"kind": "encoder", "encoder": {"model": str(encoder), "max_tokens": 64}}
    lenient = {
        "min_gain": -1,
        "min_spearman_within": -1,
        "min_noise_auc": 0,
        "max_length_correlation": 1,
        "max_length_excess": 2,
    }
    ended = runs.run("encoder", distillation=distillation, gate=lenient)
    assert ended.returncode == 2, ended.stdout[-4_000:] + ended.stderr[-4_000:]
    assert "champion unchanged" in ended.stdout, "random weights cannot read: they fail the gate"
    for student in sorted(runs.column("encoder", "students", "student_id")):
        ended = runs.mira("encoder", "students", "promote", student, "--force")
        assert ended.returncode == 0, ended.stdout[-4_000:] + ended.stderr[-4_000:]
    ended = runs.run("encoder", distillation=distillation, gate=lenient)
    assert ended.returncode == 3, ended.stdout[-4_000:] + ended.stderr[-4_000:]
    assert "512 documents scored" in ended.stdout
    assert runs.selected("encoder")
