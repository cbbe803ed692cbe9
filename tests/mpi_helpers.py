"""Programs on several ranks, started by mpiexec as a user starts them."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

__all__ = ["LAUNCHER", "launched", "needs_mpiexec", "started"]

TESTS = Path(__file__).parent
LAUNCHER = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
SCRATCH = tempfile.TemporaryDirectory(prefix="ranks-")  # MPICH leaves files of jobs that were killed
atexit.register(SCRATCH.cleanup)
needs_mpiexec = pytest.mark.skipif(LAUNCHER is None, reason="no mpiexec on this machine: pip install mpich")


def started(ranks: int, program: str, *words: str, **options: Any) -> subprocess.Popen[str]:
    """`mpiexec -n RANKS python -m mpi4py tests/PROGRAM WORDS`, in a session of its own."""
    assert LAUNCHER is not None
    paths = [str(TESTS.parent), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "TMPDIR": SCRATCH.name}
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    command = [LAUNCHER, "-n", str(ranks), sys.executable, "-m", "mpi4py", str(TESTS / program), *words]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, env=environment, start_new_session=True, **streams, **options)


def launched(ranks: int, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The same, to its end."""
    process = started(ranks, program, *words)
    try:
        out, err = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.terminate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
