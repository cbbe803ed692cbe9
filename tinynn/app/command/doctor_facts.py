"""What this machine has, looked up: interpreter, NumPy's BLAS, driver, GPUs, CuPy and the toolkit's libraries.

Everything here is found and nothing judged; `doctor.diagnose` judges.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinynn.app.command import cuda_driver, doctor_trial
from tinynn.app.command.cuda_driver import Driver
from tinynn.processors import processors

__all__ = ["LIBRARIES", "Facts", "blas", "gather", "has_nvidia_card", "library_files", "trial", "wheels"]

LIBRARIES = {"NVRTC": ("libnvrtc.so.{}", "nvrtc64_{}0_0.dll"), "cuBLASLt": ("libcublasLt.so.{}", "cublasLt64_{}.dll")}
"""By name, the file on Linux and on Windows, with the place of CUDA's major version."""

WHEEL = re.compile(r"cupy($|-(cuda|rocm))")
NVIDIA, DISPLAY = "0x10de", "0x03"  # the vendor, and how the class of a display controller begins
ON_DISK = ("lib64", "lib", "bin", "bin/x64", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib")
TRIAL_SECONDS = 180


@dataclass(frozen=True)
class Facts:
    """What was found.

    `driver`: None where there is none; `driver_version`: its own, "" where nothing tells. `card`: whether a card of
    NVIDIA's was seen on the bus. `wheels`: CuPy's distributions and their versions. `libraries`: by (name, CUDA's major
    version) the place where one was found. `tried`: the stages of `doctor_trial`, empty where there was nothing to try.
    """

    python: str
    numpy: str
    processors: int
    llvmlite: str = ""
    driver: Driver | None = None
    driver_version: str = ""
    card: bool = False
    wheels: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[tuple[str, int], str] = field(default_factory=dict)
    tried: Mapping[str, str] = field(default_factory=dict)


def gather() -> Facts:
    """The facts of this machine; takes some seconds where there is a GPU to be tried."""
    import numpy as np

    driver, found = cuda_driver.ask(cuda_driver.library()), wheels(importlib.metadata.distributions())
    return Facts(
        python=f"{platform.python_version()}, {platform.system()} {platform.machine()}",
        numpy=f"{np.__version__}, {blas()}",
        processors=processors(),
        llvmlite=version("llvmlite"),
        driver=driver,
        driver_version=driver_version(),
        card=has_nvidia_card(Path("/sys/bus/pci/devices")),
        wheels=found,
        libraries={
            (name, major): place
            for name in LIBRARIES
            for major in (12, 13)
            if (place := where(*(pattern.format(major) for pattern in LIBRARIES[name])))
        },
        tried=trial([sys.executable, "-m", doctor_trial.__name__]) if driver and driver.gpus and found else {},
    )


def version(package: str) -> str:
    """Of an installed distribution; "" where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def wheels(distributions: Iterable[Any]) -> dict[str, str]:
    """Every distribution of CuPy among these, by name, and its version."""
    named = ((str(one.metadata["Name"]).lower(), one.version) for one in distributions)
    return dict(sorted((name, number) for name, number in named if WHEEL.match(name)))


def blas() -> str:
    """NumPy's BLAS: with its kernels and threads where threadpoolctl is installed to tell them."""
    import numpy as np

    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        pass
    else:
        for one in threadpool_info():
            if one["user_api"] == "blas":
                number, kernels = ".".join(str(one.get("version") or "").split(".")[:3]), one.get("architecture")
                words = [f"{one['internal_api']} {number}".strip(), f"{kernels} kernels" if kernels else ""]
                return ", ".join(filter(None, (*words, f"threads: {one['num_threads']}")))
    built: Any = np.show_config(mode="dicts")
    one = built.get("Build Dependencies", {}).get("blas", {})
    return f"{one.get('name', 'an unknown BLAS')} {one.get('version', '')}".strip()


def driver_version() -> str:
    """The driver's own version, such as 550.54.14, by nvidia-smi or by the file that the Linux driver keeps."""
    if program := shutil.which("nvidia-smi"):
        said = printed([program, "--query-gpu=driver_version", "--format=csv,noheader"], 30).splitlines()
        if said and re.fullmatch(r"[\d.]+", said[0].strip()):
            return said[0].strip()
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:
        return ""
    match = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", text)
    return match[0] if match else ""


def printed(command: list[str], seconds: float) -> str:
    """What a program writes; "" where it cannot be run."""
    try:
        return run(command, seconds).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """A program that is done, with its standard output; what is no text in it does not matter."""
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace", timeout=seconds
    )


def has_nvidia_card(devices: Path) -> bool:
    """Whether the bus, as Linux shows it in this folder, has a display controller of NVIDIA's."""
    for device in devices.glob("*"):
        try:
            vendor, kind = ((device / name).read_text(encoding="utf-8").strip() for name in ("vendor", "class"))
        except OSError:
            continue
        if vendor == NVIDIA and kind.startswith(DISPLAY):
            return True
    return False


def where(linux: str, windows: str) -> str:
    """The place of a library of the toolkit, in the order in which CuPy looks; "" where there is none."""
    name = windows if sys.platform == "win32" else linux
    spec = importlib.util.find_spec("nvidia")
    packages = [Path(place) for place in (spec.submodule_search_locations if spec else None) or ()]
    roots = [Path(root) for key in ("CUDA_PATH", "CUDA_HOME") if (root := os.environ.get(key))]
    if place := library_files(name, packages, [*roots, Path(sys.prefix)]):
        return place
    try:
        ctypes.CDLL(name)
    except OSError:
        return library_files(name, (), [Path("/usr/local/cuda")])
    return f"{name} of the system"


def library_files(name: str, packages: Iterable[Path], roots: Iterable[Path]) -> str:
    """The first file of that name in a wheel of NVIDIA's, or in a toolkit's folder."""
    for package in packages:
        for pattern in (f"*/lib/{name}", f"*/bin/{name}", f"*/bin/*/{name}"):
            for file in sorted(package.glob(pattern)):
                return str(file)
    for root in roots:
        for folder in ON_DISK:
            if (root / folder / name).exists():
                return str(root / folder / name)
    return ""


def trial(command: list[str], seconds: float = TRIAL_SECONDS) -> dict[str, str]:
    """What `doctor_trial` found in a process of its own; a process that ends early is a reason as well."""
    try:
        done = run(command, seconds)
        text, end = done.stdout, f"its process ended with status {done.returncode}"
    except subprocess.TimeoutExpired as error:
        raw = error.stdout or b""
        text = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
        end = f"it was not done after {seconds:g} seconds"
    found = doctor_trial.stages(text)
    if not any(found.values()):
        found |= dict.fromkeys([name for name in doctor_trial.STAGES if name not in found][:1], end)
    return found
