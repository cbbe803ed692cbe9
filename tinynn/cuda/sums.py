"""The sum of the rows of a matrix: gradients of biases."""

from __future__ import annotations

from tinynn.cuda.kernels import Array, Kernels, flat, heading

__all__ = ["sum_rows"]

ACROSS = 32
"""Columns of a block: what a warp reads at once lies in one piece."""

PART = 128
"""Rows that a block adds up. Of more than two such parts the sums are added up by a second kernel."""

SOURCE = """
#define ACROSS 32
#define DEEP (THREADS / ACROSS)
// DEEP threads share a column of a part, and the first of them adds up what they have found.
extern "C" __global__ void sum_rows(const T* x, T* out, long long n, I M, I part) {
    __shared__ T sums[THREADS];
    I strips = (M + ACROSS - 1) / ACROSS, lane = threadIdx.x % ACROSS;
    long long blocks = strips * ((n + part - 1) / part);
    for (long long block = blockIdx.x; block < blocks; block += gridDim.x) {
        long long number = block / strips, first = number * part, last = first + part < n ? first + part : n;
        I column = (I)(block - number * strips) * ACROSS + lane;
        T sum = 0;
        if (column < M) {
            #pragma unroll 8
            for (long long r = first + threadIdx.x / ACROSS; r < last; r += DEEP) sum += x[r * M + column];
        }
        sums[threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.x < ACROSS && column < M) {
            for (int i = 1; i < DEEP; i++) sum += sums[i * ACROSS + lane];
            out[number * M + column] = sum;
        }
        __syncthreads();
    }
}
"""


def sum_rows(kernels: Kernels, x: Array, out: Array) -> bool:
    """Whether the kernels could be launched: out = the sum of the rows of x, always in the same order."""
    if not kernels.own(x, out) or not flat(x, out) or x.ndim != 2 or out.shape != x.shape[1:] or not x.size:
        return False
    (n, M), index = x.shape, kernels.index(out)
    head, strips = heading(x.dtype, I=index), -(-M // ACROSS)
    while n > 2 * PART:
        parts = -(-n // PART)
        sums = kernels.xp.empty((parts, M), x.dtype)
        kernels.launch(SOURCE, head, "sum_rows", strips * parts, x, sums, n, index(M), index(PART))
        x, n = sums, parts
    kernels.launch(SOURCE, head, "sum_rows", strips, x, out, n, index(M), index(2 * PART))
    return True
