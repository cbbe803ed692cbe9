"""How many processors there are for this process."""

from __future__ import annotations

import os

__all__ = ["processors"]


def processors() -> int:
    """Those that it may run on, where the system says so; else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
