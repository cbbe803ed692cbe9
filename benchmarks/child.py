"""The parent's end of a contender's process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.contenders import CATALOGUE, thread_environment

__all__ = ["Child"]

ROOT = Path(__file__).resolve().parents[1]


class Child:
    """A contender in a process of its own, asked one thing at a time; between the questions it waits on its input.

    `threads`: None leaves their number to the library.
    Errors: RuntimeError when the process ends early; its traceback is then on standard error.
    """

    def __init__(self, name: str, threads: int | None) -> None:
        self.name, self.threads = name, threads
        environment = {**os.environ, **thread_environment(threads)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", CATALOGUE[name].module],
            cwd=ROOT,
            env={key: value for key, value in environment.items() if value is not None},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends a request, waits, and returns the answer."""
        self.send(**request)
        return self.receive()

    def send(self, **request: Any) -> None:
        """Asks without waiting; `receive` must follow."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """Waits for the answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError(f"the contender {self.name!r} ended with status {self.process.returncode}")
        return json.loads(line)

    def close(self) -> None:
        """Ends the process and waits for its end."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
