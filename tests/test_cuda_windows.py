"""Sliding windows as CUDA kernels: NumPy's bits for every window that a layer can have."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from cuda_emulator import EmulatedDevice, needs_a_compiler
from cuda_parity import DEVICES, compare
from hypothesis import given, settings
from strategies import laid_out
from test_cuda_elementwise import Draw, devices, draws, dtypes, seeds
from test_window_verbs import taps

from tinynn.cuda.windows import axis

pytestmark = needs_a_compiler

DEVICE = DEVICES["as it is"]
sizes = st.integers(1, 3)
batches = st.sampled_from([1, 3, 70])


class Ties(Draw):
    """Whole numbers, many of them equal, with or without NaN and Inf among them."""

    def __call__(self, *shape: int) -> np.ndarray:
        x = self.rng.integers(-2, 3, shape).astype(self.dtype)
        if self.special:
            x[self.rng.random(shape) < 0.1] = self.rng.choice([np.nan, np.inf, -np.inf])
        return x


ties = st.builds(Ties, dtypes, st.booleans(), seeds)


@settings(max_examples=80)
@given(devices, draws, taps(), sizes, sizes, batches)
def test_unfold_and_fold(device: EmulatedDevice, draw: Draw, across: Any, H: int, C: int, N: int) -> None:
    W, seen = across
    k, Q = len(seen), len(range(W)[seen[0]])
    compare(device, "unfold", [draw(H, C, W, N), seen, draw.out(H, C, k, Q, N)], [2], "unfold")
    compare(device, "fold", [draw(H, C, k, Q, N), seen, draw.out(H, C, W, N)], [2], "fold")


@settings(max_examples=120)
@given(devices, ties, taps(), taps(), sizes, batches)
def test_pooling(device: EmulatedDevice, draw: Ties, down: Any, across: Any, C: int, N: int) -> None:
    (H, rows), (W, columns) = down, across
    both = [(h, w) for h in rows for w in columns]
    P, Q = len(range(H)[rows[0]]), len(range(W)[columns[0]])
    x, dy, y = draw(H, C, W, N), draw.finite(P, C, Q, N), draw.out(P, C, Q, N)
    compare(device, "max_window", [x, both, y], [2], "max_window")
    compare(device, "sum_window", [x, both, y], [2], "sum_window")
    compare(device, "sum_window_backward", [dy, both, draw.out(H, C, W, N)], [2], "sum_window_backward")
    y[...] = np.maximum.reduce([x[h, :, w] for h, w in both])
    hits, work = np.zeros((2, P, C, Q, N), bool), draw.out(P, C, Q, N)
    args = [dy, y, x, both, draw.out(H, C, W, N), hits, work]
    compare(device, "max_window_backward", args, [4], "max_window_backward", work=[5, 6])


@pytest.mark.parametrize("layout", ["column-major", "strided", "reversed", "rows of a wider array"])
def test_other_layouts_take_the_reference(layout: str) -> None:
    draw, seen = Ties("float32", False, 2), [slice(0, 3, 2), slice(1, 4, 2)]
    both = [(h, w) for h in seen for w in seen]
    x, y, dy = laid_out(draw(4, 2, 4, 3), layout), draw.out(2, 2, 2, 3), draw.finite(2, 2, 2, 3)
    compare(DEVICE, "unfold", [x, seen, draw.out(4, 2, 2, 2, 3)], [2])
    compare(DEVICE, "fold", [draw(4, 2, 2, 2, 3), seen, x], [2])
    compare(DEVICE, "max_window", [x, both, y], [2])
    compare(DEVICE, "sum_window_backward", [laid_out(dy, layout), both, draw.out(4, 2, 4, 3)], [2])
    y[...] = np.maximum.reduce([x[h, :, w] for h, w in both])
    hits, work = np.zeros((2, 2, 2, 2, 3), bool), draw.out(2, 2, 2, 3)
    args = [dy, y, x, both, draw.out(4, 2, 4, 3), hits, work]
    compare(DEVICE, "max_window_backward", args, [4], work=[5, 6])


def test_taps_of_no_grid_take_the_reference() -> None:
    draw = Ties("float64", False, 2)
    x, y = draw(4, 2, 4, 3), draw.out(2, 2, 2, 3)
    places = [slice(0, 2), slice(1, 3), slice(2, 4)]
    for both in (
        [(places[0], places[0]), (places[1], places[1])],  # a diagonal
        [(places[0], places[0]), (places[0], places[1]), (places[1], places[0])],  # three of four
        [(places[0], slice(0, 2)), (places[0], slice(0, 3, 2))],  # of different steps
    ):
        compare(DEVICE, "max_window", [x, both, y], [2])
        compare(DEVICE, "sum_window_backward", [y * 0 + 1, both, x], [2])
    compare(DEVICE, "unfold", [x, [slice(0, 2), slice(2, 4), slice(1, 3)], draw.out(4, 2, 3, 2, 3)], [2])
    compare(DEVICE, "unfold", [x, [slice(2, 4), slice(1, 3), slice(0, 2)], draw.out(4, 2, 3, 2, 3)], [2], "unfold")


def test_no_images_launch_nothing() -> None:
    draw, seen = Ties("float32", False, 2), [slice(0, 3, 2), slice(1, 4, 2)]
    both = [(h, w) for h in seen for w in seen]
    x, y = draw.out(4, 2, 4, 0), draw.out(2, 2, 2, 0)
    compare(DEVICE, "unfold", [x, seen, draw.out(4, 2, 2, 2, 0)], [2])
    compare(DEVICE, "max_window", [x, both, y], [2])
    compare(DEVICE, "sum_window_backward", [y, both, x], [2])
    pixels, top, first = draw.out(0, 3, 4, 4), draw.out(0, 3), np.empty((0, 3), int)
    compare(DEVICE, "max_pixel", [pixels, top, first], [1, 2])
    compare(DEVICE, "max_pixel_backward", [top, first, pixels], [2])


def test_windows_that_are_not_those_of_the_taps_take_the_reference() -> None:
    draw, both = Ties("float64", False, 2), [(slice(0, 3, 2), slice(0, 3, 2))]
    x = draw(4, 2, 4, 3)
    for y in (draw(2, 1, 2, 3), draw(2, 3)):  # NumPy would stretch them
        compare(DEVICE, "sum_window_backward", [y, both, x], [2])


def test_axis_reads_slices_as_arrays_do() -> None:
    assert axis([slice(0, 5, 2), slice(1, 6, 2)], 6) == (0, 1, 2, 2, 3)
    assert axis([slice(None)], 4) == (0, 1, 1, 1, 4)
    assert axis([slice(-3, None), slice(-4, -1)], 5) == (2, -1, 1, 2, 3)
    assert axis([slice(0, 3), slice(1, 9)], 4) == (0, 1, 1, 2, 3)
    assert axis([slice(0, 4), slice(1, 5)], 4) is None  # the second sees one less
    assert axis([slice(3, None, -1)], 4) is None
    assert axis([slice(4, 4)], 4) is None


@settings(max_examples=80)
@given(devices, ties, sizes, sizes, sizes, sizes, st.sampled_from(["contiguous", "in rows", "reversed", "strided"]))
def test_the_largest_pixel(device: Any, draw: Ties, N: int, C: int, H: int, W: int, layout: str) -> None:
    def arranged(x: np.ndarray) -> np.ndarray:
        return x.transpose(2, 1, 3, 0).copy().transpose(3, 1, 0, 2) if layout == "in rows" else laid_out(x, layout)

    args = [arranged(draw(40 * N, C, H, W)), draw.out(40 * N, C), np.full((40 * N, C), -1)]
    compare(device, "max_pixel", args, [1, 2], "max_pixel")
    dy, first = draw.finite(40 * N, C), draw.rng.integers(0, H * W, (40 * N, C))
    out = arranged(draw.out(40 * N, C, H, W))
    compare(device, "max_pixel_backward", [dy, first, out], [2], "max_pixel_backward")
    compare(device, "max_pixel_backward", [dy, first.astype("int32"), out], [2])
    compare(device, "max_pixel", [args[0], args[1], args[2].astype("int32")], [1, 2])
