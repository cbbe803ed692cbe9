"""Rows of an array by their numbers: gathered, and added up again."""

from __future__ import annotations

import math

import numpy as np

from tinynn.cuda.kernels import THREADS, Array, Kernels, flat, types

__all__ = ["WITHIN", "gather", "scatter_sums"]

WITHIN = """
// A place within an array: beyond its end it begins again at the start, as CuPy has it.
__device__ long long within(long long place, long long size) {
    if (place < 0 || place >= size) {
        place %= size;
        if (place < 0) place += size;
    }
    return place;
}
"""

GATHER = (
    WITHIN
    + """
// `width` threads share a row.
extern "C" __global__ void gather(
    const X* x, const I* rows, T* out, long long size, long long n, long long length, int width
) {
    int together = THREADS / width;
    long long first = blockIdx.x * (long long)together + threadIdx.x / width;
    for (long long i = first; i < n; i += gridDim.x * (long long)together) {
        long long row = within((long long)rows[i], size);
        for (long long j = threadIdx.x % width; j < length; j += width) out[i * length + j] = (T)x[row * length + j];
    }
}
"""
)

SCATTER = (
    WITHIN
    + """
// A thread for each element of out. A block reads the numbers of the rows THREADS at a time, and looks closer only
// where one of them is of its own.
extern "C" __global__ void scatter_sums(
    const T* dy, const I* rows, T* out, long long size, long long n, long long length
) {
    __shared__ long long row_of[THREADS];
    long long total = size * length;
    for (long long start = blockIdx.x * (long long)THREADS; start < total; start += gridDim.x * (long long)THREADS) {
        long long i = start + threadIdx.x, last = start + THREADS < total ? start + THREADS - 1 : total - 1;
        long long own = i < total ? i / length : -1, column = i % length;
        long long low = start / length, high = last / length;
        T sum = 0;
        for (long long base = 0; base < n; base += THREADS) {
            long long row = base + threadIdx.x < n ? within((long long)rows[base + threadIdx.x], size) : -1;
            row_of[threadIdx.x] = row;
            if (__syncthreads_or(low <= row && row <= high)) {
                for (int k = 0; k < THREADS; k++) {
                    if (row_of[k] == own && own >= 0) sum += dy[(base + k) * length + column];
                }
            }
            __syncthreads();
        }
        if (own >= 0) out[i] = sum;
    }
}
"""
)


def gather(kernels: Kernels, x: Array, rows: Array, out: Array) -> bool:
    """Whether the kernel that gathers and converts could be launched: out = x[rows]."""
    if not kernels.own(x, rows, out) or not (rows.dtype.kind in "iu" and len(x)):
        return False
    head = types(X=x.dtype, I=rows.dtype, T=out.dtype)
    fits = out.shape == (*rows.shape, *x.shape[1:]) and all(a.flags.c_contiguous for a in (x, rows, out))
    if not fits or head is None:
        return False
    length = math.prod(x.shape[1:])
    if out.size:
        width = min(THREADS, 1 << (length - 1).bit_length())
        blocks = -(-rows.size * width // THREADS)
        args = (x, rows, out, len(x), rows.size, length)
        kernels.launch(GATHER, head, "gather", blocks, *args, np.int32(width))
    return True


def scatter_sums(kernels: Kernels, dy: Array, rows: Array, out: Array) -> bool:
    """Whether the kernel could be launched: out[v] = the sum of dy over the places where `rows` is v, in their order.

    It reads all of `rows` once for every 256 elements of `out`: nothing is sorted, and no two threads add to one place.
    """
    if not kernels.own(dy, rows, out) or not flat(dy, out) or rows.dtype.kind not in "iu":
        return False
    head = types(T=out.dtype, I=rows.dtype)
    fits = dy.shape == (*rows.shape, *out.shape[1:]) and rows.flags.c_contiguous
    if not fits or head is None:
        return False
    args = (dy, rows, out, len(out), rows.size, math.prod(out.shape[1:]))
    kernels.over(SCATTER, head, "scatter_sums", out.size, *args)
    return True
