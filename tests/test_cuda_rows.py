"""Verbs of rows as CUDA kernels: softmax, its cross-entropy, rows gathered and added up again."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from cuda_emulator import EmulatedDevice, needs_a_compiler, on_device
from cuda_parity import DEVICES, compare
from hypothesis import given, settings
from strategies import laid_out
from test_cuda_elementwise import Draw, devices, draws, dtypes, seeds

from tinynn.cuda.reductions import ROWS, lanes, row_blocks

pytestmark = needs_a_compiler

DEVICE = DEVICES["as it is"]
rows = st.sampled_from([(1, 1), (1, 10), (3, 2), (300, 10), (600, 3), (2, 32), (2, 33), (1, 256), (3, 257), (2, 700)])
"""Rows for a thread and for a block, few and many of them: 32 and 512 are where it changes."""


@settings(max_examples=50)
@given(devices, draws, rows, st.booleans())
def test_softmax(device: EmulatedDevice, draw: Draw, shape: tuple[int, ...], deep: bool) -> None:
    shape = (2, *shape) if deep else shape
    for name in ("softmax", "log_softmax"):
        args = [draw(*shape), draw.out(*shape), draw.out(*shape, dtype="float64")]
        compare(device, name, args, [1], name, work=[2], near=True)


@settings(max_examples=50)
@given(devices, dtypes, seeds, rows)
def test_softmax_backward(device: EmulatedDevice, dtype: str, seed: int, shape: tuple[int, ...]) -> None:
    draw = Draw(dtype, False, seed)
    p = np.exp(draw(*shape))
    p /= p.sum(axis=1, keepdims=True)
    compare(device, "softmax_backward", [draw(*shape), p, draw.out(*shape)], [2], "softmax_backward", near=True)
    args = [draw(*shape), np.log(p), draw.out(*shape)]
    # The sums of many numbers in float32 are the device's to round better than NumPy.
    if dtype == "float64":
        compare(device, "log_softmax_backward", args, [2], "log_softmax_backward", near=True)
    else:
        exact = args[0] - p.astype(np.float64) * args[0].sum(axis=1, dtype=np.float64, keepdims=True)
        device.log_softmax_backward(*map(on_device, args))
        np.testing.assert_allclose(args[2], exact, rtol=0, atol=2e-6 * np.abs(exact).max())


def targets_of(draw: Draw, n: int, C: int, kind: str) -> np.ndarray:
    """Labels, or rows that sum to 1 or to something else."""
    if kind in ("float32", "float64"):
        t = draw.rng.dirichlet(np.ones(C), n) * draw.rng.choice([0.0, 1.0, 2.5], (n, 1))
        return np.ascontiguousarray(t, kind)
    return draw.rng.integers(0, min(C, 128), n).astype(kind)


kinds = st.sampled_from(["int64", "int32", "uint8", "uint32", "float32", "float64"])


@settings(max_examples=80)
@given(devices, draws, rows, kinds)
def test_softmax_cross_entropy(device: EmulatedDevice, draw: Draw, shape: Any, kind: str) -> None:
    n, C = shape
    targets = targets_of(draw, n, C, kind)
    args = [draw(n, C), targets, draw.out(n, C, dtype="float64"), draw.out()]
    few = n <= 512 and C <= 32
    compare(device, "softmax_cross_entropy", args, [2, 3], *(["mean_loss"] if few else ["losses", "mean"]), near=True)


@settings(max_examples=80)
@given(devices, dtypes, seeds, rows, kinds, st.sampled_from(["number", "NumPy's number", "float32", "float64"]))
def test_its_gradient(device: EmulatedDevice, dtype: str, seed: int, shape: Any, kind: str, scale: str) -> None:
    draw, (n, C) = Draw(dtype, False, seed), shape
    p, targets = np.exp(draw(n, C).astype(np.float64)), targets_of(Draw(dtype, False, seed), n, C, kind)
    p /= p.sum(axis=1, keepdims=True)
    factor: Any = 0.7 / n if scale == "number" else np.float32(0.3) if scale[0] == "N" else np.array(0.7 / n, scale)
    args = [p, targets, factor, draw.out(n, C)]
    out = draw.out(n, C)
    compare(device, "softmax_cross_entropy_backward", args, [3], "gradient", near=True)
    DEVICE.softmax_cross_entropy_backward(on_device(p), on_device(targets), 1.0, on_device(out))
    np.testing.assert_allclose(out.sum(axis=1), 0, atol=4 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("C", [3, 40])
def test_a_small_loss_and_a_p_near_1_keep_their_digits(C: int) -> None:
    scores, labels, p, L = np.zeros((1, C)), np.array([1]), np.empty((1, C)), np.empty(())
    scores[0, 1] = 60.0
    DEVICE.softmax_cross_entropy(*map(on_device, (scores, labels, p, L)))
    assert float(L) == pytest.approx((C - 1) * math.exp(-60), rel=1e-14, abs=0)
    for targets in (labels, np.eye(C)[labels]):
        out = np.empty((1, C))
        DEVICE.softmax_cross_entropy_backward(on_device(p), on_device(targets), 1.0, on_device(out))
        assert out[0, 1] == pytest.approx(-(C - 1) * math.exp(-60), rel=1e-14, abs=0)


@pytest.mark.parametrize("C", [3, 40])
@pytest.mark.parametrize("label", [-1, -(2**40), 50, 2**62])
def test_labels_out_of_range_read_nothing_else(C: int, label: int) -> None:
    scores, labels = np.zeros((2, C)), np.array([0, label])
    p, L, out = np.empty((2, C)), np.empty(()), np.full((2, C), np.nan)
    DEVICE.softmax_cross_entropy(*map(on_device, (scores, labels, p, L)))
    assert float(L) == pytest.approx(math.log(C))
    DEVICE.softmax_cross_entropy_backward(on_device(p), on_device(labels), 1.0, on_device(out))
    assert np.isfinite(out).all()


@pytest.mark.parametrize("layout", ["column-major", "strided", "reversed", "rows of a wider array"])
def test_other_layouts_of_rows_take_the_reference(layout: str) -> None:
    draw = Draw("float32", False, 3)
    x, out, work = laid_out(draw(5, 8), layout), draw.out(5, 8), draw.out(5, 8, dtype="float64")
    labels = np.array([0, 1, 7, 7, 2])
    compare(DEVICE, "softmax", [x, out, work], [1], work=[2], near=True)
    compare(DEVICE, "softmax", [draw(5, 8), out, laid_out(work, layout)], [1], work=[2], near=True)
    compare(DEVICE, "softmax", [draw(5, 8), out, draw.out(5, 8)], [1], work=[2], near=True)  # not in float64
    compare(DEVICE, "log_softmax_backward", [draw(5, 8), x, out], [2], near=True)
    compare(DEVICE, "softmax_cross_entropy", [x, labels, work, draw.out()], [2, 3], near=True)
    every_other = np.repeat(labels, 2)[::2]
    compare(DEVICE, "softmax_cross_entropy", [draw(5, 8), every_other, work, draw.out()], [2, 3], near=True)
    args = [draw(5, 8), labels, work, draw.out(dtype="float64")]  # a loss of another dtype than the scores
    compare(DEVICE, "softmax_cross_entropy", args, [2, 3], near=True)
    p = laid_out(draw(5, 8).astype(float), layout)
    compare(DEVICE, "softmax_cross_entropy_backward", [p, labels, 0.5, out], [3], near=True)


def test_row_maxima() -> None:
    x = np.random.default_rng(3).standard_normal((4, 2, 5))
    x[1, 1, 2] = np.nan
    for part in (x, x[:1, 0]):
        found = DEVICE.to_host(DEVICE.row_maxima(on_device(part)))
        np.testing.assert_array_equal(found, part.max(axis=-1, keepdims=True))


@pytest.mark.parametrize("C", [7, 300])
def test_every_element_is_right_to_a_few_ulp(C: int) -> None:
    x = np.random.default_rng(1).uniform(-80, 0, (4, C)).astype("float32")
    out, work = np.empty_like(x), np.empty(x.shape)
    z = x - x.max(axis=1, keepdims=True).astype(float)
    right = z - np.log1p(np.where(z < 0, np.exp(z), 0).sum(axis=1, keepdims=True))
    DEVICE.softmax(*map(on_device, (x, out, work)))
    np.testing.assert_allclose(out, np.exp(right), rtol=3e-7)
    DEVICE.log_softmax(*map(on_device, (x, out, work)))
    np.testing.assert_allclose(out, right, rtol=3e-7)


@pytest.mark.parametrize("C", [1, 5, 32, 33, 256, 300, 1000])
def test_the_largest_of_a_row_and_its_first_place(C: int) -> None:
    source = """
extern "C" __global__ void probe(const double* x, double* top, long long* place, long long n, long long C) {
    EACH_ROW(r, n) {
        Top found = row_top(x + r * C, C);
        if (LANE == 0) {
            top[r] = found.value;
            place[r] = found.place;
        }
    }
}
"""
    x = np.random.default_rng(C).integers(0, 3, (9, C)).astype(float)
    x[1:3][np.random.default_rng(C).random((2, C)) < 0.1] = np.nan
    x[3:5][np.random.default_rng(C).random((2, C)) < 0.1] = np.inf
    x[5], x[6] = -np.inf, np.nan
    top, place = np.zeros(9), np.zeros(9, np.int64)
    DEVICE.kernels.launch(ROWS + source, lanes(C), "probe", row_blocks(9, C), *map(on_device, (x, top, place)), 9, C)
    np.testing.assert_array_equal(place, x.argmax(axis=1))
    np.testing.assert_array_equal(top, x.max(axis=1))


def test_blocks_for_rows() -> None:
    assert [row_blocks(n, 32) for n in (1, 256, 257)] == [1, 1, 2]
    assert row_blocks(257, 33) == 257


# --- gathered rows

lengths = st.sampled_from([(), (1,), (3,), (2, 5), (64,), (700,)])
numbers = st.sampled_from([0, 1, 2, 9, 300, 700])
indices = st.sampled_from(["int64", "int32", "uint8", "uint32"])


@settings(max_examples=80)
@given(devices, st.sampled_from(["uint8", "float32", "float64", "int64", "bool"]), lengths, numbers, indices, seeds)
def test_take(device: EmulatedDevice, dtype: str, length: Any, n: int, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, which = rng.integers(0, 2, (11, *length)).astype(dtype), rng.integers(0, 11, n).astype(kind)
    kernels = ["gather"] if n else []
    compare(device, "take", [x, which, np.zeros((n, *length), dtype)], [2], *kernels)
    compare(device, "look_up", [x, which, np.zeros((n, *length), dtype)], [2], *kernels)
    for other in ("float32", "float64"):  # gathered and converted
        out = np.full((n, *length), np.nan, other)
        device.take(on_device(x), which, on_device(out))  # rows that the host has
        np.testing.assert_array_equal(out, x[which])


def test_rows_out_of_range_begin_again_and_read_nothing_else() -> None:
    x, which = np.arange(12.0).reshape(4, 3), np.array([-1, 4, 9, -9, 2**40])
    out = np.empty((5, 3))
    DEVICE.take(*map(on_device, (x, which, out)))
    np.testing.assert_array_equal(out, x[which % 4])


@settings(max_examples=60)
@given(devices, dtypes, st.sampled_from([1, 3, 40, 300]), lengths, numbers, indices, seeds)
def test_look_up_and_its_backward(device: Any, dtype: str, V: int, length: Any, n: int, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    which = np.minimum(rng.integers(0, V, (n, 2)) // rng.integers(1, 4), 255).astype(kind)
    dy, out = rng.standard_normal((n, 2, *length)).astype(dtype), np.full((V, *length), np.nan, dtype)
    compare(device, "look_up_backward", [dy, which, out], [2], "scatter_sums")  # added in the order of the places
    compare(device, "look_up", [out, which, dy], [2], *(["gather"] if n else []))


def test_without_elements_nothing_is_launched() -> None:
    rows, none = np.empty((0, 3)), np.empty(0, int)
    compare(DEVICE, "softmax", [rows, rows.copy(), rows.copy()], [1])
    compare(DEVICE, "log_softmax_backward", [rows, rows.copy(), rows.copy()], [2])
    compare(DEVICE, "take", [rows, none, rows.copy()], [2])


def test_a_factor_of_a_gradient_that_is_no_float_takes_the_reference() -> None:
    draw = Draw("float64", False, 3)
    p, labels = np.abs(draw(5, 8)), np.array([0, 1, 7, 7, 2])
    for factor in (np.array(2), np.array([0.5] * 8)):
        compare(DEVICE, "softmax_cross_entropy_backward", [p, labels, factor, draw.out(5, 8)], [3], near=True)


def test_other_layouts_of_gathers_take_the_reference() -> None:
    x, which = np.arange(24.0).reshape(6, 4), np.array([1, 1, 5])
    compare(DEVICE, "take", [x[:, ::2], which, np.empty((3, 2))], [2])
    compare(DEVICE, "take", [x[:, :2].copy(), np.repeat(which, 2)[::2], np.empty((3, 2))], [2])
    compare(DEVICE, "look_up", [x, which, np.empty((4, 3)).T], [2])
    compare(DEVICE, "look_up_backward", [x[1:4][::-1], which, np.empty((7, 4))], [2])
    compare(DEVICE, "look_up_backward", [x[0], which[:1], np.empty((7, 4))], [2])  # a row that NumPy would stretch
    half, out = x.astype("float16"), np.empty((3, 4), "float32")
    DEVICE.take(*map(on_device, (half, which, out)))
    np.testing.assert_array_equal(out, half[which])
