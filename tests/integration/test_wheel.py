"""The wheel in an environment without the checkout: its commands, run from an empty folder."""

import subprocess
import sys
from pathlib import Path

import deltalake
import pytest
import yaml

from mira_spark.settings.root import Settings
from tests import cluster

pytestmark = pytest.mark.long


def test_the_wheel_alone_selects_what_the_checkout_selects(
    settings: Settings, selected_here: set[str], tmp_path: Path
) -> None:
    cluster.built()
    environment = cluster.environment(tmp_path / "python")
    (wheel,) = (cluster.ROOT / "dist").glob("*.whl")
    uv = str(Path(sys.executable).parent / "uv")
    python = environment["PYSPARK_PYTHON"]
    installed = subprocess.run(
        [uv, "pip", "install", "--no-deps", "--python", python, str(wheel)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert installed.returncode == 0, installed.stderr
    said = settings.model_dump(mode="json", exclude_defaults=True)
    said |= {"folder": "a lake", "namespace": "wheel", "registry": {"prefix": "wheel"}}
    said["selection"] = said.get("selection", {}) | {"materialize": "manifest"}
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "mira.yaml").write_text(yaml.safe_dump(said))

    def mira(*arguments: str) -> str:
        command = [str(Path(python).parent / "mira"), *arguments, "--config", "mira.yaml"]
        ended = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout[-4_000:] + ended.stderr[-4_000:]
        return ended.stdout

    said = mira("run")
    assert "What was kept" in said
    assert "of the judge in this run, $0.00" in said
    assert "Next: mira selection show default --config mira.yaml" in said
    table = folder / "a lake" / "warehouse" / "wheel.db" / "selected_documents"
    rows = deltalake.DeltaTable(str(table)).to_pyarrow_table(columns=["doc_id"])
    assert set(rows["doc_id"].to_pylist()) == selected_here
    assert "nothing to do" in mira("run")
