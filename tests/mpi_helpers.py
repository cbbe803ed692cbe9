"""Programs on several ranks, started by mpiexec as a user starts them."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mpi import launcher

__all__ = ["finished", "launched", "needs_mpiexec", "opened", "started"]

TESTS = Path(__file__).parent
LAUNCHER = launcher()
SCRATCH = tempfile.TemporaryDirectory(prefix="ranks-")  # MPICH leaves files of jobs that were killed
atexit.register(SCRATCH.cleanup)
needs_mpiexec = pytest.mark.skipif(LAUNCHER is None, reason="no mpiexec on this machine: pip install mpich")


def launched(ranks: int, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """`mpiexec -n RANKS python -m mpi4py tests/PROGRAM WORDS`, to its end."""
    return finished(started(ranks, program, *words))


def started(ranks: int, program: str, *words: str) -> subprocess.Popen[str]:
    """The same, while it runs."""
    return opened(ranks, "-m", "mpi4py", TESTS / program, *words)


def opened(ranks: int, *command: Any) -> subprocess.Popen[str]:
    """`mpiexec -n RANKS python COMMAND`, in a session of its own; of 0 ranks without mpiexec."""
    start = [LAUNCHER, "-n", ranks] if ranks else []
    paths = [str(TESTS.parent), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "TMPDIR": SCRATCH.name}
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    words = [str(word) for word in (*start, sys.executable, *command)]
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(words, text=True, env=environment, start_new_session=True, **streams)


def finished(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """How it ended, and what it printed."""
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.terminate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
