"""float32 rounded to bfloat16, as a copy that a GEMM can read at full speed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.cuda.gemm_layout import matrix
from tinynn.cuda.kernels import Array, Kernels, types

__all__ = ["rounded"]

LINE = 8
"""A row begins at a multiple of so many elements, 16 bytes: what a tensor core is fed with in one piece."""

ROUND = """
// out = x as bfloat16: the nearest, of two as near the even one; a NaN stays a NaN. The bits of a float are read as an
// integer: the upper half is the bfloat16 that lies below.
extern "C" __global__ void round_to_bfloat16(
    const unsigned int* x, unsigned short* out, long long n, Index rows, Index columns, long long deep, long long down,
    long long leading
) {
    EACH(i, n) {
        Index row = (Index)i / columns, column = (Index)i % columns;
        unsigned int bits = x[row / rows * deep + row % rows * down + column];
        bool nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
        // A NaN whose only digits are in the lower half would become an infinity.
        bits = nan ? bits | 0x400000u : bits + 0x7FFFu + (bits >> 16 & 1u);
        out[row * leading + column] = (unsigned short)(bits >> 16);
    }
}
"""


def rounded(kernels: Kernels, x: Array) -> Array:
    """x in bfloat16, as an array of uint16 with the same shape; each matrix lies as it did, by rows or by columns.

    The memory is the current allocator's: within a captured step, that of the step. Shapes: x (..., R, C), R, C > 0.
    """
    seen = matrix(x.shape, x.strides, x.itemsize)
    if seen is not None and not seen.by_rows:
        return rounded(kernels, x.swapaxes(-1, -2)).swapaxes(-1, -2)
    xp, rows, columns = kernels.xp, *x.shape[-2:]
    if seen is None or any(step % x.itemsize for step in (*x.strides, x.data.ptr)):
        x = xp.array(x, order="C")
    flat = x.reshape(-1, rows, columns)  # a copy where the leading axes are not to be walked through in one step
    leading = -(-columns // LINE) * LINE
    out = xp.empty((*x.shape[:-1], leading), "uint16")
    deep, down = (stride // x.itemsize for stride in flat.strides[:2])
    index: Any = kernels.index(x)
    head = types(Index=np.dtype(index))
    assert head is not None
    numbers = (x.size, index(rows), index(columns), deep, down, leading)
    kernels.over(ROUND, head, "round_to_bfloat16", x.size, flat, out, *numbers)
    return out[..., :columns]
