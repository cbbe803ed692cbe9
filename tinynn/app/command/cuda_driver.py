"""What the NVIDIA driver says of itself and of its GPUs, asked by ctypes alone.

`python tinynn/app/command/cuda_driver.py` needs no package at all: one line, and the exit code 0 where there
is a GPU, 1 where there is none. So a command that installs much for a GPU can ask first.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from typing import Any

__all__ = ["Driver", "Gpu", "ask", "in_words", "library"]

NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


@dataclass(frozen=True)
class Gpu:
    """`capability`: (9, 0) for compute capability 9.0; `memory`: bytes."""

    name: str
    capability: tuple[int, int]
    memory: int


@dataclass(frozen=True)
class Driver:
    """`cuda`: the highest version of CUDA that the driver supports, 12040 for 12.4. `problem`: why it gives no GPU."""

    cuda: int
    gpus: tuple[Gpu, ...] = ()
    problem: str = ""


class Failed(Exception):
    """A call of the driver that did not succeed."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def library() -> Any:
    """The driver's library; None where there is none."""
    for name in ("nvcuda.dll",) if sys.platform == "win32" else ("libcuda.so.1", "libcuda.so"):
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    return None


def ask(lib: Any) -> Driver | None:
    """The driver behind the library; None where that is None."""
    if lib is None:
        return None

    def call(name: str, *args: Any) -> None:
        code = getattr(lib, name)(*args)
        if code:
            text = ctypes.c_char_p()
            lib.cuGetErrorString(code, ctypes.byref(text))
            raise Failed(code, f"{name}: {(text.value or b'no such error').decode()} ({code})")

    def number(name: str, *args: Any, kind: Any = ctypes.c_int) -> int:
        found = kind()
        call(name, ctypes.byref(found), *args)
        return found.value

    def gpu(place: int) -> Gpu:
        device = number("cuDeviceGet", place)
        name = ctypes.create_string_buffer(256)
        call("cuDeviceGetName", name, 256, device)
        capability = number("cuDeviceGetAttribute", MAJOR, device), number("cuDeviceGetAttribute", MINOR, device)
        return Gpu(name.value.decode(), capability, number("cuDeviceTotalMem_v2", device, kind=ctypes.c_size_t))

    cuda = 0
    try:
        cuda = number("cuDriverGetVersion")
        call("cuInit", 0)
        return Driver(cuda, tuple(gpu(place) for place in range(number("cuDeviceGetCount"))))
    except Failed as error:
        return Driver(cuda, problem="" if error.code == NO_DEVICE else str(error))


def in_words(driver: Driver | None) -> str:
    """The GPUs in one line, or why there is none."""
    if driver is None:
        return "no GPU can be used here: there is no NVIDIA driver (its library libcuda is not found)"
    if driver.problem:
        return f"no GPU can be used here: the NVIDIA driver fails in {driver.problem}"
    if not driver.gpus:
        return "no GPU can be used here: the NVIDIA driver finds none"
    return f"GPU: {', '.join(gpu.name for gpu in driver.gpus)}"


def main() -> int:
    """Says whether there is a GPU."""
    driver = ask(library())
    there = driver is not None and bool(driver.gpus)
    print(in_words(driver), file=sys.stdout if there else sys.stderr)
    return 0 if there else 1


if __name__ == "__main__":
    raise SystemExit(main())
