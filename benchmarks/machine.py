"""What the measurements were made on, and the environment in which a library chooses its code for the processor.

`python -m benchmarks.machine` prints which BLAS NumPy uses, and which of its kernels, as JSON.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["FORCING", "describe", "has_avx512", "in_words", "load_average", "restart_unforced", "unforced"]

ROOT = Path(__file__).resolve().parents[1]
FORCING = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "OPENBLAS_BLOCK_FACTOR",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_DEBUG_CPU_TYPE",
    "BLIS_ARCH_TYPE",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "ATEN_CPU_CAPABILITY",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_MAX_CPU_ISA",
)
"""Variables that hold a library to the code for some processor, whichever it runs on."""

LIBRARIES = {"openblas": "OpenBLAS", "mkl": "MKL", "blis": "BLIS", "flexiblas": "FlexiBLAS"}


def unforced(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the variables of `FORCING`."""
    return {name: value for name, value in environment.items() if name not in FORCING}


def restart_unforced() -> None:
    """Starts this program anew without the variables of `FORCING` if one is set; a library that is loaded has read it.

    To be called by a program as it begins, before it has done anything.
    """
    if found := [name for name in FORCING if name in os.environ]:
        print(f"started again without {', '.join(found)}", file=sys.stderr, flush=True)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], unforced(os.environ))


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


def blas() -> dict[str, str]:
    """Name, version and kernels of this process's BLAS; the kernels are "" where nothing tells."""
    import numpy as np

    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        loaded = []
    else:
        loaded = [library for library in threadpool_info() if library["user_api"] == "blas"]
    if loaded:
        one: dict[str, Any] = loaded[0]
        name = LIBRARIES.get(one["internal_api"], str(one["internal_api"]))
    else:
        built: Any = np.show_config(mode="dicts")
        one = built["Build Dependencies"]["blas"]
        name = str(one["name"])
    version, kernels = (str(one.get(key) or "") for key in ("version", "architecture"))
    return {"name": name, "version": ".".join(version.split(".")[:3]), "kernels": kernels}


def blas_of_a_process() -> dict[str, str]:
    """`blas` in a new process, whose environment forces nothing, as those that are measured."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.machine"],
        cwd=ROOT,
        env=unforced(os.environ),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout)


def load_average() -> float | None:
    """How many processes wanted to run during the last minute; None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def describe() -> dict[str, Any]:
    """Processor, whether it has AVX-512, cores this process may use, system, Python, NumPy's BLAS."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} {platform.machine()}"
    python = platform.python_version()
    return {
        "cpu": cpu_model(),
        "avx512": has_avx512(),
        "cores": cores,
        "system": system,
        "python": python,
        "blas": blas_of_a_process(),
    }


def in_words(about: Mapping[str, Any]) -> str:
    """What `describe` found; results of old say nothing of the BLAS."""
    words = f"{about['cpu']}, {about['cores']} cores, {about['system']}, Python {about['python']}"
    if found := about.get("blas"):
        words += f", NumPy's BLAS: {' '.join(filter(None, (found['name'], found['version'])))}"
        words += f", {found['kernels']} kernels" if found["kernels"] else ""
    return words


if __name__ == "__main__":
    print(json.dumps(blas()))
