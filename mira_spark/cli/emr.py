"""`mira emr`: a job on Amazon EMR, from this machine."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from mira_spark.cli import emr_files, emr_jobs
from mira_spark.cli.aws import open_clients
from mira_spark.cli.options import AsJson
from mira_spark.process.progress import note, say, say_error, write_answer
from mira_spark.settings import root
from mira_spark.settings.emr import EmrSettings, load

app = typer.Typer(help="Jobs on Amazon EMR: on EC2, on EKS, Serverless.")

ClusterConfig = Annotated[
    Path, typer.Option("--config", help="where and what, a YAML file as conf/emr/cluster.yaml")
]
Job = Annotated[str, typer.Argument(help="the id that submit printed")]
Wait = Annotated[bool, typer.Option(help="until the job is over, and end with its exit code")]


@app.command("submit")
def submit_command(config: ClusterConfig, wait: Wait = True, as_json: AsJson = False) -> None:
    """Upload what changed and start the job."""
    settings = load(config)
    overrides = [a.removeprefix("--set=") for a in settings.arguments if a.startswith("--set=")]
    root.load(settings.settings, overrides)  # now, and not by a cluster in a quarter of an hour
    files = emr_files.files_to_upload(settings)
    uris = emr_files.upload_uris(settings.uploads, files)
    wanted = emr_jobs.request(settings, uris)
    client, s3 = _clients(settings)
    emr_files.check_buckets(s3, settings)
    emr_files.upload(s3, files, uris)
    job = emr_jobs.start(settings, client, wanted)
    say(f"job {job} started; how far it is: mira emr status {job} --config {config}")
    code = None
    if wait:
        note("  waiting for it; Ctrl-C ends the waiting and not the job")
        code = _waited(settings, client, s3, job, config)
    if as_json:
        write_answer({"job": job, "exit_code": code})
    raise typer.Exit(code or 0)


@app.command("status")
def status_command(
    job: Job, config: ClusterConfig, wait: Wait = False, as_json: AsJson = False
) -> None:
    """The state of a job, and what EMR says about it."""
    settings = load(config)
    client, s3 = _clients(settings)
    code = _waited(settings, client, s3, job, config) if wait else 0
    if as_json or not wait:
        now = emr_jobs.state(settings, client, job)
        say(f"{now.name}{f': {now.reason}' if now.reason else ''}")
        if as_json:
            write_answer({"job": job, "state": now.name, "reason": now.reason, "exit_code": code})
    raise typer.Exit(code)


@app.command("logs")
def logs_command(
    job: Job,
    config: ClusterConfig,
    lines: Annotated[int, typer.Option(min=1, help="of each log, the last so many")] = 200,
    as_json: AsJson = False,
) -> None:
    """What the driver and what started it wrote, as far as EMR has brought it to S3."""
    settings = load(config)
    client, s3 = _clients(settings)
    logs = emr_jobs.job_logs(settings, client, s3, job)
    ends = {
        uri: list(emr_files.last_lines(s3, uri, lines)) for uri in (*logs.control, *logs.driver)
    }
    if as_json:
        write_answer({"job": job, "logs": ends})
        return
    for uri, end in ends.items():
        say((uri, "bold"))
        for line in end:
            say(line)
    if not logs.driver:
        say("there are no logs of the driver; EMR brings them to S3 some minutes later")


def _clients(settings: EmrSettings) -> list[Any]:
    """Of the place where jobs run, and of S3."""
    return open_clients(settings.region, emr_jobs.SERVICES[settings.on], "s3")


def _waited(settings: EmrSettings, client: Any, s3: Any, job: str, config: Path) -> int:
    """Wait until the job is over; its exit code, which is said."""
    code = emr_jobs.wait(settings, client, s3, job, time.sleep)
    if code:
        logs = f"mira emr logs {job} --config {config}"
        say_error("the job ended", f"exit code {code}; what it wrote: {logs}")
    else:
        say(f"job {job} is done")
    return code
