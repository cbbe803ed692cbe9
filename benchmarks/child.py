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

__all__ = ["Child", "Process"]

ROOT = Path(__file__).resolve().parents[1]


class Process:
    """A contender in a process of its own, asked one thing at a time; between the questions it waits on its input.

    `arguments`: a module of this package to run, and what it is told. `environment`: variables on top of this one's.
    Errors: RuntimeError when the process ends early; its traceback is then on standard error.
    """

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str]) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.versions: dict[str, str] = self._read()["versions"]

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends a request, waits, and returns the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._read()

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

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError(f"the contender {self.name!r} ended with status {self.process.returncode}")
        return json.loads(line)


class Child(Process):
    """A contender of the catalogue. `folder`: see `worker`. `threads`: None leaves their number to the library."""

    def __init__(
        self, name: str, folder: Path, *, threads: int | None, form: str = "", rows: int | None = None
    ) -> None:
        arguments = ["benchmarks.worker", name, str(folder), "--form", form]
        if rows is not None:
            arguments += ["--rows", str(rows)]
        limits = {} if threads is None else thread_environment(threads)
        super().__init__(name, arguments, {**limits, **CATALOGUE[name].environment})
