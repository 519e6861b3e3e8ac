"""What `mira emr` is told: every problem of a file in one line that names the setting."""

from pathlib import Path

import pytest

from mira_spark.errors import ConfigError
from mira_spark.settings.emr import load

SERVERLESS = """\
on: serverless
region: eu-west-1
uploads: s3://lake/uploads/
logs: s3://lake/logs
warehouse: s3://lake/warehouse
settings: my settings/mira.yaml
serverless: {application: 0a, role: "arn:aws:iam::123456789012:role/mira"}
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "emr.yaml"
    file.write_text(text)
    return file


def test_a_short_file_is_enough(tmp_path: Path) -> None:
    settings = load(written(tmp_path, SERVERLESS))
    assert settings.uploads == "s3://lake/uploads", "without the slash at its end"
    assert settings.place is settings.serverless
    assert not settings.has_gpus
    conf = load(written(tmp_path, f"{SERVERLESS}spark_conf: {{spark.a: true, spark.b: 1.5}}"))
    assert conf.spark_conf == {"spark.a": "true", "spark.b": "1.5"}


EKS = 'eks: {virtual_cluster: a, release: emr-spark-8.1.0, role: "arn:aws:iam::123456789012:role/m"'
PREFIX = "should read s3://BUCKET/PREFIX, of letters, digits and . _ - ="
NEW = "release: emr-spark-8.1.0, subnet: subnet-0, service_role: s, instance_profile: p, "
NEW += "primary: m6i.xlarge, workers: g6.xlarge, worker_count: 1"


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("on: ecs", "on: should be 'ec2', 'serverless' or 'eks', found 'ecs'"),
        ("on: eks", "eks: is missing, for on is eks"),
        ("uploads: /tmp/x", f"uploads: {PREFIX}, found '/tmp/x'"),
        ("logs: s3://lake/a b", f"logs: {PREFIX}, found 's3://lake/a b'"),
        ("settings: null", "settings: should be a path"),
        ("package: a,b.zip", "package: a file's name should be of letters, digits and . _ -"),
        ("program: s3://lake/run.py", "program: should be a path of this machine's file system"),
        ("executors: {instances: 0}", "executors.instances: should be at least 1, found 0"),
        ("executors: {memory: 12}", "executors.memory: should be a text, found 12"),
        ("executors: {gpus: 1}", "gpus: there are none on serverless; use ec2 or eks"),
        ("executors: {core: 1}", "executors.core is not a setting; did you mean executors.cores? "
         "Known: cores, gpus, instances, memory, overhead"),
        ("serverles: {}", "serverles is not a setting; did you mean serverless? Known: arguments, "
         "driver, ec2"),
        ("ec2: {create: {zone: a, " + NEW + "}}", "ec2.create.zone is not a setting. Known: "
         "bootstrap, configurations"),
        ("ec2: {}", "ec2.cluster: either it (a running one) or create is needed, and not both"),
        (f"ec2: {{cluster: j-1, create: {{{NEW}}}}}", "ec2.cluster: either it (a running one) or "),
        ("ec2: {create: {" + NEW.replace("spark-8", "7") + "}}", "ec2.create.release: should be "
         "emr-spark-8.0.0 or later: emr-7 has Spark 3.5, found 'emr-7.1.0'"),
        (f"on: eks\n{EKS}}}\ndriver: {{gpus: 1}}", "eks.image: is needed for GPUs: an image with "),
        ("spark_conf: {executor.memory: 1g}", "spark_conf.executor.memory: what Spark is told "
         "begins with spark."),
        ("spark_conf: {spark.hadoop.fs.s3a.secret.key: abc}", "spark_conf."
         "spark.hadoop.fs.s3a.secret.key: a key is never put into a file; use a role"),
        ("arguments: [--set=x=AKIAABCDEFGHIJKLMNOP]", "a key or password is never put into "
         "settings; use roles"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_no_key_is_shown(
    tmp_path: Path, more: str, problem: str
) -> None:
    names = {line.split(":")[0] for line in more.splitlines()}
    kept = [line for line in SERVERLESS.splitlines() if line.split(":")[0] not in names]
    file = written(tmp_path, "\n".join([*kept, more]))
    with pytest.raises(ConfigError) as error:
        load(file)
    assert str(error.value).startswith(f"{file}: {problem}")
    assert "\n" not in str(error.value)
    assert "AKIA" not in str(error.value)
    assert "'abc'" not in str(error.value)


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, "on: ec2\nregion: Europe\nregion: eu-west-1")
    with pytest.raises(ConfigError) as error:
        load(file)
    lines = str(error.value).splitlines()
    assert lines[0] == f"{file}: line 3: region comes twice"
    missing = ["uploads", "logs", "warehouse", "settings"]
    assert lines[1:] == [f"{file}: {name}: is missing" for name in missing]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="should hold settings as conf/emr"):
        load(written(tmp_path, "- a list"))
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        load(tmp_path / "none.yaml")
