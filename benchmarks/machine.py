"""What the measurements were made on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

__all__ = ["describe", "has_avx512", "load_average"]


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()


def has_avx512() -> bool:
    """Whether the processor has AVX-512, as far as the system says."""
    try:
        return " avx512f " in Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return False


def load_average() -> float | None:
    """How many processes wanted to run during the last minute; None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def describe() -> dict[str, Any]:
    """Processor, whether it has AVX-512, cores this process may use, system, Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.machine()}"
    python = platform.python_version()
    return {"cpu": cpu_model(), "avx512": has_avx512(), "cores": cores, "system": system, "python": python}
