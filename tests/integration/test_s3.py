"""Tables and root on object storage: the whole pipeline, killed and resumed. `make test-s3`.

Hadoop's client of S3 comes by Spark's own resolver the first time, 690 MB.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import yaml

from mira_spark.process.failpoints import _EXIT_CODE
from mira_spark.settings.root import Settings
from tests import cluster
from tests.object_store import BUCKET, REGION, object_store

pytestmark = pytest.mark.long
MIRA = str(Path(sys.executable).parent / "mira")
JARS = ("org.apache.hadoop:hadoop-aws:3.5.0", "software.amazon.awssdk:bundle:2.35.4",
        "software.amazon.s3.analyticsaccelerator:analyticsaccelerator-s3:1.3.1")  # fmt: skip
WITHOUT = ("org.wildfly.openssl:wildfly-openssl", "software.amazon.awssdk:s3",
           "software.amazon.awssdk:crt-core", "software.amazon.awssdk.crt:aws-crt")  # fmt: skip


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with object_store() as url:
        yield url


def s3a(url: str) -> dict[str, str]:
    """What Spark is told of the storage."""
    named = {"endpoint": url, "endpoint.region": REGION, "path.style.access": "true",
             "connection.ssl.enabled": "false", "access.key": "test",
             "secret.key": "test"}  # fmt: skip
    return {f"spark.hadoop.fs.s3a.{name}": value for name, value in named.items()}


def test_a_pipeline_on_object_storage_is_killed_goes_on_and_selects_what_a_disk_selects(
    url: str, settings: Settings, selected_here: set[str], tmp_path: Path
) -> None:
    client = boto3.client("s3")
    for file in Path(str(settings.corpus.path)).glob("*.json"):
        client.upload_file(str(file), BUCKET, f"corpus/{file.name}")
    said = settings.model_dump(mode="json", exclude_defaults=True)
    said["corpus"]["path"] = f"s3a://{BUCKET}/corpus"
    said |= {"session": "platform", "folder": f"s3a://{BUCKET}/root", "namespace": "stored",
             "driver_folder": str(tmp_path / "driver"), "single_writer": True,
             "registry": {"prefix": "stored"}}  # fmt: skip
    (tmp_path / "mira.yaml").write_text(yaml.safe_dump(said))
    conf = cluster.conf(tmp_path) | s3a(url)
    conf |= {
        "spark.jars.packages": ",".join((conf["spark.jars.packages"], *JARS)),
        "spark.jars.excludes": ",".join(WITHOUT),
        "spark.sql.warehouse.dir": f"s3a://{BUCKET}/warehouse",
        "spark.hadoop.javax.jdo.option.ConnectionURL": (
            f"jdbc:derby:;databaseName={tmp_path}/metastore;create=true"
        ),
    }
    submit = " ".join([*cluster.options("local[2]", conf), "pyspark-shell"])

    def mira(*arguments: str, code: int = 0, **drill: str) -> str:
        ended = subprocess.run(
            [MIRA, *arguments, "--config", str(tmp_path / "mira.yaml")], cwd=tmp_path, text=True,
            env=os.environ | {"PYSPARK_SUBMIT_ARGS": submit} | drill, capture_output=True,
            check=False,
        )  # fmt: skip
        written = ended.stdout + ended.stderr
        assert ended.returncode == code, written[-8_000:]
        return " ".join(written.split())

    refused = mira("run", "--set", "single_writer=false", code=2)
    assert f"single_writer: stored lies on s3a://{BUCKET}/warehouse" in refused
    mira("run", code=_EXIT_CODE, MIRA_FAILPOINTS="unit.reconciled=exit")
    assert "score_documents done" in mira("run")
    out = f"s3a://{BUCKET}/out"
    export = ("export", "default", "--to", out, "--format", "jsonl")
    mira(*export, code=_EXIT_CODE, MIRA_FAILPOINTS="export.file=exit")
    assert "1 of the files were there" in mira(*export)
    keys = [
        each["Key"] for each in client.list_objects_v2(Bucket=BUCKET, Prefix="out/")["Contents"]
    ]
    lines = [
        json.loads(line)
        for key in keys
        if key.endswith(".jsonl")
        for line in client.get_object(Bucket=BUCKET, Key=key)["Body"].read().splitlines()
    ]
    assert {line["doc_id"] for line in lines} == selected_here
    roots = client.list_objects_v2(Bucket=BUCKET, Prefix="root/", Delimiter="/")
    assert {each["Prefix"] for each in roots["CommonPrefixes"]} == {
        "root/students/", "root/mlartifacts/", "root/checkpoints/",
    }  # fmt: skip
    assert [each["Key"] for each in roots["Contents"]] == ["root/report.html"]
