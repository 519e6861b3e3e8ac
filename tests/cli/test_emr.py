"""`mira emr` against moto's EMR and S3: what is uploaded, started, waited for, and how it ends."""

import gzip
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.emr.models import emr_backends
from moto.emrserverless.models import emrserverless_backends

from mira_spark.__main__ import main
from mira_spark.cli import aws, emr_files, emr_jobs
from mira_spark.errors import ConfigError, OutsideError
from mira_spark.settings.emr import EmrSettings, load

REGION = "eu-west-1"
ROLE = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/mira"
NEW_CLUSTER = {
    "release": "emr-spark-8.1.0", "subnet": "subnet-0123456789abcdef0", "service_role": "service",
    "instance_profile": "machines", "primary": "m6i.xlarge", "workers": "g6.4xlarge",
    "worker_count": 2,
}  # fmt: skip
Said = Callable[..., tuple[int, str]]


@cache
def client(service: str) -> Any:
    """A client of moto; opening one takes long."""
    return boto3.client(
        service, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
    )


@pytest.fixture(scope="module", autouse=True)
def _aws() -> Iterator[None]:
    """Moto in the place of AWS; no credentials of this machine are found."""
    with pytest.MonkeyPatch.context() as environment, mock_aws():
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            environment.setenv(name, "/none")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        environment.delenv("AWS_PROFILE", raising=False)
        yield


@pytest.fixture
def s3() -> Iterator[Any]:
    """S3 with the empty bucket `lake`."""
    s3 = client("s3")
    s3.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": REGION})
    yield s3
    for each in s3.list_objects_v2(Bucket="lake").get("Contents", ()):
        s3.delete_object(Bucket="lake", Key=each["Key"])
    s3.delete_bucket(Bucket="lake")


@pytest.fixture
def mira(capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs `mira emr WORDS`: the exit code, and what was printed."""

    def run(*words: str) -> tuple[int, str]:
        try:
            main(["emr", *words])
        except SystemExit as ended:
            return int(ended.code or 0), capsys.readouterr().out
        return 0, capsys.readouterr().out

    return run


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., str]:
    """Writes a file of settings with local files that exist; the given keys go over it."""
    files = {"package": "mira_spark.zip", "program": "run_pipeline.py", "environment": "env.tar.gz"}
    for name in files.values():
        (tmp_path / name).write_text(name)
    (tmp_path / "mira.yaml").write_text(
        f"session: platform\nfolder: {tmp_path}\ncorpus: {{input: parquet, path: /documents}}"
    )

    def write(**over: Any) -> str:
        tree: dict[str, Any] = {
            "region": REGION,
            **{name: f"s3://lake/{name}" for name in ("uploads", "logs", "warehouse")},
            **{purpose: str(tmp_path / name) for purpose, name in files.items()},
            "settings": str(tmp_path / "mira.yaml"),
        }
        (tmp_path / "emr.yaml").write_text(yaml.safe_dump(tree | over))
        return str(tmp_path / "emr.yaml")

    return write


def emr(config: Callable[..., str], **over: Any) -> tuple[str, Any]:
    """A running cluster of moto and the settings that name it."""
    cluster = client("emr").run_job_flow(
        Name="c", LogUri="s3n://lake/logs/", ReleaseLabel="emr-7.0.0",
        Instances={"MasterInstanceType": "m5.xlarge", "InstanceCount": 1,
                   "KeepJobFlowAliveWhenNoSteps": True},
        JobFlowRole="machines", ServiceRole="service",
    )["JobFlowId"]  # fmt: skip
    return config(on="ec2", ec2={"cluster": cluster}, **over), cluster


def serverless(config: Callable[..., str], **over: Any) -> tuple[str, str]:
    """An application of moto and the settings that name it."""
    application = client("emr-serverless").create_application(
        name="a", releaseLabel="emr-7.0.0", type="SPARK"
    )
    place = {"application": application["applicationId"], "role": ROLE}
    return config(on="serverless", serverless=place, **over), application["applicationId"]


def a_job(file: str) -> tuple[EmrSettings, Any, str]:
    """Settings, client and id of a job that is started with files that were not uploaded."""
    settings = load(Path(file))
    place = client(emr_jobs.SERVICES[settings.on])
    uris = emr_files.upload_uris(settings.uploads, emr_files.files_to_upload(settings))
    return settings, place, emr_jobs.start(settings, place, emr_jobs.request(settings, uris))


def started(said: str) -> str:
    """The id of the job that submit printed."""
    return said[said.index("job ") :].split()[1]


def serverless_job(application: str, job: str) -> Any:
    """Moto's own record of a job run, to let it go on."""
    backend = emrserverless_backends[DEFAULT_ACCOUNT_ID][REGION]
    return backend.get_job_run(application, job)


def put_log(s3: Any, key: str, text: str) -> None:
    s3.put_object(Bucket="lake", Key=key, Body=gzip.compress(text.encode()))


def no_pause(seconds: float) -> None:
    """For jobs that are over."""


def test_submit_uploads_the_files_and_adds_a_step_to_the_cluster(
    s3: Any, mira: Said, config: Callable[..., str]
) -> None:
    file, cluster = emr(config, arguments=["--accept=degraded"])
    code, said = mira("submit", "--config", file, "--no-wait")
    assert code == 0, said
    place = client("emr")
    (step,) = place.list_steps(ClusterId=cluster)["Steps"]
    assert started(said) == f"{cluster}/{step['Id']}"
    words = step["Config"]["Args"]
    conf = dict(word.split("=", 1) for word in words if word.startswith("spark."))
    assert words[-3:] == ["--config", "mira.yaml", "--accept=degraded"]
    for uri in (words[-4], conf["spark.files"], conf["spark.submit.pyFiles"],
                conf["spark.archives"].removesuffix("#environment")):  # fmt: skip
        bucket, key = emr_files.bucket_and_key(uri)
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert uri.endswith(body.decode()) or body.startswith(b"session")
    assert conf["spark.sql.warehouse.dir"] == "s3://lake/warehouse"


def test_programs_get_a_job_s_id_and_its_logs(
    s3: Any, mira: Said, config: Callable[..., str]
) -> None:
    file, cluster = emr(config)
    code, said = mira("submit", "--config", file, "--no-wait", "--json")
    answer = json.loads(said)
    assert (code, answer["exit_code"], answer["job"].split("/")[0]) == (0, None, cluster)
    code, said = mira("logs", answer["job"], "--config", file, "--json")
    assert (code, json.loads(said)) == (0, {"job": answer["job"], "logs": {}})


def test_only_what_changed_is_uploaded_and_what_a_job_was_started_with_stays(
    s3: Any, mira: Said, config: Callable[..., str], tmp_path: Path
) -> None:
    file, _ = serverless(config)
    _, said = mira("submit", "--config", file, "--no-wait")
    assert said.count("uploaded to") == 4
    _, said = mira("submit", "--config", file, "--no-wait")
    assert said.count("uploaded to") == 0
    assert said.count("is in S3 already") == 4
    (tmp_path / "run_pipeline.py").write_text("another")
    _, said = mira("submit", "--config", file, "--no-wait")
    assert said.count("uploaded to") == 1
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket="lake", Prefix="uploads")["Contents"]]
    assert sum(key.endswith("run_pipeline.py") for key in keys) == 2


def test_submit_creates_a_cluster_that_ends_with_its_step(
    s3: Any, mira: Said, config: Callable[..., str], tmp_path: Path
) -> None:
    classes = [{"Classification": "delta-defaults", "Properties": {"delta.enabled": "true"}}]
    (tmp_path / "classes.json").write_text(json.dumps(classes))
    (tmp_path / "gpu.sh").write_text("mount")
    new = NEW_CLUSTER | {"configurations": str(tmp_path / "classes.json"),
                         "bootstrap": str(tmp_path / "gpu.sh")}  # fmt: skip
    gpus = {"executors": {"gpus": 1, "cores": 7}, "gpu_discovery": str(tmp_path / "gpu.sh")}
    code, said = mira("submit", "--config", config(on="ec2", ec2={"create": new}, **gpus),
                      "--no-wait")  # fmt: skip
    assert code == 0, said
    cluster, step = started(said).split("/")
    place = client("emr")
    made = place.describe_cluster(ClusterId=cluster)["Cluster"]
    assert (made["ReleaseLabel"], made["AutoTerminate"]) == ("emr-spark-8.1.0", True)
    assert made["Configurations"] == classes
    assert made["LogUri"] == "s3://lake/logs/"
    groups = place.list_instance_groups(ClusterId=cluster)["InstanceGroups"]
    asked = {
        g["InstanceGroupType"]: (g["InstanceType"], g["RequestedInstanceCount"]) for g in groups
    }
    assert asked == {"MASTER": ("m6i.xlarge", 1), "CORE": ("g6.4xlarge", 2)}
    (action,) = place.list_bootstrap_actions(ClusterId=cluster)["BootstrapActions"]
    assert action["ScriptPath"].endswith("/gpu.sh")
    words = place.describe_step(ClusterId=cluster, StepId=step)["Step"]["Config"]["Args"]
    conf = dict(word.split("=", 1) for word in words if word.startswith("spark."))
    assert conf["spark.executor.resource.gpu.discoveryScript"] == "./gpu.sh"
    assert conf["spark.files"].endswith("/gpu.sh")
    share = float(conf["spark.task.resource.gpu.amount"])
    assert 7 <= 1 / share < 8, "a task for each core, and no more"


def test_submit_starts_a_job_run_of_serverless(
    s3: Any, mira: Said, config: Callable[..., str]
) -> None:
    file, application = serverless(config, spark_conf={"spark.executor.memory": "40g"})
    code, said = mira("submit", "--config", file, "--no-wait")
    assert code == 0, said
    place = client("emr-serverless")
    run = place.get_job_run(applicationId=application, jobRunId=started(said))["jobRun"]
    submitted = run["jobDriver"]["sparkSubmit"]
    assert submitted["entryPoint"].endswith("/run_pipeline.py")
    assert submitted["entryPointArguments"] == ["--config", "mira.yaml"]
    (defaults,) = run["configurationOverrides"]["applicationConfiguration"]
    assert defaults["properties"]["spark.executor.memory"] == "40g", "the file's own goes before"
    monitoring = run["configurationOverrides"]["monitoringConfiguration"]
    assert monitoring["s3MonitoringConfiguration"] == {"logUri": "s3://lake/logs/"}


def eks_settings(config: Callable[..., str]) -> EmrSettings:
    place = {"virtual_cluster": "abc1", "release": "emr-spark-8.1.0-latest", "role": ROLE}
    return load(Path(config(on="eks", eks=place)))


def test_a_job_run_on_eks_is_started_as_botocore_knows_it(config: Callable[..., str]) -> None:
    """With a stub: moto knows the releases of emr-7 alone."""
    settings = eks_settings(config)
    uris = emr_files.upload_uris(settings.uploads, emr_files.files_to_upload(settings))
    wanted = emr_jobs.request(settings, uris)
    place = client("emr-containers")
    with Stubber(place) as stub:
        stub.add_response("start_job_run", {"id": "0001", "virtualClusterId": "abc1"}, wanted)
        assert emr_jobs.start(settings, place, wanted) == "0001"
    (defaults,) = wanted["configurationOverrides"]["applicationConfiguration"]
    assert defaults["properties"]["spark.jars"].startswith("local:///")


def test_waiting_says_each_state_and_ends_with_the_program_s_own_exit_code(
    s3: Any, config: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    file, application = serverless(config)
    settings, place, job = a_job(file)
    run = serverless_job(application, job)
    run.state, run.state_details = "PENDING", None
    later = [("RUNNING", None), ("RUNNING", None), ("FAILED", "Job failed. ExitCode: 3. Last few")]

    def pause(seconds: float) -> None:
        run.state, run.state_details = later.pop(0)

    assert emr_jobs.wait(settings, place, s3, job, pause) == 3
    assert capsys.readouterr().out.splitlines() == [
        "  PENDING",
        "  RUNNING after 0.5 minutes",
        "  FAILED after 1.5 minutes: Job failed. ExitCode: 3. Last few",
    ]


@pytest.mark.parametrize(
    ("state", "details", "code"),
    [("SUCCESS", "", 0), ("CANCELLED", "by a user", 75), ("FAILED", "ExitCode: 75. Last", 75)],
)
def test_status_waits_and_ends_as_the_job_did(
    s3: Any, mira: Said, config: Callable[..., str], state: str, details: str, code: int
) -> None:
    file, application = serverless(config)
    job = a_job(file)[2]
    run = serverless_job(application, job)
    run.state, run.state_details = state, details
    assert mira("status", job, "--config", file, "--wait")[0] == code
    shown, said = mira("status", job, "--config", file)
    assert (shown, said.split(":")[0].strip()) == (0, state)
    assert details in said
    waiting = mira("status", job, "--config", file, "--wait", "--json")
    answers = [(0, mira("status", job, "--config", file, "--json")), (code, waiting)]
    for exit_code, (ended, written) in answers:
        answer = json.loads(written)
        assert (answer.pop("job"), answer.pop("state")) == (job, state)
        assert details in answer.pop("reason")
        assert ended == answer.pop("exit_code") == exit_code
        assert answer == {}


def failed_step(cluster: str, job: str, reason: str | None) -> None:
    (step,) = emr_backends[DEFAULT_ACCOUNT_ID][REGION].clusters[cluster].steps
    assert job == f"{cluster}/{step.id}"
    step.state, step.last_state_change_reason = "FAILED", reason


@pytest.mark.parametrize(
    ("controller", "driver", "code"),
    [
        ("Step failed with exitCode 1 and", "User application exited with status 4\n", 4),
        ("waitProcessCompletion ended with exit code 75 : hadoop", "", 75),
        ("ended with exit code 1", "Exit code is 137 of an executor that was lost", 1),
        ("nothing", "nothing", 1),
    ],
)
def test_the_exit_code_of_a_step_is_read_from_its_logs_when_emr_has_brought_them(
    s3: Any, config: Callable[..., str], controller: str, driver: str, code: int
) -> None:
    file, cluster = emr(config)
    settings, place, job = a_job(file)
    failed_step(cluster, job, None)
    step, pauses = job.split("/")[1], []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            put_log(
                s3,
                f"logs/{cluster}/steps/{step}/controller.gz",
                f"application_17_0003\n{controller}",
            )
            first = f"logs/{cluster}/containers/application_17_0003/container_17_0003_01_000001"
            put_log(s3, f"{first}/stderr.gz", driver)

    assert emr_jobs.wait(settings, place, s3, job, pause) == code
    assert len(pauses) == (2 if "nothing" not in controller else 10)


def test_a_cluster_that_could_not_start_fails_the_job_and_says_why(
    s3: Any, config: Callable[..., str]
) -> None:
    settings = load(Path(config(on="ec2", ec2={"cluster": "j-1"})))
    place = client("emr")
    with Stubber(place) as stub:
        stub.add_response("describe_step", {"Step": {"Status": {"State": "CANCELLED"}}})
        why = {"Message": "On 2 machines the bootstrap failed"}
        ended = {"State": "TERMINATED_WITH_ERRORS", "StateChangeReason": why}
        stub.add_response("describe_cluster", {"Cluster": {"Status": ended}})
        state = emr_jobs.state(settings, place, "j-1/s-2")
    assert (state.name, state.reason) == ("FAILED", "On 2 machines the bootstrap failed")


def test_logs_show_the_last_lines_with_control_characters_made_visible(
    s3: Any, mira: Said, config: Callable[..., str]
) -> None:
    file, application = serverless(config)
    job = a_job(file)[2]
    _, said = mira("logs", job, "--config", file)
    assert "there are no logs of the driver" in said
    run = f"logs/applications/{application}/jobs/{job}"
    put_log(s3, f"{run}/SPARK_DRIVER/stdout.gz", "first\n\x1b[31mred\x1b[0m [bold]\nlast")
    put_log(s3, f"{run}/SPARK_EXECUTOR/1/stdout.gz", "of an executor")
    code, said = mira("logs", job, "--config", file, "--lines", "2")
    assert code == 0
    assert said.splitlines()[1:] == ["\\x1b[31mred\\x1b[0m [bold]", "last"]


def test_logs_of_a_step_are_those_of_spark_submit_and_of_the_driver_s_container(
    s3: Any, mira: Said, config: Callable[..., str]
) -> None:
    file, cluster = emr(config)
    job = a_job(file)[2]
    put_log(s3, f"logs/{cluster}/steps/{job.split('/')[1]}/stderr.gz", "Submitted application_1_2")
    for container in ("01_000001", "01_000002"):
        where = f"logs/{cluster}/containers/application_1_2/container_1_2_{container}"
        put_log(s3, f"{where}/stdout.gz", f"in {container}")
    _, said = mira("logs", job, "--config", file)
    assert "Submitted application_1_2" in said
    assert "in 01_000001" in said
    assert "in 01_000002" not in said


def test_logs_on_eks_are_those_of_the_driver_s_pod(s3: Any, config: Callable[..., str]) -> None:
    settings = eks_settings(config)
    run = "logs/abc1/jobs/0001"
    put_log(s3, f"{run}/control-logs/0001-x/stderr.gz", "exit code: 4")
    put_log(s3, f"{run}/containers/spark-0001/spark-0001-driver/stdout.gz", "driver")
    put_log(s3, f"{run}/containers/spark-0001/exec-1/stdout.gz", "executor")
    logs = emr_jobs.job_logs(settings, None, s3, "0001")
    assert [uri.split("/")[-2:] for uri in logs.control] == [["0001-x", "stderr.gz"]]
    assert [uri.split("/")[-2] for uri in logs.driver] == ["spark-0001-driver"]


def test_a_log_that_is_cut_short_is_shown_as_far_as_it_goes(s3: Any) -> None:
    whole = gzip.compress(b"".join(b"line %d\n" % i for i in range(10_000)))
    s3.put_object(Bucket="lake", Key="cut.gz", Body=whole[: len(whole) // 2])
    lines = emr_files.last_lines(s3, "s3a://lake/cut.gz", 3)
    assert lines[0].startswith("line ")
    assert lines[-1] == "(the file ends here, not as a whole gzip file)"
    s3.put_object(Bucket="lake", Key="plain.gz", Body=b"plain")
    assert len(emr_files.last_lines(s3, "s3://lake/plain.gz", 3)) == 1


def test_a_line_without_an_end_is_divided(s3: Any) -> None:
    put_log(s3, "long.gz", "x" * 200_000)
    lines = emr_files.last_lines(s3, "s3://lake/long.gz", 100)
    assert "".join(lines) == "x" * 200_000
    assert max(map(len, lines)) == 65_536


@pytest.mark.parametrize("setting", ["uploads", "logs", "warehouse"])
def test_a_bucket_that_does_not_exist_is_one_line_before_anything_is_uploaded(
    s3: Any, mira: Said, config: Callable[..., str], setting: str
) -> None:
    file, _ = serverless(config, **{setting: "s3://nowhere/mira"})
    code, said = mira("submit", "--config", file)
    assert code == 2
    assert said == (
        f"ConfigError: {setting}: bucket nowhere does not exist: create it, or name another\n"
    )
    assert "Contents" not in s3.list_objects_v2(Bucket="lake")


def test_missing_credentials_are_one_line(
    mira: Said, config: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    file = config(on="serverless", serverless={"application": "0", "role": ROLE})
    for words in (("status", "0001"), ("submit",), ("logs", "0001")):
        code, said = mira(*words, "--config", file)
        assert code == 2
        assert said.startswith("ConfigError: no AWS credentials found: log in")
        assert said.count("\n") == 1


def test_files_that_are_missing_are_named_all_at_once_with_what_makes_them(
    s3: Any, mira: Said, config: Callable[..., str]
) -> None:
    file, _ = serverless(config, package="/none/a.zip", environment="/none/b.tar.gz")
    code, said = mira("submit", "--config", file)
    assert code == 2
    assert "package: /none/a.zip: there is no such file; make dist makes it" in said
    assert "environment: /none/b.tar.gz: there is no such file; conf/emr/environment" in said


def test_settings_of_the_pipeline_that_are_wrong_are_refused_before_the_upload(
    s3: Any, mira: Said, config: Callable[..., str]
) -> None:
    file, _ = serverless(config, arguments=["--set=selection.bugdet=1"])
    code, said = mira("submit", "--config", file)
    assert code == 2
    assert "did you mean selection.budget?" in said
    assert "Contents" not in s3.list_objects_v2(Bucket="lake")


def test_a_job_that_is_not_known_is_one_line(
    s3: Any, mira: Said, config: Callable[..., str]
) -> None:
    file, _ = serverless(config)
    code, said = mira("status", "0001", "--config", file)
    assert (code, said.count("\n")) == (2, 1)
    assert "job 0001: ResourceNotFoundException" in said
    file = config(on="ec2", ec2={"cluster": "j-1"})
    code, said = mira("status", "j-1/s-1\x1b[2J", "--config", file)
    assert code == 2
    assert said == (
        "ConfigError: job j-1/s-1\\x1b[2J: should read j-…/s-…, as mira emr submit printed it\n"
    )


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ThrottlingException", 400, OutsideError),
        ("TooManyRequestsException", 429, OutsideError),
        ("SlowDown", 503, OutsideError),
        ("InternalServerException", 500, OutsideError),
        ("ExpiredTokenException", 400, OutsideError),
        ("AccessDeniedException", 403, ConfigError),
        ("ValidationException", 400, ConfigError),
    ],
)
def test_what_passes_is_an_outage_and_what_does_not_is_refused(
    config: Callable[..., str], code: str, status: int, error: type[Exception]
) -> None:
    settings = load(Path(config(on="serverless", serverless={"application": "0", "role": ROLE})))
    place = client("emr-serverless")
    with Stubber(place) as stub:
        stub.add_client_error("get_job_run", code, "because", http_status_code=status)
        with pytest.raises(error, match=f"job 0001: {code}: because"):
            emr_jobs.state(settings, place, "0001")


def test_a_wait_that_loses_aws_says_that_the_job_goes_on_and_is_an_outage(
    config: Callable[..., str],
) -> None:
    settings = load(Path(config(on="serverless", serverless={"application": "0", "role": ROLE})))
    place = client("emr-serverless")
    with Stubber(place) as stub:
        stub.add_client_error("get_job_run", "ThrottlingException", "slow down", 400)
        with pytest.raises(OutsideError) as failed:
            emr_jobs.wait(settings, place, None, "0001", no_pause)
    again = "the job goes on: mira emr status 0001 --wait waits again, with the same --config"
    assert str(failed.value).endswith(again)
    assert failed.value.exit_code == 75


def test_a_lost_connection_is_an_outage() -> None:
    lost = r"what: no connection to AWS \(EndpointConnectionError\)"
    with pytest.raises(OutsideError, match=lost), aws.asking("what"):
        raise EndpointConnectionError(endpoint_url="https://emr")
