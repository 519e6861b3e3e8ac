"""Stages of work in threads of their own, and a watch over calls that may hang."""

import faulthandler
import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_POLL_S = 0.1
STDERR = 2
_T = TypeVar("_T")


def run_ahead(items: Iterable[_T], most: int) -> Iterator[_T]:
    """The items, made by a thread of its own that is at most `most` ahead; its errors are raised
    here. When nobody asks any more the thread ends with the item it is at."""
    results: queue.Queue[tuple[_T | None, BaseException | None, bool]] = queue.Queue(most)
    left = threading.Event()

    def put(item: _T | None, error: BaseException | None = None, last: bool = False) -> bool:
        while not left.is_set():
            try:
                results.put((item, error, last), timeout=_POLL_S)
                return True
            except queue.Full:
                pass
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(None, last=True)
        except BaseException as error:
            put(None, error, last=True)

    threading.Thread(target=work, daemon=True).start()
    try:
        while True:
            item, error, last = results.get()
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]  # only the last is None
    finally:
        left.set()


class Watch:
    """Ends the process when a watched call lasts too long, even one that never lets go of the GIL.

    Calls in several threads may overlap; the clock starts anew whenever one begins or ends.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._calls = 0

    @contextmanager
    def busy(self) -> Iterator[None]:
        """The block is a watched call."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        if self._seconds is None:
            return
        with self._lock:
            self._calls += change
            if self._calls:
                # The descriptor: what stands for sys.stderr in a worker or notebook may have none.
                faulthandler.dump_traceback_later(self._seconds, exit=True, file=STDERR)
            else:
                faulthandler.cancel_dump_traceback_later()
