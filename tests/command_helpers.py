"""The command line as a process of its own, of this checkout wherever it is started, for the tests of its commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import tinynn

__all__ = ["COMMAND", "ENVIRONMENT"]

COMMAND = [sys.executable, "-m", "tinynn"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(tinynn.__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}
