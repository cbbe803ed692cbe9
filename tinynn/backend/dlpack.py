"""Arrays of other libraries, taken over where they lie: PyTorch's tensors, JAX's arrays, whatever has `__dlpack__`.

Source: DLPack, "Python Specification for DLPack".
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from tinynn.errors import DataError, DeviceError

__all__ = ["CUDA", "device_of", "is_foreign", "on_host", "refuse_device", "refuse_gradients"]

CPU, CUDA, CUDA_HOST, ROCM_HOST, CUDA_MANAGED = 1, 2, 3, 11, 13  # DLPack's numbers of kinds of memory
FLOAT = 'convert it to dense float32 where it is: x.float(), x.to_dense(), x.astype("float32")'
NAMES = {2: "CUDA", 4: "OpenCL", 7: "Vulkan", 8: "Metal", 10: "ROCm", 14: "oneAPI"}


def is_foreign(x: Any) -> bool:
    """Whether it is an array that another library gives by DLPack."""
    return not isinstance(x, np.ndarray) and not isinstance(x, type) and hasattr(x, "__dlpack__")


def device_of(x: Any) -> tuple[int, int]:
    """The kind of memory in which it lies, by DLPack's number, and which of these devices. Errors: DataError."""
    try:
        kind, number = x.__dlpack_device__()
        return int(kind), int(number)
    except Exception as error:
        fix = "convert it to an array of NumPy's"
        refuse(x, "an array that does not say where it lies", "a device that DLPack knows", str(error), fix)


def on_host(x: Any) -> np.ndarray:
    """The same numbers as a NumPy array: a view of its memory, a copy only where DLPack cannot say what it holds.

    Errors: DeviceError for what lies on a device, DataError for what cannot be handed over, with the reason.
    """
    kind, number = device_of(x)
    if kind not in (CPU, CUDA_HOST, ROCM_HOST, CUDA_MANAGED):
        refuse_device(x, kind, number, "in the host's memory, where the network computes")
    refuse_gradients(x)
    try:
        return np.from_dlpack(x)
    except Exception as error:  # libraries raise what they like for a dtype or a layout that DLPack does not have
        reason = f"{type(error).__name__}: {error}"
    array = None
    try:
        array = np.asarray(x) if hasattr(x, "__array__") else None
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    if array is None or array.dtype.kind not in "biufc":
        refuse(x, "an array that cannot be handed over", "real numbers that NumPy has", reason, FLOAT)
    return array


def refuse_device(x: Any, kind: int, number: int, expected: str) -> NoReturn:
    """Errors: DeviceError."""
    raise DeviceError(
        "an array that lies on another device",
        where=f"a {type(x).__module__}.{type(x).__name__}",
        expected=f"one {expected}",
        got=f"one on {NAMES.get(kind, f'a device of kind {kind}')} {number}",
        fix='move it there, x.cpu() or x.to("cuda:0"), or build the network with the backend of its device',
    )


def refuse_gradients(x: Any) -> None:
    """Errors: DataError for a tensor that wants a gradient, which it would never get."""
    if getattr(x, "requires_grad", False) is True:
        what = "a tensor that wants a gradient, which ends here"
        refuse(x, what, "a tensor without it", "requires_grad=True", "x.detach()")


def refuse(x: Any, what: str, expected: str, got: str, fix: str) -> NoReturn:
    """Errors: DataError."""
    raise DataError(what, where=f"a {type(x).__module__}.{type(x).__name__}", expected=expected, got=got, fix=fix)
