"""What tinynn costs apart from its steps: the time of its import, and the memory of a training run.

`python -m benchmarks.footprint train` is the process whose memory is measured; `numpy` imports NumPy alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.contenders import thread_environment
from benchmarks.report import summary

__all__ = ["IMPORT_LIMIT", "MEMORY_LIMIT", "footprint", "import_times", "peak_memory", "train"]

ROOT = Path(__file__).resolve().parents[1]
IMPORT_LIMIT = 20.0
"""Milliseconds that `import tinynn` may take above `import numpy`."""
MEMORY_LIMIT = 160.0
"""Megabytes (10^6 bytes) that a training run on MNIST may hold at its peak."""


def process(*arguments: str) -> str:
    """Runs Python without a word about threads or processors in its environment; what it prints."""
    # Compiled modules are kept, as they are where tinynn is installed; without that each import compiles it anew.
    environment = {**os.environ, **thread_environment(None), "PYTHONDONTWRITEBYTECODE": None}
    set_ones = {key: value for key, value in environment.items() if value is not None}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=set_ones, check=True, stdout=subprocess.PIPE, text=True).stdout


def import_times(pairs: int) -> dict[str, Any]:
    """Milliseconds of a process that imports NumPy, of one that imports tinynn, and the differences within the pairs.

    The two take turns, in changing order. A pair before the first warms up the disk and the compiled modules.
    """
    found: dict[str, list[float]] = {"numpy": [], "tinynn": []}
    for number in range(pairs + 1):
        for name in list(found) if number % 2 else reversed(found):
            started = time.perf_counter()
            process("-c", f"import {name}")
            if number:
                found[name].append((time.perf_counter() - started) * 1e3)
    extra = [a - b for a, b in zip(found["tinynn"], found["numpy"], strict=True)]
    return {name: summary(times) for name, times in found.items()} | {"pairs": pairs, "extra": median(extra)}


def peak_memory(what: str) -> float:
    """Megabytes resident at the peak of `python -m benchmarks.footprint` with `what`: "train" or "numpy"."""
    return float(process("-m", "benchmarks.footprint", what))


def footprint(pairs: int) -> dict[str, Any]:
    """What the JSON file holds of it, with the verdicts."""
    times, train, numpy = import_times(pairs), peak_memory("train"), peak_memory("numpy")
    return {
        "import": {**times, "limit": IMPORT_LIMIT, "met": times["extra"] <= IMPORT_LIMIT},
        "memory": {"train": train, "numpy": numpy, "limit": MEMORY_LIMIT, "met": train <= MEMORY_LIMIT},
    }


def train() -> None:
    """One epoch of Nielsen's network over all of MNIST, whose images stay uint8."""
    from tinynn import SGD, Affine, QuadraticCost, Rescale, Sequential, Sigmoid, datasets, fit

    images, labels = datasets.mnist().train
    layers = Rescale(1 / 255), Affine(30), Sigmoid(), Affine(10), Sigmoid(), QuadraticCost()
    net = Sequential(*layers).build((784,), dtype="float32")
    fit(net, SGD(3.0), (images.reshape(-1, 784), labels), epochs=1, batch_size=10, progress=False)


def own_peak() -> float:
    """Megabytes resident at this process's peak so far."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:  # not Linux
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


if __name__ == "__main__":
    if sys.argv[1] == "train":
        train()
    print(own_peak())
