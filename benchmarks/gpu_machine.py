"""The GPU that the measurements are made on: its name, its driver, and the memory that is free on it."""

from __future__ import annotations

import ctypes
from typing import Any

from benchmarks import machine
from tinynn.app.command import cuda_driver
from tinynn.app.command.doctor_facts import driver_version

__all__ = ["FreeMemory", "describe", "in_words"]


def describe() -> dict[str, Any]:
    """The machine as for the CPU, and the first GPU with its driver."""
    driver = cuda_driver.ask(cuda_driver.library())
    assert driver is not None and driver.gpus
    one = driver.gpus[0]
    return {
        **machine.describe(),
        "gpu": one.name,
        "capability": ".".join(map(str, one.capability)),
        "memory": one.memory,
        "driver": driver_version(),
        "cuda": f"{driver.cuda // 1000}.{driver.cuda % 1000 // 10}",
    }


def in_words(about: dict[str, Any]) -> str:
    """What `describe` found."""
    driver = f"driver {about['driver']} for" if about["driver"] else "a driver for"
    return (
        f"{about['gpu']} (compute capability {about['capability']}, {about['memory'] / 2**30:.0f} GiB), {driver} CUDA "
        f"{about['cuda']}; {machine.in_words(about)}"
    )


class FreeMemory:
    """`free()`: bytes that are free on the first GPU, whoever holds the others; None where the driver does not say.

    It holds a small context of its own on the device, as every process that uses one does.
    """

    def __init__(self, library: Any = None) -> None:
        self.library = library or cuda_driver.library()
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self.usable = self.library is not None and not (
            self.library.cuInit(0)
            or self.library.cuDeviceGet(ctypes.byref(device), 0)
            or self.library.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
            or self.library.cuCtxSetCurrent(context)
        )

    def __call__(self) -> int | None:
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        if not self.usable or self.library.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)):
            return None
        return free.value
