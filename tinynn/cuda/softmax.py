"""Softmax and its logarithm along the last axis, and their derivatives: one kernel each, with sums in float64."""

from __future__ import annotations

import math

import numpy as np

from tinynn.cuda.kernels import Array, Kernels, flat, heading
from tinynn.cuda.reductions import ROWS, lanes, row_blocks

__all__ = ["rows", "rows_backward"]

SOURCE = (
    ROWS
    + """
extern "C" __global__ void softmax(const T* x, T* out, double* work, long long n, long long C) {
    EACH_ROW(r, n) {
        const T* row = x + r * C;
        double top = row_top(row, C).value, part = 0;
        EACH_COLUMN(j, C) {
            double e = exp((double)row[j] - top);
            work[r * C + j] = e;
            part += e;
        }
        double sum = row_sum(part);
        EACH_COLUMN(j, C) out[r * C + j] = (T)(work[r * C + j] / sum);
    }
}

extern "C" __global__ void log_softmax(const T* x, T* out, double* work, long long n, long long C) {
    EACH_ROW(r, n) {
        const T* row = x + r * C;
        Top top = row_top(row, C);
        double part = 0;
        EACH_COLUMN(j, C) {
            double z = (double)row[j] - top.value;
            work[r * C + j] = z;
            if (j != top.place) part += exp(z);
        }
        double rest = log1p(row_sum(part));
        EACH_COLUMN(j, C) out[r * C + j] = (T)(work[r * C + j] - rest);
    }
}

extern "C" __global__ void softmax_backward(const T* dy, const T* y, T* out, long long n, long long C) {
    EACH_ROW(r, n) {
        double part = 0;
        EACH_COLUMN(j, C) part += (double)dy[r * C + j] * y[r * C + j];
        T sum = (T)row_sum(part);
        EACH_COLUMN(j, C) out[r * C + j] = (dy[r * C + j] - sum) * y[r * C + j];
    }
}

extern "C" __global__ void log_softmax_backward(const T* dy, const T* y, T* out, long long n, long long C) {
    EACH_ROW(r, n) {
        double part = 0;
        EACH_COLUMN(j, C) part += dy[r * C + j];
        T sum = (T)row_sum(part);
        EACH_COLUMN(j, C) out[r * C + j] = dy[r * C + j] - exp(y[r * C + j]) * sum;
    }
}
"""
)


def rows(kernels: Kernels, name: str, x: Array, out: Array, work: Array) -> bool:
    """Whether the kernel of that name could be launched; `work` is float64 and overwritten."""
    usable = kernels.own(work) and work.dtype == np.float64 and work.size == x.size and work.flags.c_contiguous
    return bool(usable) and launched(kernels, name, (x, out), (work,))


def rows_backward(kernels: Kernels, name: str, dy: Array, y: Array, out: Array) -> bool:
    """As `rows`."""
    return launched(kernels, name, (dy, y, out), ())


def launched(kernels: Kernels, name: str, arrays: tuple[Array, ...], work: tuple[Array, ...]) -> bool:
    shape = arrays[0].shape
    if not kernels.own(*arrays) or not flat(*arrays) or any(x.shape != shape for x in arrays) or not shape:
        return False
    if math.prod(shape):
        n, C = math.prod(shape[:-1]), shape[-1]
        head = heading(arrays[0].dtype) + lanes(C)
        kernels.launch(SOURCE, head, name, row_blocks(n, C), *arrays, *work, n, C)
    return True
