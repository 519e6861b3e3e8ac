"""Ctrl-C and termination: one line, exit code 75, no process left, in seconds, wherever it is."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from mira_spark.process.interruption import _LINE, SIGNALS
from tests import judge_driver
from tests.judge_stub import JudgeStub

ROOT = Path(__file__).parents[2]
LONGEST_S = 3.0
PROGRAM = """
import concurrent.futures, contextlib, ctypes, hashlib, os, subprocess, sys, threading, time
from pathlib import Path
from mira_spark.process import interruption

def ready():
    os.write(1, b"ready\\n")

with interruption.bounded():
"""
NEVER = "threading.Event().wait()"
PLACES = {
    "plain code": "ready()\nwhile True: pass",
    "a wait": f"ready()\n{NEVER}",
    "an import": "ready()\nimport mira_spark.cli.main\nprint('imported')",
    "native code": "ready()\nhashlib.pbkdf2_hmac('sha256', b'a', b'b', 10**9)",
    "a pool's work": (
        "with concurrent.futures.ThreadPoolExecutor() as pool:\n"
        f"    pool.submit(lambda: {NEVER})\n    ready()"
    ),
    "a thread that is waited for": (
        f"thread = threading.Thread(target=lambda: {NEVER})\nthread.start()\nready()\nthread.join()"
    ),
    "closing that never ends": f"try:\n    ready()\n    {NEVER}\nfinally:\n    {NEVER}",
    "closing that fails": f"try:\n    ready()\n    {NEVER}\nfinally:\n    1 / 0",
    "closing that speaks": f"try:\n    ready()\n    {NEVER}\nfinally:\n    print('more')",
    "code that does not let it through": (
        f"ready()\nwhile True:\n    with contextlib.suppress(BaseException):\n        {NEVER}"
    ),
    "an error of another kind": (
        f"try:\n    ready()\n    {NEVER}\nexcept KeyboardInterrupt:\n    raise ValueError"
    ),
    "children that do not listen": (
        "subprocess.run(['sh', '-c', "
        "\"trap '' INT TERM; setsid sh -c 'echo ready; sleep 600; :'; :\"])"
    ),
}


def hearing() -> None:
    """What a test's background shell may have it ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Program:
    """A program in a process group of its own, as a shell starts it; `ready` is its first line."""

    def __init__(self, command: Sequence[str], output: int = subprocess.PIPE, **options: Any):
        self.process = subprocess.Popen(
            command, stdout=output, cwd=ROOT, start_new_session=True, preexec_fn=hearing,
            **{"stderr": subprocess.STDOUT, **options},
        )  # fmt: skip

    def until(self, line: str) -> str:
        """What it writes until it writes a line with this in it."""
        assert self.process.stdout is not None
        written = ""
        while line not in written:
            new = self.process.stdout.readline().decode()
            assert new, written
            written += new
        return written

    def interrupt(self, *signals: int) -> tuple[int, str]:
        """Exit code and what it wrote after the signals; it and all it began must end in time."""
        family = descendants(self.process.pid)
        for number in signals or (signal.SIGINT,):
            os.killpg(self.process.pid, number)
        try:
            written = self.process.communicate(timeout=LONGEST_S)[0]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            left = [child for child in family if is_alive(child)]
            for child in left:
                os.kill(child, signal.SIGKILL)
        assert left == []
        return self.process.returncode, written.decode()


def descendants(process: int) -> list[int]:
    found = [process]
    for parent in found:  # it grows
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, task.read_text().split())
    return found[1:]


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def program(body: str) -> list[str]:
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    return [sys.executable, "-c", PROGRAM + indented]


@pytest.mark.parametrize("place", PLACES)
def test_a_signal_ends_it_anywhere_with_one_line_and_no_child_left(place: str) -> None:
    for number in SIGNALS:
        running = Program(program(PLACES[place]))
        running.until("ready")
        assert running.interrupt(number) == (75, f"{_LINE}\n")


def test_the_line_goes_where_other_programs_do_not_read_an_answer() -> None:
    command = program(PLACES["a wait"])
    command[-1] = command[-1].replace("bounded()", "bounded(said_to=2)")
    running = Program(command, stderr=subprocess.PIPE)
    running.until("ready")
    running.process.send_signal(signal.SIGINT)
    assert running.process.communicate(timeout=LONGEST_S) == (b"", f"{_LINE}\n".encode())


def test_a_second_signal_ends_it_at_once() -> None:
    running = Program(program(PLACES["closing that never ends"]))
    running.until("ready")
    assert running.interrupt(signal.SIGINT, signal.SIGINT, signal.SIGTERM) == (75, f"{_LINE}\n")


def test_what_can_be_closed_in_time_is_closed(tmp_path: Path) -> None:
    closing = (
        f"try:\n    ready()\n    {NEVER}\nfinally:\n    Path(sys.argv[1]).write_text('closed')"
    )
    running = Program([*program(closing), str(tmp_path / "file")])
    running.until("ready")
    assert running.interrupt() == (75, f"{_LINE}\n")
    assert (tmp_path / "file").read_text() == "closed"


def test_without_a_signal_nothing_is_changed() -> None:
    body = "print('done')"
    after = f"{program(body)[-1]}\nimport signal\nprint(signal.getsignal(signal.SIGINT).__name__)"
    ended = subprocess.run([sys.executable, "-c", after], capture_output=True, text=True, cwd=ROOT,
                           check=True, preexec_fn=hearing)  # fmt: skip
    assert (ended.stdout, ended.stderr) == ("done\ndefault_int_handler\n", "")


def test_a_shell_s_background_job_goes_on_when_the_terminal_is_interrupted() -> None:
    body = "ready()\nsys.stdin.readline()\nprint('done')"
    process = subprocess.Popen(
        program(body), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(b"\n", timeout=60)[0] == b"done\n"
    assert process.returncode == 0


def test_a_terminal_gets_its_cursor_back_and_no_half_of_a_bar() -> None:
    ours, theirs = pty.openpty()
    body = (
        "from mira_spark.process.progress import console, track\n"
        f"for i in track(range(9), 9, 'reading'):\n    console.print('ready')\n    {NEVER}"
    )
    running = Program(program(body), output=theirs, env=os.environ | {"TERM": "xterm"})
    os.close(theirs)
    written = b""
    while b"ready" not in written:
        written += os.read(ours, 4_096)
    assert running.process.stdout is None
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.process.wait(LONGEST_S) == 75
    with contextlib.suppress(OSError):  # the other end is closed
        while more := os.read(ours, 4_096):
            written += more
    os.close(ours)
    assert written.decode().endswith(f"\r\x1b[2K\x1b[?25h{_LINE}\r\n")


def test_calls_in_flight_are_not_waited_for_and_answers_that_came_are_kept(tmp_path: Path) -> None:
    """The calls in flight count as paid, and are all that is asked again."""
    body = (
        "from tests import judge_driver\n"
        "judge_driver.run(Path(sys.argv[1]), sys.argv[2], 64, lambda event: None)"
    )
    with JudgeStub(latency_s=0.05) as stub:
        running = Program([*program(body), str(tmp_path), stub.url])
        assert stub.wait_for_calls(20)
        stub.latency_s = 60.0
        first = len(stub.calls)
        assert stub.wait_for_calls(first + 1)
        assert running.interrupt() == (75, f"{_LINE}\n")
        stub.latency_s = 0.0
        judge_driver.run(tmp_path, stub.url, 64, lambda event: None)
    rows = DeltaTable(str(tmp_path / "judge_calls")).to_pyarrow_table().to_pylist()
    answered = [row["call_key"] for row in rows if row["outcome"] == "answered"]
    lost = {row["call_key"] for row in rows if row["outcome"] == "failed"}
    assert len(answered) == len(set(answered)) == 64
    asked = [call.key for call in stub.calls]
    assert {key for key in asked if asked.count(key) > 1} == lost
    assert 0 < len(lost) <= judge_driver.IN_FLIGHT
