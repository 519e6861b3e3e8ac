"""What fails outside of us is one line and an exit code; a defect is one line and a file."""

import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mira_spark.errors import ConfigError
from mira_spark.lake.session import check_version
from mira_spark.process.failures import GO_ON, explained

ROOT = Path(__file__).parents[2]


def write_to_a_full_disk() -> None:
    with Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"a")


def write_to_a_full_database() -> None:
    with sqlite3.connect(":memory:") as database:
        database.execute("PRAGMA max_page_count = 2")
        database.execute("CREATE TABLE t AS SELECT zeroblob(100000) AS a")


def write_to_a_database_that_is_read_only() -> None:
    with sqlite3.connect("file::memory:?mode=ro", uri=True) as database:
        database.execute("PRAGMA query_only = on")
        database.execute("CREATE TABLE t (a)")


def connect_to_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    socket.create_connection(address)


def in_a_chain() -> None:
    try:
        write_to_a_full_disk()
    except OSError as error:
        raise ValueError("a table could not be written") from error


FULL = f"the disk is full: make room; {GO_ON}"
OLD_JAVA = (
    "Error: LinkageError occurred while loading main class org.apache.spark.launcher.Main\n"
    "\tjava.lang.UnsupportedClassVersionError: org/apache/spark/launcher/Main has been compiled by "
    "a more recent version of the Java Runtime"
)
FAILURES = {
    write_to_a_full_disk: (75, f"No space left on device; {GO_ON}"),
    in_a_chain: (75, f"No space left on device; {GO_ON}"),
    write_to_a_full_database: (75, f"{FULL} (database or disk is full)"),
    write_to_a_database_that_is_read_only: (
        2,
        "a file or folder cannot be written: give rights to it, or name another place in the "
        "settings (attempt to write a readonly database)",
    ),
    connect_to_nothing: (
        75,
        f"a server could not be reached; {GO_ON} ([Errno 111] Connection refused)",
    ),
}


@pytest.mark.parametrize("fail", FAILURES)
def test_a_failure_of_the_system_is_one_line_and_says_how_to_go_on(
    fail: Callable[[], None],
) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        fail()
    error = explained(raised.value)
    assert error is not None
    assert (error.exit_code, str(error)) == FAILURES[fail]


NEEDS_JAVA = "Spark needs Java 17 or later: install it, or let JAVA_HOME name it"
NO_HOME = (
    'Exception in thread "main" java.io.FileNotFoundException: /home/a/.ivy2.5.2/cache/a.xml '
    "(Read-only file system)"
)


SAID = {
    "JAVA_HOME is not set": NEEDS_JAVA,
    "spark-class: line 112: /opt/java/bin/java: No such file or directory": NEEDS_JAVA,
    OLD_JAVA: NEEDS_JAVA,
    NO_HOME: (
        "Spark keeps the jars of Delta below the home folder, which cannot be written: name "
        "another with JAVA_TOOL_OPTIONS=-Duser.home=FOLDER"
    ),
    "[unresolved dependency: io.delta#delta-spark_2.13;4.0.0: not found]": (
        "the jars of Delta are not on this machine and could not be fetched: Spark gets them from "
        "Maven Central once, and needs a network for that"
    ),
    "nothing that is known": "Spark's Java process could not be started: run mira doctor",
}


@pytest.mark.parametrize("said", SAID)
def test_what_java_wrote_before_it_ended_is_why_spark_did_not_start(said: str) -> None:
    error = RuntimeError("[JAVA_GATEWAY_EXITED] Java gateway process exited before its port")
    error.add_note(f"Ivy Default Cache set to: /home/a/.ivy2.5.2/cache\n{said}\n")
    known = explained(error)
    assert known is not None
    last = str(error) if said == "nothing that is known" else said.splitlines()[-1].strip()
    assert (known.exit_code, str(known)) == (2, f"{SAID[said]} ({last})")


NO_DELTA = (
    "this Spark has no Delta: add the jars delta-spark and delta-storage that belong to its "
    "version, with spark.sql.extensions and spark.sql.catalog.spark_catalog of Delta"
)
OTHER_SCALA = (
    "jars for another Scala are on Spark's path: Spark 4 needs those whose names end in _2.13"
)
RIGHT = "a right in the catalog is missing: let its owner grant what is named here"
OTHER_DRIVER = f"another driver wrote to the same table: wait until it ends; {GO_ON}"
JAVA_SAID = {
    "org.apache.spark.SparkClassNotFoundException: [DATA_SOURCE_NOT_FOUND] Failed to find the data "
    "source: delta. Make sure the provider name is correct.": (2, NO_DELTA),
    "org.apache.spark.SparkException: Cannot find catalog plugin class for catalog "
    "'spark_catalog': org.apache.spark.sql.delta.catalog.DeltaCatalog.": (2, NO_DELTA),
    "java.lang.NoClassDefFoundError: scala/collection/GenTraversableOnce": (2, OTHER_SCALA),
    "io.delta.exceptions.ConcurrentAppendException: files were added": (75, OTHER_DRIVER),
    "io.delta.exceptions.MetadataChangedException: it changed": (75, OTHER_DRIVER),
    "[DELTA_CONCURRENT_DELETE_READ] a file was deleted": (75, OTHER_DRIVER),
    "[INSUFFICIENT_PERMISSIONS] Insufficient privileges: User does not have USE CATALOG on Catalog "
    "'main'. SQLSTATE: 42501": (2, RIGHT),
    "AccessDeniedException: User: arn:aws:sts::1:assumed-role/r is not authorized to perform: "
    "glue:CreateTable on resource: arn:aws:glue:eu-west-1:1:catalog": (2, RIGHT),
    "org.apache.hadoop.fs.s3a.UnknownStoreException: `s3a://none/': getFileStatus on s3a://none/: "
    "Bucket does not exist": (
        2,
        "a bucket of the settings, or of the schema's location, does not exist: make it, or name "
        "another",
    ),
    "org.apache.hadoop.fs.s3a.auth.NoAwsCredentialsException: SimpleAWSCredentialsProvider: No AWS "
    "credentials in the Hadoop configuration": (
        2,
        "no credentials for S3 were found: give the "
        "machines a role, or name a provider in spark.hadoop.fs.s3a.aws.credentials.provider",
    ),
    "software.amazon.awssdk.services.s3.model.S3Exception: The provided token has expired. "
    "(Service: S3, Status Code: 400)": (
        75,
        f"the credentials for the storage have expired: renew them; {GO_ON}",
    ),
}
"""What Spark 4.2 said without Delta, with its settings alone, with jars for Scala 2.12; what Delta
says of conflicts; what catalogs and S3A say by their documentation."""


@pytest.mark.parametrize("said", JAVA_SAID)
def test_what_java_raised_is_one_line_with_its_remedy(said: str) -> None:
    known = explained(RuntimeError(f"An error occurred while calling o31.sql.\n: {said}\n\tat a.b"))
    assert known is not None
    code, remedy = JAVA_SAID[said]
    assert (known.exit_code, str(known)) == (code, f"{remedy} ({said})")


@pytest.mark.parametrize("version", ["3.5.6", "3.5.2-amzn-1"])
def test_a_spark_that_is_too_old_is_one_line(version: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_version(version)
    assert str(refused.value).startswith(f"Spark {version} is too old: 4.0 or later is needed")


def test_a_spark_that_is_new_enough_is_none_of_it() -> None:
    for version in ("4.0.0", "4.1.1-amzn-0", "4.2.0", "10.0.0"):
        check_version(version)


@pytest.mark.parametrize(
    "error",
    [ValueError("a wrong turn"), KeyError("full"), OSError("without a number")],
)
def test_a_defect_is_not_explained_away(error: Exception) -> None:
    assert explained(error) is None


def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *program.split(" ", 1), *arguments], capture_output=True, cwd=ROOT,
        check=False, env=os.environ | environment,
    )  # fmt: skip


BREAKS = """-c
from mira_spark import __main__
from mira_spark.cli import main
@main.app.command("break")
def break_command() -> None:
    raise ValueError("a wrong\\nturn [/x]")
__main__.main(["break"])"""


def test_a_defect_is_one_line_that_names_the_file_with_its_traceback(tmp_path: Path) -> None:
    ended = run(BREAKS.replace("-c\n", "-c ", 1), TMPDIR=str(tmp_path))
    assert (ended.returncode, ended.stderr) == (1, b"")
    said = re.fullmatch(
        r"a defect: ValueError: a wrong turn \[/x\]; the traceback is in (.*), please report it\n",
        ended.stdout.decode(),
    )
    assert said is not None
    text = Path(said[1]).read_text(encoding="utf-8")
    assert text.startswith("Traceback (most recent call last):")
    assert text.endswith("ValueError: a wrong\nturn [/x]\n")
    assert Path(said[1]).stat().st_mode & 0o077 == 0


def test_a_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "below"):
        settings = ("--set", f"folder={folder}", "--set", "corpus.input=python_environment")
        ended = run("-m mira_spark", "ingest-corpus", *settings)
        assert (ended.returncode, ended.stderr) == (2, b"")
        assert ended.stdout.decode() == (
            f"ConfigError: {folder}/lake.json: Not a directory; mend that, or name another place "
            "in the settings\n"
        )
