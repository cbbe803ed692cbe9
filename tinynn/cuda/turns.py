"""The rows and the sums of a captured step, which find on the device whose turn it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinynn.cuda.kernels import FLOATS, Array, Kernels, types
from tinynn.cuda.reductions import SHORT
from tinynn.cuda.rows import WITHIN

__all__ = ["add_up", "gather"]

MOST = 1 << 16
"""Scores that one block goes through in less time than the kernels take that more of them would need."""

GATHER = (
    WITHIN
    + """
// A thread for each element: many threads wait for memory no longer than one. There may be a second array, of its own
// dtype and length of a row; or length 0, where there is one alone.
extern "C" __global__ void gather_turn(
    const X* x, const X2* x2, const long long* order, const long long* turn, T* out, T2* out2, long long size, I n,
    I length, I length2
) {
    const long long* rows = order + *turn * n;
    long long first = n * (long long)length;
    EACH(i, first + n * (long long)length2) {
        if (i < first) {
            I row = (I)i / length;
            out[i] = (T)x[within(rows[row], size) * length + ((I)i - row * length)];
        } else {
            I j = (I)(i - first), row = j / length2;
            out2[j] = (T2)x2[within(rows[row], size) * length2 + (j - row * length2)];
        }
    }
}
"""
)

TALLY = """
// One block. LABELS: whether there are any. COLUMNS: C, where it is small enough to be told the compiler; or else 0.
extern "C" __global__ void tally(
    const L* loss, const T* scores, const Y* labels, double* sums, long long* counts, long long n, long long C
) {
    long long right = 0;
    for (long long start = 0; LABELS && start < n; start += THREADS) {
        long long r = start + threadIdx.x, top = -1;
        if (r < n) {
            const T* x = scores + r * C;
            T best = x[0];
            top = 0;
            for (long long j = 1; j < (COLUMNS ? COLUMNS : C); j++) {
                T next = x[j];  // the first of equal ones is the largest; the first NaN, if there is one
                if (best == best && !(next <= best)) {
                    best = next;
                    top = j;
                }
            }
        }
        right += __syncthreads_count(r < n && top == (long long)labels[r]);
    }
    if (threadIdx.x == 0) {
        sums[0] += (double)*loss * (double)n;
        sums[1] += (double)n;
        counts[2] += 1;
        if (LABELS) {
            counts[0] += right;
            counts[1] += n;
        }
    }
}
"""


def gather(kernels: Kernels, xs: Sequence[Array], order: Array, turn: Array, outs: Sequence[Array]) -> list[int]:
    """out = x[order[turn]] for each x and out, two to a kernel, converted where an `out` is of another dtype.

    Returns the places of those for which it could not be launched.
    """
    places = [i for i, (x, out) in enumerate(zip(xs, outs, strict=True)) if readable(kernels, x, order, turn, out)]
    n = order.shape[1]
    for at in range(0, len(places), 2):
        (x, out), (x2, out2) = ((xs[i], outs[i]) for i in (places[at], places[min(at + 1, len(places) - 1)]))
        index = kernels.index(out, out2)
        head = types(X=x.dtype, T=out.dtype, X2=x2.dtype, T2=out2.dtype, I=index)
        assert head is not None
        lengths = out.size // n, out2.size // n if at + 1 < len(places) else 0
        args = (x, x2, order, turn, out, out2, len(x), index(n), *map(index, lengths))
        kernels.over(GATHER, head, "gather_turn", n * sum(lengths), *args)
    return [i for i in range(len(xs)) if i not in places]


def readable(kernels: Kernels, x: Array, order: Array, turn: Array, out: Array) -> bool:
    """Whether the kernel can read and write such arrays."""
    arrays = (x, order, turn, out)
    if not kernels.own(*arrays) or not x.size or not out.size or order.dtype != np.int64 or turn.dtype != np.int64:
        return False
    fits = out.shape == (order.shape[1], *x.shape[1:]) and all(a.flags.c_contiguous for a in arrays)
    return fits and types(X=x.dtype, T=out.dtype) is not None


def add_up(kernels: Kernels, loss: Array, scores: Array, labels: Array | None, sums: Array, counts: Array) -> bool:
    """Whether the kernel of the tally could be launched."""
    given = scores if labels is None else labels
    if not kernels.own(loss, scores, given) or loss.size != 1 or loss.dtype not in FLOATS or scores.size > MOST:
        return False
    head = types(L=loss.dtype, T=scores.dtype, Y=given.dtype)
    usable = scores.flags.c_contiguous and given.flags.c_contiguous and scores.dtype in FLOATS
    if head is None or not usable or (labels is not None and labels.dtype.kind not in "iu"):
        return False
    n = len(scores)
    C = scores.size // n if n else 0
    head += f"#define LABELS {int(labels is not None)}\n#define COLUMNS {C if C <= SHORT else 0}\n"
    kernels.launch(TALLY, head, "tally", 1, loss, scores, given, sums, counts, n, C)
    return True
