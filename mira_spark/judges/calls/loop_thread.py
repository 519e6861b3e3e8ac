"""The thread that a desk's event loop runs in."""

import asyncio
import threading


class LoopThread:
    """An event loop that runs in a thread of its own until it is ended."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="desk", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop the loop and close it; returns when the thread has ended."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self._runner.close()
