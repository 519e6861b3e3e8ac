"""A job on EMR: starting it, how far it is, its logs, and what it ended with.

A job's id is `CLUSTER/STEP` on EC2, else that of the job run. EMR says of a program that failed no
more than that; its exit code is in the reason or the logs, in words of Spark or of EMR.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mira_spark.cli import emr_requests
from mira_spark.cli.aws import asking
from mira_spark.cli.emr_files import last_lines, log_keys
from mira_spark.errors import ConfigError, OutsideError
from mira_spark.process.progress import note
from mira_spark.settings.emr import Ec2Settings, EksSettings, EmrSettings, ServerlessSettings

SERVICES = {"ec2": "emr", "serverless": "emr-serverless", "eks": "emr-containers"}
POLL_S = 30.0
_SAY_EVERY = 10
"""Polls after which a state that is as before is said again."""
_LOG_TRIES = 10
"""Polls for the exit code of a job that failed: EMR brings logs to S3 every few minutes."""
_LINES_READ = 5_000
_DONE, _FAILED = {"COMPLETED", "SUCCESS"}, {"FAILED"}
_STOPPED = {"CANCELLED", "INTERRUPTED"}
STOPPED_CODE, FAILED_CODE = 75, 1
_CODE_OF_PROGRAM = re.compile(r"User application exited with (?:status )?([1-9][0-9]{0,2})\b")
_CODE_OF_PROCESS = re.compile(r"exit ?code:? (?:is )?([1-9][0-9]{0,2})\b", re.IGNORECASE)


@dataclass(frozen=True)
class JobState:
    """A state as EMR names it, and what EMR says about it, empty where it says nothing."""

    name: str
    reason: str

    @property
    def is_over(self) -> bool:
        """Whether nothing comes after it."""
        return self.name in _DONE | _FAILED | _STOPPED


@dataclass(frozen=True)
class JobLogs:
    """URIs of a job's logs: those of what started the driver, and the driver's own."""

    control: list[str]
    driver: list[str]


def request(settings: EmrSettings, uris: dict[str, str]) -> dict[str, Any]:
    """What `start` sends. ConfigError for a file of configurations that cannot be read."""
    match settings.place:
        case Ec2Settings(create=None, cluster=cluster):
            return {"JobFlowId": cluster, "Steps": [emr_requests.step(settings, uris)]}
        case Ec2Settings(create=new) if new:
            return emr_requests.job_flow(settings, new, uris)
        case ServerlessSettings() as place:
            return emr_requests.serverless_run(settings, place, uris)
        case EksSettings() as place:
            return emr_requests.eks_run(settings, place, uris)
    raise AssertionError(settings.on)


def start(settings: EmrSettings, client: Any, wanted: dict[str, Any]) -> str:
    """Start the job that is `wanted`, a `request`; its id."""
    with asking("starting the job"):
        match settings.place:
            case Ec2Settings(create=None, cluster=cluster):
                (step,) = client.add_job_flow_steps(**wanted)["StepIds"]
                return f"{cluster}/{step}"
            case Ec2Settings():
                cluster = client.run_job_flow(**wanted)["JobFlowId"]
                (only,) = client.list_steps(ClusterId=cluster)["Steps"]
                return f"{cluster}/{only['Id']}"
            case ServerlessSettings():
                return str(client.start_job_run(**wanted)["jobRunId"])
            case _:
                return str(client.start_job_run(**wanted)["id"])


def state(settings: EmrSettings, client: Any, job: str) -> JobState:
    """The job's state; ConfigError when EMR knows no such job."""
    with asking(f"job {job}"):
        match settings.place:
            case Ec2Settings():
                return _step_state(client, *_cluster_and_step(job))
            case ServerlessSettings(application=application):
                run = client.get_job_run(applicationId=application, jobRunId=job)["jobRun"]
            case EksSettings(virtual_cluster=cluster):
                run = client.describe_job_run(virtualClusterId=cluster, id=job)["jobRun"]
    return JobState(run["state"], _said(run.get("failureReason"), run.get("stateDetails")))


def wait(
    settings: EmrSettings, client: Any, s3: Any, job: str, pause: Callable[[float], object]
) -> int:
    """Say how far the job is until it is over; its exit code: 0, the program's own where it can be
    read, else 1; 75 for a job that somebody cancelled. OutsideError, which is 75 too, when AWS
    cannot be asked any more: the job goes on."""
    try:
        last = _until_over(settings, client, job, pause)
        if last.name in _FAILED:
            return _code_of_failed(settings, client, s3, job, last, pause)
        return 0 if last.name in _DONE else STOPPED_CODE
    except OutsideError as error:
        again = f"mira emr status {job} --wait waits again, with the same --config"
        raise OutsideError(f"{error}; the job goes on: {again}") from None


def job_logs(settings: EmrSettings, client: Any, s3: Any, job: str) -> JobLogs:
    """Where a job's logs lie; none before EMR has brought them to S3."""
    match settings.place:
        case Ec2Settings():
            return _step_logs(client, s3, *_cluster_and_step(job))
        case ServerlessSettings(application=application):
            run = f"{settings.logs}/applications/{application}/jobs/{job}"
            return JobLogs([], log_keys(s3, run, r"/SPARK_DRIVER/(stdout|stderr)\.gz$"))
        case EksSettings(virtual_cluster=cluster):
            run = f"{settings.logs}/{cluster}/jobs/{job}"
            driver = log_keys(s3, f"{run}/containers", r"-driver/(stdout|stderr)\.gz$")
            return JobLogs(log_keys(s3, f"{run}/control-logs", r"\.gz$"), driver)


def exit_code(reason: str, control: Iterable[str], driver: Iterable[str]) -> int | None:
    """The exit code that a failed job's reason and the lines of its logs tell; None: they do not.
    What Spark says of the program goes first; of the processes the last one counts."""
    outside = [reason, *control]
    for lines, pattern in (([*outside, *driver], _CODE_OF_PROGRAM), (outside, _CODE_OF_PROCESS)):
        if codes := [int(code) for line in lines for code in pattern.findall(line)]:
            return codes[-1] if codes[-1] < 256 else FAILED_CODE
    return None


def _until_over(
    settings: EmrSettings, client: Any, job: str, pause: Callable[[float], object]
) -> JobState:
    before, polls = "", 0
    while True:
        now = state(settings, client, job)
        if now.name != before or polls % _SAY_EVERY == 0:
            minutes = f" after {polls * POLL_S / 60:g} minutes" if polls else ""
            note(f"  {now.name}{minutes}{f': {now.reason}' if now.reason else ''}")
        if now.is_over:
            return now
        before, polls = now.name, polls + 1
        pause(POLL_S)


def _code_of_failed(
    settings: EmrSettings,
    client: Any,
    s3: Any,
    job: str,
    last: JobState,
    pause: Callable[[float], object],
) -> int:
    code = exit_code(last.reason, (), ())
    for _ in range(_LOG_TRIES):
        if code is not None:
            return code
        logs = job_logs(settings, client, s3, job)
        control, driver = (
            [line for uri in uris for line in last_lines(s3, uri, _LINES_READ)]
            for uris in (logs.control, logs.driver)
        )
        code = exit_code(last.reason, control, driver)
        if code is None:
            pause(POLL_S)
    return FAILED_CODE if code is None else code


def _step_state(client: Any, cluster: str, step: str) -> JobState:
    """Of a step; of its cluster, when that failed and took the step with it."""
    status = client.describe_step(ClusterId=cluster, StepId=step)["Step"]["Status"]
    details = status.get("FailureDetails", {})
    said = _said(
        status.get("StateChangeReason", {}).get("Message"),
        details.get("Reason"),
        details.get("Message"),
    )
    if status["State"] in _STOPPED:
        whole = client.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]
        if whole["State"] == "TERMINATED_WITH_ERRORS":
            return JobState("FAILED", _said(whole.get("StateChangeReason", {}).get("Message")))
    return JobState(status["State"], said)


def _step_logs(client: Any, s3: Any, cluster: str, step: str) -> JobLogs:
    """Of a step: what started the driver says which application of YARN it is."""
    with asking(f"cluster {cluster}"):
        uri = client.describe_cluster(ClusterId=cluster)["Cluster"].get("LogUri")
    if not uri:
        raise ConfigError(f"cluster {cluster}: has no log URI, so that nothing is kept of its logs")
    where = f"{uri.rstrip('/')}/{cluster}"
    control = log_keys(s3, f"{where}/steps/{step}", r"/(controller|stderr|stdout)\.gz$")
    lines = [line for each in control for line in last_lines(s3, each, _LINES_READ)]
    driver = [
        each
        for application in sorted(set(re.findall(r"application_[0-9]+_[0-9]+", "\n".join(lines))))
        for each in log_keys(s3, f"{where}/containers/{application}", _FIRST_CONTAINER)
    ]
    return JobLogs(control, driver)


_FIRST_CONTAINER = r"_000001/(stdout|stderr)(\.gz)?$"
"""The driver's, where YARN runs it."""


def _cluster_and_step(job: str) -> tuple[str, str]:
    match = re.fullmatch(r"(j-[0-9A-Z]+)/(s-[0-9A-Z]+)", job)
    if match is None:
        raise ConfigError(f"job {job}: should read j-…/s-…, as mira emr submit printed it")
    return match[1], match[2]


def _said(*texts: str | None) -> str:
    return " ".join(" ".join(text.split()) for text in texts if text)
