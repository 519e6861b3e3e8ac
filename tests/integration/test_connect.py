"""The pipeline through a Spark Connect server: what shared clusters and serverless compute are."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import yaml

from mira_spark.lake.tables import Lakehouse
from mira_spark.settings.root import Settings
from tests import cluster

pytestmark = pytest.mark.long
MIRA = str(Path(sys.executable).parent / "mira")
SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server on loopback, over a lake of its own."""
    folder = tmp_path_factory.mktemp("connect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    conf = cluster.conf(folder) | {
        "spark.connect.grpc.binding.port": str(port),
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.hadoop.javax.jdo.option.ConnectionURL": (
            f"jdbc:derby:;databaseName={folder}/metastore;create=true"
        ),
    }
    submit = str(Path(cluster.pyspark.__file__).parent / "bin" / "spark-submit")
    command = [submit, "--class", SERVER, *cluster.options("local[2]", conf), "spark-internal"]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log,
            env=os.environ | {"PYSPARK_PYTHON": sys.executable},
        )  # fmt: skip

        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(timeout=180)
        yield f"sc://127.0.0.1:{port}"
        server.terminate()
        server.wait()


def test_a_pipeline_through_connect_selects_what_one_machine_selects(
    remote: str, settings: Settings, first_lake: Lakehouse, tmp_path: Path
) -> None:
    said = settings.model_dump(mode="json", exclude_defaults=True)
    said |= {"session": "platform", "folder": str(tmp_path / "root"), "namespace": "connected",
             "driver_folder": str(tmp_path / "driver"),
             "registry": {"prefix": "connected"}}  # fmt: skip
    (tmp_path / "mira.yaml").write_text(yaml.safe_dump(said))

    def mira(*arguments: str) -> str:
        ended = subprocess.run(
            [MIRA, *arguments, "--config", str(tmp_path / "mira.yaml")], cwd=tmp_path, text=True,
            env=os.environ | {"SPARK_REMOTE": remote}, capture_output=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout[-4_000:] + ended.stderr[-4_000:]
        return ended.stdout

    mira("run")
    here = first_lake.read("selected")
    count, ids = here.count(), here.selectExpr("sum(xxhash64(doc_id) % 1000003)").collect()[0][0]
    query = "select count(*) as n, sum(xxhash64(doc_id) % 1000003) as ids from selected"
    shown = mira("sql", query)
    assert f"{count:,}" in shown
    assert f"{ids:,}" in shown
    again = mira("run")
    assert "nothing to do" in again
    mira("status")
