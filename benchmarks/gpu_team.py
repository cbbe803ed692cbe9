"""Contenders' processes that may fail, end or hang: then the others go on."""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable
from typing import Any

from benchmarks.child import Child
from benchmarks.measure import Crew, Trial

__all__ = ["Failed", "Team"]


class Failed(Exception):
    """What a contender could not do, in a line."""


class Team(Crew):
    """A crew whose questions have a time limit, one question at a time to each process.

    With two on their way the second answer could be read along with the first, and would then be waited for in vain.
    """

    def ask(self, trial: Trial, seconds: float, watch: Callable[[], object] | None = None, **request: Any) -> Any:
        """The answer of a contender's process. `watch`: called again and again until it comes.

        Errors: Failed with the reason; a process that ended, or did not answer in time, is given up.
        """
        self.send(trial, **request)
        return self.answer(trial, seconds, watch)

    def send(self, trial: Trial, **request: Any) -> None:
        """Asks without waiting. Errors: Failed."""
        try:
            self.of(trial).send(form=trial.form, **request)
        except OSError as error:
            self.lose(trial)
            raise Failed(f"its process has ended ({type(error).__name__})") from None

    def answer(self, trial: Trial, seconds: float, watch: Callable[[], object] | None = None) -> dict[str, Any]:
        """Waits for the answer to `send`. Errors: Failed."""
        child = self.of(trial)
        if not ready(child, seconds, watch):
            child.process.kill()
            self.lose(trial)
            raise Failed(f"gave no answer within {seconds:.0f} seconds")
        try:
            found = child.receive()
        except RuntimeError:
            self.lose(trial)
            raise Failed(f"its process ended with status {child.process.returncode}") from None
        if "error" in found:
            # After some errors of a device the process can do nothing more; its memory is given back with it.
            self.lose(trial)
            raise Failed(found["error"].strip().splitlines()[0])
        return found

    def drop(self) -> None:
        """Has all of them forget the job; whoever does not answer is given up."""
        for name, threads in list(self.children):
            with contextlib.suppress(Failed):
                self.ask(Trial(name, threads, ""), 10.0, do="drop")

    def lose(self, trial: Trial) -> None:
        """Ends the process; the next question starts another."""
        child = self.children.pop((trial.name, trial.threads), None)
        if child is not None:
            with contextlib.suppress(OSError):
                child.close()


def ready(child: Child, seconds: float, watch: Callable[[], object] | None) -> bool:
    """Whether there is an answer to be read, or the end, within that time."""
    assert child.process.stdout is not None
    until = time.monotonic() + seconds
    while True:
        left = max(0.0, until - time.monotonic())
        if select.select([child.process.stdout], [], [], min(left, 0.005) if watch else left)[0]:
            return True
        if watch:
            watch()
        if left == 0:
            return False
