"""Arrays in the memory of a device, whose module behaves like CuPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinynn.backend.base import Array, Ops
from tinynn.backend.dlpack import CUDA, device_of, is_foreign, on_host, refuse_device, refuse_gradients
from tinynn.cuda.graph import CudaGraph

__all__ = ["DeviceOps"]


class DeviceOps(Ops):
    """The verbs of `Ops` with `xp` CuPy, or a module that stands in for it."""

    captures = True

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        if not isinstance(x, self.xp.ndarray):
            # Lists go through NumPy first, which tells a ragged one from a number in one call.
            x = self.taken_over(x) if is_foreign(x) else np.asarray(x)
        return self.xp.asarray(x, dtype=dtype)

    def taken_over(self, x: Any) -> Array:
        """Another library's array: where it lies on this device as it is there, else as NumPy has it."""
        kind, number = device_of(x)
        if kind != CUDA:
            return on_host(x)
        here = int(self.xp.cuda.Device().id)
        if number != here:
            refuse_device(x, kind, number, f"on CUDA {here}, where the network computes")
        refuse_gradients(x)
        return self.xp.from_dlpack(x)

    def to_host(self, x: Array) -> np.ndarray:
        return self.xp.asnumpy(x)

    def wait(self) -> None:
        self.xp.cuda.get_current_stream().synchronize()

    def zeros(self, size: int, dtype: Any) -> Array:
        return self.xp.zeros(size, dtype)  # every allocation begins at a multiple of 512 bytes

    def take(self, x: Array, rows: Array, out: Array) -> Array:
        """As everywhere; besides, `out` may have another dtype than x: bytes become floats on the way."""
        if x.dtype == out.dtype:
            return self.xp.take(x, self.xp.asarray(rows), axis=0, out=out)
        out[...] = self.xp.take(x, self.xp.asarray(rows), axis=0)
        return out

    def capture_step(self, step: Callable[[], Any], between: Callable[[], Any], several: int = 1) -> CudaGraph:
        return CudaGraph(self.xp, step, between, several)
