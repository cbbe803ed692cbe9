"""NumPy: arrays in the host's memory, matrix products in the BLAS that NumPy was built with."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.backend.base import Ops
from tinynn.backend.dlpack import is_foreign, on_host
from tinynn.backend.verbs import straight, whole

__all__ = ["NumpyOps"]

CACHE_LINE = 64  # bytes


class NumpyOps(Ops):
    """The backend that every other is compared with: the verbs of `Ops` as they stand, with `xp` NumPy."""

    name = "numpy"
    xp = np
    records = True

    def __init__(self) -> None:
        super().__init__()
        self._ones: dict[tuple[int, np.dtype], np.ndarray] = {}

    def asarray(self, x: Any, dtype: Any = None) -> np.ndarray:
        x = np.asarray(on_host(x) if is_foreign(x) else x, dtype=dtype)
        # Compiled code and devices read the bytes as the machine orders them.
        return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))

    def to_host(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x)

    def zeros(self, size: int, dtype: Any) -> np.ndarray:
        # NumPy itself promises 16 bytes. An update in place runs a quarter faster over whole cache lines.
        room = np.zeros(size * np.dtype(dtype).itemsize + CACHE_LINE, np.uint8)
        start = -room.ctypes.data % CACHE_LINE
        return room[start : start + size * np.dtype(dtype).itemsize].view(dtype)

    @whole
    def take(self, x: np.ndarray, rows: np.ndarray, out: np.ndarray) -> np.ndarray:
        if rows.dtype.char in "LQ":  # unsigned and as wide as an index: NumPy 2.0 refuses them
            rows = rows.astype(np.intp)
        # With mode="raise" NumPy gathers into a buffer of its own first; the caller has checked the rows.
        return x.take(rows, axis=0, out=out, mode="clip")

    @straight
    def check_labels(self, labels: np.ndarray, classes: int) -> None:
        if labels.astype(np.uint64).max() >= classes:  # a negative one is then larger than any
            raise IndexError(f"a label outside 0 to {classes - 1}")

    @straight
    def relu(self, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        # Of two arrays NumPy takes the maximum four times as fast as of an array and a number, so the zeros pay.
        self.xp.copyto(out, self.scalar(0, x.dtype))
        return self.xp.maximum(x, out, out=out)

    @straight
    def matmul(self, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
        # The same call of the BLAS as np.matmul's, reached half a microsecond sooner.
        return self.xp.dot(a, b, out=out)

    @straight
    def square_sum(self, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        flat = x.reshape(-1)
        return self.xp.dot(flat, flat, out=out)

    def row_sums(self, x: np.ndarray) -> np.ndarray:
        # As a product with ones: NumPy adds up a short row in five times the time.
        ones = self._ones.get((x.shape[-1], x.dtype))
        if ones is None:
            ones = self._ones[x.shape[-1], x.dtype] = np.ones((x.shape[-1], 1), x.dtype)
        if x.ndim == 2:
            return np.dot(x, ones)
        return np.dot(x.reshape(-1, x.shape[-1]), ones).reshape(*x.shape[:-1], 1)

    def row_dots(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.einsum("nc,nc->n", a, b)
