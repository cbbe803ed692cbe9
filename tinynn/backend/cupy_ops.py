"""CuPy: arrays in the memory of a CUDA device. CuPy is imported only when this backend is asked for."""

from __future__ import annotations

from functools import cache
from typing import Any

from tinynn.backend.base import Array
from tinynn.backend.cuda_ops import CudaOps
from tinynn.cuda.gemm import Gemm
from tinynn.errors import ConfigurationError, MissingExtraError

__all__ = ["CupyOps"]


class CupyOps(CudaOps):
    """The verbs of `Ops` with `xp` CuPy, on the current device. `precision`: "float32", "tf32" or "bfloat16".

    Errors: MissingExtraError without the package, or without cuBLASLt; ConfigurationError without a device that it can
    use.
    """

    name = "cupy"

    def __init__(self, precision: str = "float32") -> None:
        super().__init__()
        self.precision = precision
        try:
            import cupy  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise MissingExtraError(
                "cupy", extra="cuda12", purpose='backend="cupy" (cuda12 or cuda13, whichever the driver supports)'
            ) from None
        self.xp = cupy
        try:
            devices = cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            devices, reason = 0, str(error)
        else:
            reason = "the driver finds none"
        if devices == 0:
            raise ConfigurationError(
                "CuPy is installed, but there is no GPU it can use",
                where='backend="cupy"',
                expected="an NVIDIA GPU, and a driver as new as the installed CuPy",
                got=reason,
                fix='do what `tinynn doctor` says (often a newer driver; nvidia-smi shows it), or use backend="numpy"',
            )
        self.gemm = door(self.xp, precision)

    # CuPy's own products are no part of a captured step, and know no precision.

    def matmul(self, a: Array, b: Array, out: Array) -> Array:
        return self.gemm.matmul(a, b, out)

    def affine(self, x: Array, W: Array, b: Array, out: Array) -> Array:
        return self.gemm.affine(x, W, b, out)

    def matmul_stack(self, a: Array, b: Array, out: Array) -> Array:
        return self.gemm.matmul_stack(a, b, out)

    def __reduce__(self) -> tuple[Any, ...]:
        return CupyOps, (self.precision,)


@cache
def door(cupy: Any, precision: str) -> Gemm:
    """One for all networks: it remembers algorithms, and keeps 32 MiB for each stream."""
    return Gemm(cupy, precision)
