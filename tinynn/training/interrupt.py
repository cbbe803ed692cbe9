"""Ctrl-C that waits for the end of a step."""

from __future__ import annotations

import threading
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Interruptible"]


class Interruptible:
    """Within `with Interruptible() as run:` the first Ctrl-C only sets `run.asked`, so that no update is torn in two.

    A second Ctrl-C raises KeyboardInterrupt as usual. Outside the main thread, where Python allows no signal handlers,
    nothing is changed.
    """

    asked = False

    def __enter__(self) -> Self:
        self._before: Any = None
        if threading.current_thread() is threading.main_thread():
            import signal  # not at the top: it adds half a millisecond to the import of tinynn

            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            import signal

            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
