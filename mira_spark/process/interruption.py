"""Ctrl-C or a termination ends a command within seconds, wherever it is and whatever it waits for.

The first signal raises KeyboardInterrupt in the main thread, so that what is open is closed in the
usual way: calls in flight are waited for, the lease is released, the run's row is written. A thread
bounds the time of that. What is not closed by then is left as by a crash, which loses nothing:
answers are in the journal, a call in flight counts as paid, a lease runs out. A second signal ends
the command at once.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_EXIT_CODE = 75
CLOSING_S = 1.5
CHILDREN_S = 0.8
PR_SET_CHILD_SUBREAPER = 36
_LINE = (
    "interrupted: the answers that came, the units and the steps that were committed are kept; "
    "the same command goes on from here"
)
_ERASE_LINE_AND_SHOW_CURSOR = "\r\x1b[2K\x1b[?25h"
_cancellers: list[Callable[[], object]] = []


@contextlib.contextmanager
def bounded(said_to: int = 1) -> Iterator[None]:
    """Let a signal end the process within about CLOSING_S + CHILDREN_S: its children ended, LINE
    the only thing written after the signal (to this descriptor), exit code 75. Without effect
    outside the main thread, which alone gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = _Ending(said_to)
    threading.Thread(target=ending.watch, name="interruption", daemon=True).start()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    wakeup = signal.set_wakeup_fd(ending.signals_in, warn_on_full_buffer=False)
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # a shell lets its background jobs ignore Ctrl-C
            signal.signal(number, ending.interrupt)
    try:
        yield
    finally:
        if ending.is_interrupted:
            ending.end()
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        ending.close()


@contextlib.contextmanager
def opening_spark() -> Iterator[None]:
    """A block in which Spark replaces the handler of Ctrl-C by one that asks Spark to cancel its
    jobs over the connection that was interrupted, and waits: ours is put back."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def cancel_with(action: Callable[[], object]) -> None:
    """Call `action` at an interruption, in a thread of its own: it frees what closing waits for."""
    _cancellers.append(action)


@contextlib.contextmanager
def ended_after(minutes: float | None) -> Iterator[None]:
    """A block in which the process is terminated, as a scheduler would, after so many minutes;
    None: never."""
    timer = threading.Timer(60 * (minutes or 0), os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    if minutes is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Ending:
    """How this process ends: shared by the signals' handler and the thread that bounds the time."""

    def __init__(self, said_to: int) -> None:
        self._signals_out, self.signals_in = os.pipe()
        os.set_blocking(self.signals_in, False)
        self._output = os.dup(said_to)
        self._once = threading.Lock()
        self.is_interrupted = False

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """The handler of a signal: the first is raised, once."""
        self._silence()
        if not self.is_interrupted:
            self.is_interrupted = True
            _adopt_orphans()
            raise KeyboardInterrupt

    def watch(self) -> None:
        """A thread, since the main one may wait in code that does not look for signals."""
        if self._signal_within(None):
            self._silence()
            for action in _cancellers:
                threading.Thread(target=action, daemon=True).start()
            self._signal_within(CLOSING_S)
            self.end()

    def end(self) -> None:
        """End the children and the process."""
        with self._once:
            self._silence()
            _adopt_orphans()
            _end_children()
            is_terminal = os.isatty(self._output)
            line = f"{_ERASE_LINE_AND_SHOW_CURSOR if is_terminal else ''}{_LINE}\n"
            with contextlib.suppress(OSError):  # nobody reads it any more
                os.write(self._output, line.encode())
            os._exit(_EXIT_CODE)

    def close(self) -> None:
        """Let the thread end."""
        os.close(self.signals_in)
        os.close(self._output)

    def _signal_within(self, seconds: float | None) -> bool:
        """Wait for a signal of ours; False when the time is over or there can be none any more."""
        last = time.monotonic() + (seconds or 0)
        while True:
            left = None if seconds is None else max(0.0, last - time.monotonic())
            if not select.select([self._signals_out], [], [], left)[0]:
                return False
            number = os.read(self._signals_out, 1)
            if not number:
                os.close(self._signals_out)
                return False
            if number[0] in SIGNALS:
                return True

    @staticmethod
    def _silence() -> None:
        """What fails because of the interruption says nothing."""
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        os.close(nothing)


def _adopt_orphans() -> None:
    """From now on what a child began is a child of this process when that child ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_children() -> None:
    """Ask all processes below this one to end, since Java removes its temporary files then; kill
    them after CHILDREN_S."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        last = time.monotonic() + CHILDREN_S
        while (children := _descendants(os.getpid())) and time.monotonic() < last:
            for child in children:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(child, number)
            time.sleep(0.02)


def _descendants(process: int) -> list[int]:
    """The processes begun by it and by those that have not ended, from /proc. Where there is none
    the Java process ends with our end of its pipe, and its workers with it."""
    children: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            state, parent = file.read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(file.parent.name))
    processes = list(children.get(process, []))
    for child in processes:  # it grows
        processes += children.get(child, [])
    return processes
