"""Ctrl-C and SIGTERM that wait for the end of a step."""

from __future__ import annotations

import threading
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Interruptible"]


class Interruptible:
    """Within `with Interruptible() as run:` the first Ctrl-C only makes `run.asked` true: no update is torn in two.

    A second Ctrl-C raises KeyboardInterrupt as usual. `terminable`: so does SIGTERM, which schedulers of clusters send
    some time before they kill; after the block it takes the course that it would have taken. Outside the main thread,
    where Python allows no signal handlers, nothing is changed. `heard`: whether this process was asked; where several
    train together `agreed` says whether one of them was, as all know at the same step.
    """

    heard = False
    agreed: bool | None = None

    @property
    def asked(self) -> bool:
        """Whether the run is to end."""
        return self.heard if self.agreed is None else self.agreed

    def __init__(self, terminable: bool = False) -> None:
        self.terminable = terminable
        self.ended_by: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            import signal  # not at the top: it adds half a millisecond to the import of tinynn

            for number in (signal.SIGINT, signal.SIGTERM) if self.terminable else (signal.SIGINT,):
                before = signal.getsignal(number)
                if before is not None:  # a handler that is not Python's cannot be put back
                    self.before[number] = before
                    signal.signal(number, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.before:
            import signal

            for number, handler in self.before.items():
                signal.signal(number, handler)
            if self.ended_by is not None:
                signal.raise_signal(self.ended_by)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        import signal

        if number == signal.SIGTERM:
            self.ended_by = number
        elif self.heard:
            raise KeyboardInterrupt
        self.heard = True
