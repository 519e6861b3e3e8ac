"""What a job that failed says is one line of ours, where it was no defect."""

import pytest

from mira_spark.errors import ArtefactError, MiraError, OutageError, StudentError
from mira_spark.scoring.job_failures import as_our_error

TRACE = """Job aborted due to stage failure: Task 0 in stage 3.0 failed 4 times, most recent:
org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "/work/worker.py", line 1, in main
    process()
{line}

\tat org.apache.spark.api.python.BasePythonRunner.handlePythonException(PythonRunner.scala:581)
"""


@pytest.mark.parametrize(
    ("line", "kind", "message", "code"),
    [
        (
            "mira_spark.errors.OutageError: the server is down",
            OutageError,
            "the server is down",
            75,
        ),
        (
            "mira_spark.errors.StudentError: gave 1, expected 2",
            StudentError,
            "gave 1, expected 2",
            1,
        ),
        ("mira_spark.errors.ArtefactError: /a: is missing", ArtefactError, "/a: is missing", 2),
        (
            "java.io.IOException: No space left on device",
            OutageError,
            "java.io.IOException: No space left on device",
            75,
        ),
        (
            "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)",
            OutageError,
            "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)",
            75,
        ),
    ],
)
def test_an_outage_or_an_error_of_ours_is_told_in_a_line(
    line: str, kind: type[MiraError], message: str, code: int
) -> None:
    found = as_our_error(RuntimeError(TRACE.format(line=line)))
    assert type(found) is kind
    assert (str(found), found.exit_code) == (message, code)


@pytest.mark.parametrize("line", ["KeyError: 'text'", "mira_spark.errors.Nothing: of ours"])
def test_a_defect_stays_one(line: str) -> None:
    assert as_our_error(RuntimeError(TRACE.format(line=line))) is None
