"""Sums and largest elements of rows, in one order each time: the part of a source that the verbs of rows share.

A row of up to 32 elements is the work of one thread, a longer one that of a block.
"""

from __future__ import annotations

from tinynn.cuda.kernels import THREADS

__all__ = ["ROWS", "SHORT", "lanes", "row_blocks"]

SHORT = 32
"""The longest row that one thread goes through."""

ROWS = """
// LANES threads, 1 or all of a block, share a row. Every thread of a block takes part in every row of the block. One
// thread alone goes through COLUMNS elements, a number that the compiler knows: then it reads them all at once.
#define LANE (LANES == 1 ? 0 : (int)threadIdx.x)
#define FIRST_ROW (LANES == 1 ? blockIdx.x * (long long)THREADS + threadIdx.x : (long long)blockIdx.x)
#define EACH_ROW(r, n) \\
    for (long long r = FIRST_ROW; r < n; r += gridDim.x * (long long)(LANES == 1 ? THREADS : 1))
#define EACH_COLUMN(j, C) for (long long j = LANE; j < (LANES == 1 ? COLUMNS : C); j += LANES)
#define GROUP 16

// The sum over the threads of a block, the same for all of them: 16 threads add up 16 parts of it. The next call may
// follow at once: what it writes before its first barrier is read by nobody any more.
__device__ double block_sum(double value) {
    __shared__ double parts[THREADS], groups[GROUP];
    parts[threadIdx.x] = value;
    __syncthreads();
    if (threadIdx.x < GROUP) {
        double sum = 0;
        for (int i = threadIdx.x; i < THREADS; i += GROUP) sum += parts[i];
        groups[threadIdx.x] = sum;
    }
    __syncthreads();
    double total = 0;
    for (int i = 0; i < GROUP; i++) total += groups[i];
    return total;
}

__device__ double row_sum(double value) { return LANES == 1 ? value : block_sum(value); }

// The largest element, and the first place where it stands; a NaN is larger than all numbers, as for argmax.
struct Top {
    double value;
    long long place;  // -1: of no elements
};

__device__ void compare(Top& top, double value, long long place) {
    if (place < 0) return;
    bool nan = value != value, nan_before = top.value != top.value;
    bool more = nan ? !nan_before : value > top.value, equal = nan ? nan_before : value == top.value;
    if (top.place < 0 || more || (equal && place < top.place)) {
        top.value = value;
        top.place = place;
    }
}

__device__ Top block_top(Top top) {
    __shared__ double values[THREADS], group_values[GROUP];
    __shared__ long long places[THREADS], group_places[GROUP];
    values[threadIdx.x] = top.value;
    places[threadIdx.x] = top.place;
    __syncthreads();
    if (threadIdx.x < GROUP) {
        for (int i = threadIdx.x; i < THREADS; i += GROUP) compare(top, values[i], places[i]);
        group_values[threadIdx.x] = top.value;
        group_places[threadIdx.x] = top.place;
    }
    __syncthreads();
    for (int i = 0; i < GROUP; i++) compare(top, group_values[i], group_places[i]);
    return top;
}

template <class X> __device__ Top row_top(const X* x, long long C) {
    Top top = {0, -1};
    EACH_COLUMN(j, C) compare(top, x[j], j);
    return LANES == 1 ? top : block_top(top);
}
"""


def lanes(C: int) -> str:
    """The lines that say how many threads share a row of C elements."""
    return f"#define LANES 1\n#define COLUMNS {C}\n" if C <= SHORT else f"#define LANES {THREADS}\n#define COLUMNS 0\n"


def row_blocks(n: int, C: int) -> int:
    """Blocks for n such rows."""
    return -(-n // THREADS) if C <= SHORT else n
