"""What the last bits of a run depend on, besides the run itself: versions, processor, BLAS and its threads."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

import numpy as np

from tinynn.network import Network
from tinynn.processors import processors
from tinynn.version import __version__

__all__ = ["different", "surroundings"]

THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""Variables that say how many threads a BLAS may take."""


def surroundings(net: Network) -> dict[str, str]:
    """By name: two runs that agree in all of it have the same bits."""
    config: Any = np.show_config(mode="dicts")
    blas, simd = config["Build Dependencies"]["blas"], config.get("SIMD Extensions", {})
    found = {
        "tinynn": __version__,
        "NumPy": np.__version__,
        "BLAS": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "BLAS threads": str(threads()),
        "BLAS kernels": os.environ.get("OPENBLAS_CORETYPE", "its own choice"),
        "processor": f"{platform.machine()} {' '.join([*simd.get('baseline', ()), *simd.get('found', ())])}",
        "system": platform.system(),
        "backend": net.ops.name,
        "precision": net.ops.precision,
    }
    if net.ops.name == "llvm":
        found["llvmlite"] = metadata.version("llvmlite")
    if net.ops.name == "cupy":
        found["CuPy"], found["GPU"] = net.xp.__version__, net.xp.cuda.runtime.getDeviceProperties(0)["name"].decode()
    return found


def threads() -> int:
    """How many threads the BLAS takes: as it says itself, where threadpoolctl is installed, or as it is told to."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        told = next((os.environ[name] for name in THREADS if os.environ.get(name, "").isdigit()), "")
        may = processors()
        return int(told) if told else may
    return max((one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"), default=1)


def different(before: dict[str, Any], now: dict[str, str]) -> list[str]:
    """What is not as it was, in words."""
    names = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    return [f"{name}: {before.get(name, 'none')} before, {now.get(name, 'none')} now" for name in names]
