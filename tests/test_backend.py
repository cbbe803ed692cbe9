"""Every verb of the NumPy backend against its formula written out plainly, in float64.

`out` is what comes back and is written in full, over whatever was there; what is only read stays as it was.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from strategies import laid_out, layouts

from tinynn import Adam, Affine, ConfigurationError, DeviceError, Sequential, Sigmoid, SoftmaxCrossEntropy, fit
from tinynn.backend import NumpyOps, Ops, get_backend
from tinynn.testing import FakeDevice

ops = NumpyOps()
dtypes = st.sampled_from(["float32", "float64"])
sizes = st.integers(1, 6)
seeds = st.integers(0, 999)


class Draw:
    """Arrays of one dtype, in one memory layout, from one seed."""

    def __init__(self, dtype: str, layout: str, seed: int) -> None:
        self.dtype, self.layout, self.rng = np.dtype(dtype), layout, np.random.default_rng(seed)

    def __call__(self, *shape: int) -> np.ndarray:
        return laid_out(self.rng.standard_normal(shape).astype(self.dtype), self.layout)

    def out(self, *shape: int, dtype: Any = None) -> np.ndarray:
        """NaN throughout: an element that is not written shows."""
        return np.full(shape, np.nan, self.dtype if dtype is None else dtype)


draws = st.builds(Draw, dtypes, layouts, seeds)
shapes = hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)


def check(verb: Callable[..., Any], formula: Any, inputs: list[np.ndarray], out: np.ndarray, *more: Any) -> None:
    """Verb(*inputs, *more, out) writes the formula's value into out, returns out, and leaves the inputs alone."""
    before = [x.copy() for x in inputs]
    right = formula(*(x.astype(np.float64) if x.dtype.kind == "f" else x for x in inputs))
    names = list(inspect.signature(verb).parameters)
    assert verb(**dict(zip(names, inputs, strict=False)), **dict(more), out=out) is out
    eps = float(np.finfo(out.dtype).eps)
    np.testing.assert_allclose(out, right, rtol=16 * eps, atol=16 * eps * max(1.0, float(np.abs(right).max())))
    for x, old in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(x, old)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


@given(draws, sizes, sizes, sizes)
def test_matmul(draw: Draw, n: int, d: int, m: int) -> None:
    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a[:, :, None] * b[None]).sum(axis=1)

    check(ops.matmul, product, [draw(n, d), draw(d, m)], draw.out(n, m))
    check(ops.matmul, product, [draw(d, n).T, draw(d, m)], draw.out(n, m))
    check(ops.matmul, product, [draw(n, d), draw(m, d).T], draw.out(n, m))


@given(draws, sizes, sizes, sizes)
def test_affine(draw: Draw, n: int, d: int, m: int) -> None:
    def affine(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (x[:, :, None] * W[None]).sum(axis=1) + b

    check(ops.affine, affine, [draw(n, d), draw(d, m), draw(m)], draw.out(n, m))


@given(draws, shapes)
def test_relu(draw: Draw, shape: tuple[int, ...]) -> None:
    check(ops.relu, lambda x: np.maximum(x, 0), [draw(*shape)], draw.out(*shape))
    x = np.array([np.nan, np.inf, -np.inf, -0.0], draw.dtype)
    np.testing.assert_array_equal(ops.relu(x, draw.out(4)), [np.nan, np.inf, 0, 0])


@given(draws, shapes)
def test_relu_backward(draw: Draw, shape: tuple[int, ...]) -> None:
    y = np.maximum(draw(*shape), 0)
    check(ops.relu_backward, lambda dy, y: np.where(y > 0, dy, 0), [draw(*shape), y], draw.out(*shape))


@given(draws, shapes)
def test_sigmoid(draw: Draw, shape: tuple[int, ...]) -> None:
    x = draw(*shape) * 3
    check(ops.sigmoid, sigmoid, [x], draw.out(*shape), ("work", draw.out(*shape)))


@given(draws, shapes)
def test_sigmoid_backward(draw: Draw, shape: tuple[int, ...]) -> None:
    y = sigmoid(draw(*shape))
    check(ops.sigmoid_backward, lambda dy, y: dy * y * (1 - y), [draw(*shape), y], draw.out(*shape))


@given(draws, shapes)
def test_tanh_backward(draw: Draw, shape: tuple[int, ...]) -> None:
    y = np.tanh(draw(*shape))
    check(ops.tanh_backward, lambda dy, y: dy * (1 - y * y), [draw(*shape), y], draw.out(*shape))


@given(draws, sizes, sizes)
def test_softmax(draw: Draw, n: int, classes: int) -> None:
    work = draw.out(n, classes, dtype="float64")
    check(ops.softmax, softmax, [draw(n, classes) * 4], draw.out(n, classes), ("work", work))


@given(draws, sizes, sizes)
def test_softmax_backward(draw: Draw, n: int, classes: int) -> None:
    def formula(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        jacobian = [np.diag(row) - np.outer(row, row) for row in y]
        return np.array([J @ row for J, row in zip(jacobian, dy, strict=True)])

    y = softmax(draw(n, classes)).astype(draw.dtype)
    check(ops.softmax_backward, formula, [draw(n, classes), y], draw.out(n, classes))


@given(draws, sizes, sizes)
def test_log_softmax_and_its_backward(draw: Draw, n: int, classes: int) -> None:
    work = draw.out(n, classes, dtype="float64")
    check(ops.log_softmax, lambda x: np.log(softmax(x)), [draw(n, classes) * 4], draw.out(n, classes), ("work", work))

    def formula(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        jacobian = [np.eye(classes) - np.exp(row) for row in y]
        return np.array([row @ J for J, row in zip(jacobian, dy, strict=True)])

    y = np.log(softmax(draw(n, classes))).astype(draw.dtype)
    check(ops.log_softmax_backward, formula, [draw(n, classes), y], draw.out(n, classes))


@given(draws, sizes, st.integers(2, 6), st.booleans(), st.sampled_from(["int64", "uint8", "int32"]))
def test_softmax_cross_entropy_and_its_gradient(draw: Draw, n: int, classes: int, labels: bool, kind: str) -> None:
    scores = draw(n, classes)
    rows = np.eye(classes)[draw.rng.integers(0, classes, n)] if labels else draw.rng.dirichlet(np.ones(classes), n)
    rows = laid_out(rows.astype(draw.dtype), draw.layout)
    targets = rows.argmax(axis=1).astype(kind) if labels else rows
    held = scores.copy(), targets.copy()

    p = draw.out(n, classes, dtype="float64")
    loss = draw.out()
    assert ops.softmax_cross_entropy(scores, targets, p, loss) is loss
    right = softmax(scores.astype(np.float64))
    rounding = 1e-12 if draw.dtype == np.float64 else 1e-7
    assert float(loss) == pytest.approx(float(-(rows.astype(np.float64) * np.log(right)).sum() / n), rel=rounding)
    np.testing.assert_allclose(p, right, rtol=1e-13)

    before = p.copy()
    mass = rows.astype(np.float64).sum(axis=1, keepdims=True)

    def gradient(p: Any) -> Any:
        return 0.7 * (p * mass - rows)

    check(ops.softmax_cross_entropy_backward, gradient, [p], draw.out(n, classes), ("targets", targets), ("scale", 0.7))
    np.testing.assert_array_equal(p, before)
    np.testing.assert_array_equal(scores, held[0])
    np.testing.assert_array_equal(targets, held[1])


@pytest.mark.parametrize("label", [-1, -3, 3, 200])
def test_label_out_of_range_is_noticed(label: int) -> None:
    scores, labels = np.zeros((2, 3), np.float32), np.array([0, label])
    with pytest.raises(IndexError):
        ops.softmax_cross_entropy(scores, labels, np.empty((2, 3)), np.empty(()))
    with pytest.raises(IndexError, match="outside 0 to 2"):
        ops.check_labels(labels, 3)
    ops.check_labels(labels[:1], 3)


@given(st.sampled_from(["float32", "uint8"]), shapes, st.lists(st.integers(0, 9), min_size=1, max_size=12), seeds)
def test_take(dtype: str, shape: tuple[int, ...], rows: list[int], seed: int) -> None:
    x = np.random.default_rng(seed).integers(0, 255, (10, *shape)).astype(dtype)
    out = np.full((len(rows), *shape), 7, dtype)
    assert ops.take(x, np.array(rows), out) is out
    np.testing.assert_array_equal(out, np.array([x[row] for row in rows]))


@given(dtypes, st.integers(-5, 50))
def test_scalar(dtype: str, value: int) -> None:
    array = ops.scalar(value, np.dtype(dtype))
    assert (array.shape, array.dtype, float(array)) == ((), np.dtype(dtype), value)
    assert ops.scalar(value, np.dtype(dtype)) is array


@given(draws, sizes, st.integers(1, 12))
def test_row_maxima(draw: Draw, n: int, classes: int) -> None:
    x = draw(n, 2, classes)
    for rows in (x, x[:, 0], x[:1, 0]):
        expected = rows.max(axis=-1, keepdims=True)
        np.testing.assert_array_equal(np.broadcast_to(ops.row_maxima(rows), expected.shape), expected)
    spoilt = x.copy()
    spoilt[0, 0, -1] = np.nan
    assert np.isnan(ops.row_maxima(spoilt)[0, 0, 0])


@given(draws, sizes, st.integers(1, 12))
def test_row_sums(draw: Draw, n: int, classes: int) -> None:
    x = draw(n, classes)
    np.testing.assert_allclose(ops.row_sums(x), x.astype(np.float64).sum(axis=1, keepdims=True), rtol=0, atol=1e-5)


@given(dtypes, st.integers(0, 100))
def test_zeros(dtype: str, size: int) -> None:
    array = ops.zeros(size, dtype)
    assert array.dtype == dtype
    assert not size or array.ctypes.data % 64 == 0
    np.testing.assert_array_equal(array, np.zeros(size))


@given(dtypes, sizes, st.integers(0, 40), st.integers(0, 40), st.sampled_from([0.0, 0.25]), seeds)
def test_sgd_update(dtype: str, block: int, size: int, decayed: int, l2: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    params, grads = rng.standard_normal((2, size)).astype(dtype)
    decayed = min(decayed, size)
    held, l2_each = grads.copy(), np.where(np.arange(size) < decayed, l2, 0)
    right = params.astype(np.float64) - 0.5 * (grads.astype(np.float64) + l2_each * params.astype(np.float64))
    ops.sgd_update(params, grads, 0.5, l2, decayed, np.full(block, np.nan, dtype))
    np.testing.assert_allclose(params, right, rtol=0, atol=8 * float(np.finfo(dtype).eps))
    np.testing.assert_array_equal(grads, held)


def test_look_up_and_its_backward() -> None:
    x, rows = np.arange(6.0).reshape(3, 2), np.array([[2, 0, 2], [2, 2, 1]], np.uint32)
    out = np.full((2, 3, 2), np.nan)
    assert ops.look_up(x, rows, out) is out
    np.testing.assert_array_equal(out, x[rows])
    dy, back = np.arange(12.0).reshape(2, 3, 2), np.full((3, 2), np.nan)
    assert ops.look_up_backward(dy, rows, back) is back
    np.testing.assert_array_equal(back, [dy[0, 1], dy[1, 2], dy[0, 0] + dy[0, 2] + dy[1, 0] + dy[1, 1]])
    with pytest.raises(IndexError):
        ops.look_up(x, rows + np.uint32(1), out)


def test_asarray_copies_only_where_it_must() -> None:
    x = np.arange(3.0)
    assert ops.asarray(x) is x
    assert ops.asarray(x, "float64") is x
    assert ops.to_host(x) is x
    single = ops.asarray(x, np.float32)
    assert single.dtype == np.float32 and not np.shares_memory(single, x)
    np.testing.assert_array_equal(ops.asarray([[1, 2], [3, 4]]), np.array([[1, 2], [3, 4]]))


def test_wait() -> None:
    assert ops.wait() is None
    assert FakeDevice().wait() is None
    with pytest.raises(DeviceError, match="a wait for the device while a step is captured"):
        FakeDevice().capture_step(FakeDevice().wait, lambda: None)


def test_square_sum() -> None:
    x, device = np.random.default_rng(3).standard_normal((3, 4, 5)), FakeDevice()
    for y in (
        ops.square_sum(x, np.empty(())),
        device.to_host(device.square_sum(device.asarray(x), device.zeros(1, float)[0])),
    ):
        np.testing.assert_allclose(y, math.fsum((x * x).reshape(-1)), rtol=1e-13)


def test_row_dots() -> None:
    a, b = np.random.default_rng(3).standard_normal((2, 7, 5))
    device = FakeDevice()
    for dots in (ops.row_dots(a, b), device.to_host(device.row_dots(device.asarray(a), device.asarray(b)))):
        np.testing.assert_allclose(dots, [math.fsum(p) for p in a * b], rtol=1e-13, atol=1e-14)


class Plain(Ops):
    """A backend that has what it must have, and of all else the reference."""

    name = "plain"
    xp = np

    def asarray(self, x: Any, dtype: Any = None) -> np.ndarray:
        return np.asarray(x, dtype)

    def to_host(self, x: Any) -> np.ndarray:
        return np.asarray(x)

    def zeros(self, size: int, dtype: Any) -> np.ndarray:
        return np.zeros(size, dtype)

    def take(self, x: Any, rows: Any, out: Any) -> np.ndarray:
        return np.take(x, rows, axis=0, out=out)


def test_a_backend_needs_little_of_its_own_to_train_a_network() -> None:
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((40, 5)), rng.integers(0, 3, 40)
    found = []
    for backend in (NumpyOps(), Plain()):
        net = Sequential(Affine(7), Sigmoid(), Affine(3), SoftmaxCrossEntropy())
        net.build((5,), backend=backend, dtype="float64")
        fit(net, Adam(0.01), (x, labels), epochs=2, batch_size=8, progress=False)
        found.append(net.storage.params)
    np.testing.assert_allclose(*found, rtol=1e-10)
    assert {"asarray", "to_host", "zeros", "take"} == Ops.__abstractmethods__
    with pytest.raises(TypeError, match="take"):
        type("Less", (Plain,), {"take": Ops.take})()


def test_every_verb_is_called_by_itself_in_some_test() -> None:
    verbs = {name for name in dir(Ops) if callable(getattr(Ops, name)) and not name.startswith(("_", "capture"))}
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")).lower()
    assert {verb for verb in verbs if f"ops.{verb}(" in tests or f"(ops.{verb}," in tests} == verbs


def test_backend_by_name_or_as_it_is() -> None:
    assert isinstance(get_backend("numpy"), NumpyOps)
    assert get_backend(ops) is ops
    net = Sequential(Affine(2)).build((3,), backend=ops)
    assert net.ops is ops


@pytest.mark.parametrize("name", ["torch", "NumPy", "", None, 3, ["numpy"], np])
def test_unknown_backend_is_refused(name: Any) -> None:
    for call in (lambda: get_backend(name), lambda: Sequential(Affine(2)).build((3,), backend=name)):
        with pytest.raises(ConfigurationError, match="unknown backend") as caught:
            call()
        assert caught.value.got == repr(name)
        assert "'numpy'" in str(caught.value.expected)


class Rounds(NumpyOps):
    """A backend of somebody's own with another precision."""

    precision = "tf32"


def test_precision_is_a_gpus() -> None:
    for backend in ("numpy", "llvm", NumpyOps()):
        with pytest.raises(ConfigurationError, match="something that GPUs do") as caught:
            Sequential(Affine(2)).build((3,), backend=backend, precision="bfloat16")
        assert 'backend="cupy"' in str(caught.value.expected)
    with pytest.raises(ConfigurationError, match="unknown precision") as caught:
        Sequential(Affine(2)).build((3,), precision="float16")
    assert "'tf32'" in str(caught.value.expected)


def test_precision_of_a_backend_as_it_is() -> None:
    given: list[dict[str, Any]] = [{}, {"precision": "tf32"}]
    for precision in given:
        net = Sequential(Affine(2)).build((3,), backend=Rounds(), **precision)
        assert net.summary().splitlines()[-1] == "8 parameters, float32, products in tf32, numpy, input (3,)"
        assert copy.deepcopy(net).ops.precision == "tf32"
    with pytest.raises(ConfigurationError, match="something that GPUs do"):
        Sequential(Affine(2)).build((3,), backend=Rounds(), precision="bfloat16")
    with pytest.raises(ConfigurationError, match="float64 are multiplied as such"):
        Sequential(Affine(2)).build((3,), backend=Rounds(), dtype="float64")


@pytest.mark.parametrize("ops", [ops, FakeDevice()], ids=["numpy", "fake"])
def test_take_turns(ops: Any) -> None:
    x, order = np.random.default_rng(2).standard_normal((9, 4)), np.random.default_rng(3).integers(0, 9, (5, 3))
    for turn in (0, 4):
        outs = [ops.asarray(np.zeros((3, 4))), ops.asarray(np.zeros(3))]
        ops.take_turns([ops.asarray(x), ops.asarray(x[:, 1])], ops.asarray(order), ops.asarray([turn]), outs)
        np.testing.assert_array_equal(ops.to_host(outs[0]), x[order[turn]])
        np.testing.assert_array_equal(ops.to_host(outs[1]), x[order[turn], 1])


@pytest.mark.parametrize("ops", [ops, FakeDevice()], ids=["numpy", "fake"])
def test_sum_rows(ops: Any) -> None:
    x, out = np.random.default_rng(2).standard_normal((9, 4)), ops.asarray(np.zeros(4))
    assert ops.sum_rows(ops.asarray(x), out=out) is out
    np.testing.assert_allclose(ops.to_host(out), x.sum(axis=0), rtol=1e-14)


@pytest.mark.parametrize("ops", [ops, FakeDevice()], ids=["numpy", "fake"])
def test_tally(ops: Any) -> None:
    scores = np.array([[0.1, 0.9, 0.0], [2.0, 2.0, 1.0], [0.0, 0.0, 3.0], [5.0, 1.0, 1.0]], np.float32)
    labels, loss = np.array([1, 0, 1, 2]), np.float32(0.3)
    sums, counts = ops.asarray([10.0, 100.0]), ops.asarray([1, 2, 3])
    scores_there, loss_there = ops.asarray(scores), ops.asarray(loss)
    ops.tally(loss_there, scores_there, ops.asarray(labels), sums, counts)
    ops.tally(loss_there, scores_there, None, sums, counts)
    np.testing.assert_array_equal(ops.to_host(sums), [10 + 4 * float(loss) + 4 * float(loss), 108])
    np.testing.assert_array_equal(ops.to_host(counts), [3, 6, 5])
