"""The verbs of sliding windows against plain loops over their outputs."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import given
from strategies import laid_out, layouts

from tinynn.backend import NumpyOps

ops = NumpyOps()
sizes = st.integers(1, 3)
seeds = st.integers(0, 999)
dtypes = st.sampled_from(["float32", "float64"])


@st.composite
def taps(draw: st.DrawFn) -> tuple[int, list[slice]]:
    """The length of an axis, and what each tap of a window sees of it."""
    size, stride, dilation, outputs = (draw(sizes) for _ in range(4))
    reach = (outputs - 1) * stride + 1
    length = (size - 1) * dilation + reach + draw(st.integers(0, 2))
    return length, [slice(i * dilation, i * dilation + reach, stride) for i in range(size)]


class Draw:
    """Whole numbers, so that sums are exact, in one dtype and memory layout; `out` is NaN throughout."""

    def __init__(self, dtype: str, layout: str, seed: int) -> None:
        self.dtype, self.layout, self.rng = dtype, layout, np.random.default_rng(seed)

    def __call__(self, *shape: int) -> np.ndarray:
        return laid_out(self.rng.integers(-3, 4, shape).astype(self.dtype), self.layout)

    def out(self, *shape: int) -> np.ndarray:
        return np.full(shape, np.nan, self.dtype)


draws = st.builds(Draw, dtypes, layouts, seeds)


def outputs_of(length: int, seen: list[slice]) -> list[list[int]]:
    """The places that each tap sees, output by output."""
    return [list(range(length))[tap] for tap in seen]


@given(draws, taps(), sizes, sizes, sizes)
def test_unfold_and_fold(draw: Draw, axis: tuple[int, list[slice]], H: int, C: int, N: int) -> None:
    W, across = axis
    places = outputs_of(W, across)
    k, Q = len(places), len(places[0])
    x, dy = draw(H, C, W, N), draw(H, C, k, Q, N)
    held = x.copy(), dy.copy()

    out = draw.out(H, C, k, Q, N)
    assert ops.unfold(x, across, out) is out
    back, right = draw.out(H, C, W, N), np.zeros((H, C, W, N))
    assert ops.fold(dy, across, back) is back
    for j in range(k):
        for q in range(Q):
            np.testing.assert_array_equal(out[:, :, j, q], x[:, :, places[j][q]])
            right[:, :, places[j][q]] += dy[:, :, j, q]
    np.testing.assert_array_equal(back, right)
    np.testing.assert_array_equal(x, held[0])
    np.testing.assert_array_equal(dy, held[1])


@given(draws, sizes, sizes, sizes, sizes, sizes)
def test_stacked_rows(draw: Draw, outputs: int, size: int, stride: int, dilation: int, width: int) -> None:
    x = draw((outputs - 1) * stride + (size - 1) * dilation + 1, width)
    y = ops.stacked_rows(x, outputs, size, stride, dilation)
    assert y.shape == (outputs, size, width)
    assert np.shares_memory(x, y)
    for p in range(outputs):
        for i in range(size):
            np.testing.assert_array_equal(y[p, i], x[p * stride + i * dilation])


@given(draws, sizes, sizes, sizes, sizes, sizes)
def test_matmul_stack(draw: Draw, stack: int, groups: int, n: int, d: int, m: int) -> None:
    for a, b in (
        (draw(stack, groups, n, d), draw(stack, groups, d, m)),
        (draw(groups, n, d), draw(stack, groups, m, d).swapaxes(2, 3)),
    ):
        out = draw.out(stack, groups, n, m)
        assert ops.matmul_stack(a, b, out) is out
        np.testing.assert_array_equal(out, (a[..., :, :, None] * b[..., None, :, :]).sum(axis=-2))


def test_matmul_stack_over_nothing_is_0() -> None:
    out = np.full((1, 2, 3), np.nan)
    np.testing.assert_array_equal(ops.matmul_stack(np.ones((1, 2, 0)), np.ones((1, 0, 3)), out), np.zeros((1, 2, 3)))


@given(draws, taps(), taps(), sizes, sizes)
def test_max_window_and_sum_window(draw: Draw, down: Any, across: Any, C: int, N: int) -> None:
    (H, row_taps), (W, column_taps) = down, across
    both = [(rows, columns) for rows in row_taps for columns in column_taps]
    places = [[(h, w) for h in range(H)[rows] for w in range(W)[columns]] for rows, columns in both]
    P, Q = len(range(H)[row_taps[0]]), len(range(W)[column_taps[0]])
    x, dy = draw(H, C, W, N), draw(P, C, Q, N)
    held = x.copy(), dy.copy()

    y, total = draw.out(P, C, Q, N), draw.out(P, C, Q, N)
    assert ops.max_window(x, both, y) is y
    assert ops.sum_window(x, both, total) is total
    dx_max, dx_sum, work = draw.out(H, C, W, N), draw.out(H, C, W, N), draw.out(P, C, Q, N)
    hits = np.ones((2, P, C, Q, N), bool)
    assert ops.max_window_backward(dy, y, x, both, dx_max, hits, work) is dx_max
    assert ops.sum_window_backward(dy, both, dx_sum) is dx_sum
    right_max, right_sum = np.zeros((2, H, C, W, N))
    for p, c, q, n in np.ndindex(P, C, Q, N):
        seen = [tap[p * Q + q] for tap in places]
        values = [x[h, c, w, n] for h, w in seen]
        assert y[p, c, q, n] == max(values)
        assert total[p, c, q, n] == sum(values)
        h, w = seen[values.index(max(values))]
        right_max[h, c, w, n] += dy[p, c, q, n]
        for h, w in seen:
            right_sum[h, c, w, n] += dy[p, c, q, n]
    np.testing.assert_array_equal(dx_max, right_max)
    np.testing.assert_array_equal(dx_sum, right_sum)
    np.testing.assert_array_equal(x, held[0])
    np.testing.assert_array_equal(dy, held[1])


@given(draws, taps(), taps(), st.data())
def test_max_window_keeps_nan(draw: Draw, down: Any, across: Any, data: st.DataObject) -> None:
    (H, row_taps), (W, column_taps) = down, across
    both = [(rows, columns) for rows in row_taps for columns in column_taps]
    x = np.zeros((H, 1, W, 1), draw.dtype)
    h, w = data.draw(st.integers(0, H - 1)), data.draw(st.integers(0, W - 1))
    x[h, 0, w, 0] = np.nan
    y = draw.out(len(range(H)[row_taps[0]]), 1, len(range(W)[column_taps[0]]), 1)
    ops.max_window(x, both, y)
    seen = sum(np.isnan(x[rows, :, columns]) for rows, columns in both) > 0
    np.testing.assert_array_equal(np.isnan(y), seen)


@given(draws, sizes, sizes, sizes, sizes)
def test_the_largest_pixel(draw: Draw, N: int, C: int, H: int, W: int) -> None:
    x, dy = draw(N, C, H, W), draw(N, C)
    held = x.copy(), dy.copy()
    y, first = draw.out(N, C), np.full((N, C), -1)
    assert ops.max_pixel(x, y, first) is y
    dx, right = draw.out(N, C, H, W), np.zeros((N, C, H, W))
    assert ops.max_pixel_backward(dy, first, dx) is dx
    for n, c in np.ndindex(N, C):
        values = [x[n, c, h, w] for h, w in np.ndindex(H, W)]
        place = values.index(max(values))
        assert y[n, c] == max(values) and first[n, c] == place
        right[n, c, place // W, place % W] = dy[n, c]
    np.testing.assert_array_equal(dx, right)
    np.testing.assert_array_equal(x, held[0])
    np.testing.assert_array_equal(dy, held[1])
