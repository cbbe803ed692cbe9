"""Sliding windows over images in rows: a thread for each element of what is written, which adds up what it sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynn.cuda.kernels import Array, Kernels, flat, types

__all__ = ["fold", "pool", "pool_backward", "unfold"]

AXES = """
// What one tap of a window sees along an axis, and what the others do: output q of tap j sees start + shift j + step q.
struct Axis {
    Index start, shift, step, taps, outputs;
    __device__ Index place(Index j, Index q) const { return start + shift * j + step * q; }
    // The output at which tap j sees a place, or -1.
    __device__ Index output(Index j, Index place) const {
        Index d = place - start - shift * j;
        if (d < 0 || d % step) return -1;
        d /= step;
        return d < outputs ? d : -1;
    }
};
#define AXIS(a) Index a##_start, Index a##_shift, Index a##_step, Index a##_taps, Index a##_outputs
#define READ(a) const Axis a = {a##_start, a##_shift, a##_step, a##_taps, a##_outputs};
"""

COLUMNS = (
    AXES
    + """
extern "C" __global__ void unfold(const T* x, T* out, long long size, Index W, Index N, AXIS(across)) {
    READ(across)
    EACH(i, size) {
        Index n = (Index)i % N, rest = (Index)i / N;
        Index q = rest % across.outputs;
        rest /= across.outputs;
        Index j = rest % across.taps;
        rest /= across.taps;
        out[i] = x[(rest * W + across.place(j, q)) * N + n];
    }
}

extern "C" __global__ void fold(const T* dy, T* out, long long size, Index W, Index N, AXIS(across)) {
    READ(across)
    EACH(i, size) {
        Index n = (Index)i % N, rest = (Index)i / N;
        Index w = rest % W;
        rest /= W;
        T sum = 0;
        for (Index j = 0; j < across.taps; j++) {
            Index q = across.output(j, w);
            if (q >= 0) sum += dy[((rest * across.taps + j) * across.outputs + q) * N + n];
        }
        out[i] = sum;
    }
}
"""
)

POOLING = (
    AXES
    + """
#define IMAGES Index C, Index W, Index N, AXIS(down), AXIS(across)
// The place (row, channel, column, n) of element i, with so many columns; `at` goes the other way.
#define PLACE(i, columns) \\
    Index n = (Index)i % N, rest = (Index)i / N, column = rest % (columns), c = rest / (columns) % C, \\
        row = rest / (columns) / C
#define AT(row, column, columns) ((((row) * C + c) * (columns) + (column)) * N + n)
#define TAPS(i, j) \\
    for (Index i = 0; i < down.taps; i++) for (Index j = 0; j < across.taps; j++)

extern "C" __global__ void max_window(const T* x, T* out, long long size, IMAGES) {
    READ(down) READ(across)
    EACH(e, size) {
        PLACE(e, across.outputs);
        T top = x[AT(down.place(0, row), across.place(0, column), W)];
        TAPS(i, j) {
            T value = x[AT(down.place(i, row), across.place(j, column), W)];
            if (value > top || value != value) top = value;  // a NaN stays: nothing is more than it
        }
        out[e] = top;
    }
}

extern "C" __global__ void sum_window(const T* x, T* out, long long size, IMAGES) {
    READ(down) READ(across)
    EACH(e, size) {
        PLACE(e, across.outputs);
        T sum = 0;
        TAPS(i, j) sum += x[AT(down.place(i, row), across.place(j, column), W)];
        out[e] = sum;
    }
}

extern "C" __global__ void sum_window_backward(const T* dy, T* out, long long size, IMAGES) {
    READ(down) READ(across)
    EACH(e, size) {
        PLACE(e, W);
        T sum = 0;
        for (Index i = 0; i < down.taps; i++) {
            Index p = down.output(i, row);
            if (p < 0) continue;
            for (Index j = 0; j < across.taps; j++) {
                Index q = across.output(j, column);
                if (q >= 0) sum += dy[AT(p, q, across.outputs)];
            }
        }
        out[e] = sum;
    }
}

extern "C" __global__ void max_window_backward(
    const T* dy, const T* y, const T* x, T* out, long long size, IMAGES
) {
    READ(down) READ(across)
    EACH(e, size) {
        PLACE(e, W);
        T value = x[e], sum = 0;
        for (Index i = 0; i < down.taps; i++) {
            Index p = down.output(i, row);
            if (p < 0) continue;
            for (Index j = 0; j < across.taps; j++) {
                Index q = across.output(j, column);
                if (q < 0 || value != y[AT(p, q, across.outputs)]) continue;
                bool first = true;  // of the largest in this window
                for (Index k = 0; first && k < i * across.taps + j; k++) {
                    Index h = down.place(k / across.taps, p), w = across.place(k % across.taps, q);
                    first = x[AT(h, w, W)] != value;
                }
                if (first) sum += dy[AT(p, q, across.outputs)];
            }
        }
        out[e] = sum;
    }
}
"""
)


def axis(taps: Sequence[slice], length: int) -> tuple[int, ...] | None:
    """start, shift, step, taps, outputs: where tap j sees start + shift j + step q; None for taps of no such order."""
    places = [range(length)[tap] for tap in taps]
    first = places[0]
    shift = places[1].start - first.start if len(places) > 1 else 1
    regular = all(p == range(first.start + j * shift, first.stop + j * shift, first.step) for j, p in enumerate(places))
    # Equal ranges may differ in a stop that is never reached, and in the step where they have one element or none.
    return (
        (first.start, shift, first.step, len(places), len(first)) if regular and len(first) and first.step > 0 else None
    )


def unfold(kernels: Kernels, x: Array, taps: Sequence[slice], out: Array) -> bool:
    """Whether the kernel could be launched."""
    return columns(kernels, "unfold", x, out, taps, x, out)


def fold(kernels: Kernels, dy: Array, taps: Sequence[slice], out: Array) -> bool:
    """Whether the kernel could be launched."""
    return columns(kernels, "fold", dy, out, taps, out, dy)


def columns(kernels: Kernels, name: str, given: Array, out: Array, taps: Sequence[slice], x: Array, u: Array) -> bool:
    """`x`: images (H, C, W, N); `u`: their columns (H, C, k, Q, N)."""
    if not kernels.own(given, out) or not flat(given, out) or not taps or x.ndim != 4:
        return False
    H, C, W, N = x.shape
    across = axis(taps, W)
    if across is None or u.shape != (H, C, *across[3:], N):
        return False
    if out.size:
        start(kernels, COLUMNS, name, (given, out), (W, N, *across))
    return True


def pool(kernels: Kernels, name: str, x: Array, taps: Sequence[tuple[slice, slice]], out: Array) -> bool:
    """Whether the kernel of that name could be launched: from images to windows."""
    return pooling(kernels, name, (x, out), taps, x, (out,))


def pool_backward(kernels: Kernels, name: str, taps: Sequence[tuple[slice, slice]], out: Array, *inputs: Array) -> bool:
    """As `pool`, from windows to images; `inputs`: dy, or dy, y and x."""
    return pooling(kernels, name, (*inputs, out), taps, out, inputs[:2])


def pooling(
    kernels: Kernels,
    name: str,
    arrays: tuple[Array, ...],
    taps: Sequence[tuple[slice, slice]],
    images: Array,
    windows: tuple[Array, ...],
) -> bool:
    if not kernels.own(*arrays) or not flat(*arrays) or not taps or images.ndim != 4:
        return False
    H, C, W, N = images.shape
    count = sum(rows == taps[0][0] for rows, _ in taps)
    down, across = [rows for rows, _ in taps[::count]], [columns for _, columns in taps[:count]]
    if list(taps) != [(rows, columns) for rows in down for columns in across]:
        return False
    vertical, horizontal = axis(down, H), axis(across, W)
    if vertical is None or horizontal is None:
        return False
    if any(x.shape != (vertical[-1], C, horizontal[-1], N) for x in windows) or arrays[-2].ndim != 4:
        return False
    if arrays[-1].size:
        start(kernels, POOLING, name, arrays, (C, W, N, *vertical, *horizontal))
    return True


def start(kernels: Kernels, source: str, name: str, arrays: tuple[Array, ...], numbers: tuple[int, ...]) -> None:
    """The kernel, with a thread for each element of the last array."""
    index: Any = kernels.index(*arrays)
    head = types(T=arrays[0].dtype, Index=np.dtype(index))
    assert head is not None
    kernels.over(source, head, name, arrays[-1].size, *arrays, arrays[-1].size, *map(index, numbers))
