"""The rows and the sums of a captured step, which find on the device whose turn it is."""

from __future__ import annotations

import math

import numpy as np

from tinynn.cuda.kernels import FLOATS, THREADS, Array, Kernels, types
from tinynn.cuda.rows import WITHIN

__all__ = ["add_up", "gather_turn"]

MOST = 1 << 16
"""Scores that one block goes through in less time than the kernels take that more of them would need."""

GATHER = (
    WITHIN
    + """
// `width` threads share a row.
extern "C" __global__ void gather_turn(
    const X* x, const long long* order, const long long* turn, T* out, long long size, long long n, long long length,
    int width
) {
    const long long* rows = order + *turn * n;
    int together = THREADS / width;
    long long first = blockIdx.x * (long long)together + threadIdx.x / width;
    for (long long i = first; i < n; i += gridDim.x * (long long)together) {
        long long row = within(rows[i], size);
        for (long long j = threadIdx.x % width; j < length; j += width) out[i * length + j] = (T)x[row * length + j];
    }
}
"""
)

TALLY = """
// One block. LABELS: whether there are any.
extern "C" __global__ void tally(
    const L* loss, const T* scores, const Y* labels, double* sums, long long* counts, long long n, long long C
) {
    __shared__ long long right[THREADS];
    long long own = 0;
    if (LABELS) {
        for (long long r = threadIdx.x; r < n; r += THREADS) {
            const T* x = scores + r * C;
            long long top = 0;
            for (long long j = 1; j < C && x[top] == x[top]; j++) {
                if (!(x[j] <= x[top])) top = j;  // the first of equal ones; the first NaN, if there is one
            }
            own += top == (long long)labels[r];
        }
    }
    right[threadIdx.x] = own;
    __syncthreads();
    if (threadIdx.x == 0) {
        sums[0] += (double)*loss * (double)n;
        sums[1] += (double)n;
        counts[2] += 1;
        if (LABELS) {
            long long total = 0;
            for (int i = 0; i < THREADS; i++) total += right[i];
            counts[0] += total;
            counts[1] += n;
        }
    }
}
"""


def gather_turn(kernels: Kernels, x: Array, order: Array, turn: Array, out: Array) -> bool:
    """Whether the kernel could be launched: out = x[order[turn]], converted where `out` is of another dtype."""
    arrays = (x, order, turn, out)
    if not kernels.own(*arrays) or not len(x) or order.dtype != np.int64 or turn.dtype != np.int64:
        return False
    head, n = types(X=x.dtype, T=out.dtype), order.shape[1]
    if head is None or out.shape != (n, *x.shape[1:]) or not all(a.flags.c_contiguous for a in arrays):
        return False
    length = math.prod(x.shape[1:])
    if out.size:
        width = min(THREADS, 1 << (length - 1).bit_length())
        blocks = -(-n * width // THREADS)
        kernels.launch(GATHER, head, "gather_turn", blocks, *arrays, len(x), n, length, np.int32(width))
    return True


def add_up(kernels: Kernels, loss: Array, scores: Array, labels: Array | None, sums: Array, counts: Array) -> bool:
    """Whether the kernel of the tally could be launched."""
    given = scores if labels is None else labels
    if not kernels.own(loss, scores, given) or loss.size != 1 or loss.dtype not in FLOATS or scores.size > MOST:
        return False
    head = types(L=loss.dtype, T=scores.dtype, Y=given.dtype)
    usable = scores.flags.c_contiguous and given.flags.c_contiguous and scores.dtype in FLOATS
    if head is None or not usable or (labels is not None and labels.dtype.kind not in "iu"):
        return False
    head += f"#define LABELS {int(labels is not None)}\n"
    n = len(scores)
    kernels.launch(TALLY, head, "tally", 1, loss, scores, given, sums, counts, n, scores.size // n if n else 0)
    return True
