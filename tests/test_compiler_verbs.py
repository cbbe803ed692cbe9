"""Verbs as machine code: windows, gathered rows, random numbers and the optimizers' updates have NumPy's bits."""

from __future__ import annotations

from functools import partial
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from compiler_helpers import assert_bits, machine_code, processors, twice
from hypothesis import given, settings
from strategies import laid_out
from test_window_verbs import taps

from tinynn import Affine, Optimizer, Sequential, SoftmaxCrossEntropy, fit
from tinynn.backend import NumpyOps, get_backend
from tinynn.compiler.program import understood

ops: Any = NumpyOps()
dtypes = st.sampled_from(["float32", "float64"])
layouts = st.sampled_from(["contiguous", "column-major", "strided", "reversed", "rows of a wider array"])
rows = st.sampled_from([1, 2, 5, 8, 17, 33])  # of a batch: the axis that lies closest in memory
seeds = st.integers(0, 999)


class Draw:
    """Whole numbers, so that sums are exact, many of them equal; `out` is full of 7."""

    def __init__(self, dtype: str, layout: str, wide: bool, seed: int) -> None:
        self.dtype, self.layout, self.wide, self.rng = dtype, layout, wide, np.random.default_rng(seed)

    def __call__(self, *shape: int) -> np.ndarray:
        return laid_out(self.rng.integers(-3, 4, shape).astype(self.dtype), self.layout)

    def out(self, *shape: int) -> np.ndarray:
        return laid_out(np.full(shape, 7, self.dtype), "rows of a wider array" if self.wide else "contiguous")


draws = st.builds(Draw, dtypes, layouts, st.booleans(), seeds)


def check(verb: Any, args: list[Any], arrays: list[np.ndarray]) -> None:
    for got, right in twice([partial(verb, *args)], arrays):
        assert_bits(got, right, zeros=False)  # 0 times a negative number is -0 in NumPy, and not added at all here


# --- windows


@settings(max_examples=40)
@given(draws, taps(), st.integers(1, 3), st.integers(1, 3), rows)
def test_unfold_and_fold(draw: Draw, axis: tuple[int, list[slice]], H: int, C: int, N: int) -> None:
    W, across = axis
    k, Q = len(across), len(range(W)[across[0]])
    x, u = draw(H, C, W, N), draw.out(H, C, k, Q, N)
    check(ops.unfold, [x, across, u], [x, u])
    dy, dx = draw(H, C, k, Q, N), draw.out(H, C, W, N)
    check(ops.fold, [dy, across, dx], [dy, dx])


@settings(max_examples=30)
@given(draws, taps(), taps(), st.integers(1, 3), rows)
def test_pooling(draw: Draw, down: Any, across: Any, C: int, N: int) -> None:
    pooling(draw, down, across, C, N)


def pooling(draw: Draw, rows: tuple[int, list[slice]], columns: tuple[int, list[slice]], C: int, N: int) -> None:
    (H, down), (W, across) = rows, columns
    both = [(h, w) for h in down for w in across]
    P, Q = len(range(H)[down[0]]), len(range(W)[across[0]])
    x, dy, y, total = draw(H, C, W, N), draw(P, C, Q, N), draw.out(P, C, Q, N), draw.out(P, C, Q, N)
    check(ops.max_window, [x, both, y], [x, y])
    check(ops.sum_window, [x, both, total], [x, total])
    dx, hits, work = draw.out(H, C, W, N), np.empty((2, P, C, Q, N), bool), draw.out(P, C, Q, N)
    check(ops.max_window_backward, [dy, y, x, both, dx, hits, work], [dy, x, y, dx])
    check(ops.sum_window_backward, [dy, both, dx], [dy, dx])


GEOMETRIES = {
    "tiles": (4, [slice(i, i + 3, 2) for i in range(2)]),
    "tiles and a rest": (5, [slice(i, i + 3, 2) for i in range(2)]),
    "overlapping": (7, [slice(i, i + 5, 2) for i in range(3)]),
    "dilated": (8, [slice(i, i + 4, 1) for i in (0, 2, 4)]),
    "gaps": (8, [slice(0, 7, 3)]),
}


@pytest.mark.usefixtures(processors.__name__)
@pytest.mark.parametrize("name", GEOMETRIES)
def test_pooling_as_networks_do_it(name: str) -> None:
    for N in (1, 20):
        pooling(Draw("float32", "contiguous", False, N), GEOMETRIES[name], GEOMETRIES[name], 2, N)


@settings(max_examples=20)
@given(draws, taps(), taps(), st.data())
def test_pooling_keeps_nan(draw: Draw, down: Any, across: Any, data: st.DataObject) -> None:
    (H, down), (W, across) = down, across
    both = [(h, w) for h in down for w in across]
    x = draw(H, 1, W, 3)
    y = draw.out(len(range(H)[down[0]]), 1, len(range(W)[across[0]]), 3)
    x[data.draw(st.integers(0, H - 1)), 0, data.draw(st.integers(0, W - 1)), 1] = np.nan
    check(ops.max_window, [x, both, y], [y])


# --- rows and random numbers


@settings(max_examples=40)
@given(
    st.sampled_from(["float32", "float64", "uint8", "int64", "int16", "bool"]),
    st.lists(st.sampled_from([1, 3, 8, 17]), max_size=3),
    st.sampled_from(["int64", "int32", "uint8", "uint64"]),
    st.lists(st.integers(0, 9), min_size=1, max_size=12),
)
def test_take(dtype: str, shape: list[int], kind: str, order: list[int]) -> None:
    x = np.random.default_rng(0).integers(0, 255, (10, *shape)).astype(dtype)
    room = np.full((len(order) + 2, *shape), 1, dtype)
    check(ops.take, [x, np.array(order, kind), room[1:-1]], [x, room])


@pytest.mark.parametrize("kind", ["int64", "int32", "int8"])
def test_no_row_outside_the_table_is_ever_read(kind: str) -> None:
    room = np.full((9, 5), np.nan)
    x, out = room[2:-2], np.full((4, 5), 7.0)
    x[...] = np.arange(25).reshape(5, 5)
    machine_code([partial(ops.take, x, np.array([5, -1, 100, 2], kind), out)])()
    np.testing.assert_array_equal(out, x[[4, 4, 4, 2]])


def test_rows_of_other_forms_are_left_to_numpy() -> None:
    x, out = np.zeros((4, 3)), np.zeros((2, 3))
    for args in [
        (x, np.array([[0, 1], [2, 3]]), np.zeros((2, 2, 3))),
        (x.T, np.array([0, 1]), np.zeros((2, 4))),
        (x, np.array([0.0, 1.0]), out),
        (x.astype("f4"), np.array([0, 1]), out),
        (x, np.arange(4)[::2], out),
    ]:
        assert understood(partial(ops.take, *args), ()) is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stream", ["float32", "float64"])
def test_uniform(dtype: str, stream: str) -> None:
    for size, key, step in ((1, 0, 0), (3, 1, 2), (16, 2**24 - 1, 5), (1000, 12345, 2**24 - 1), (77, 7, 1)):
        out, bits = np.full((size, 3), 7, dtype), np.empty(3 * size, np.uint32)
        for first in ((), (5,), (2**32 - 2,), (2**40 + 3,)):
            check(ops.uniform, [np.array([key, step], stream), out, bits, *first], [out])


# --- updates


class Updates:
    """The optimizers' verbs on flat vectors that one seed gives, by the backend of that name."""

    def __init__(self, backend: str, dtype: str, size: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.ops: Any = get_backend(backend)
        self.p, self.g, self.a, self.b = (rng.standard_normal(size).astype(dtype) for _ in range(4))
        self.b **= 2
        self.work = np.full(11, np.nan, dtype)

    def __call__(self, verb: str, decayed: int, l2: float, shrink: float, lr: float) -> None:
        ops, p, g, work = self.ops, self.p, self.g, self.work
        decayed = min(decayed, p.size)
        if verb == "sgd":
            ops.sgd_update(p, g, lr, l2, decayed, work=work)
        elif verb in ("momentum", "nesterov"):
            ops.momentum_update(p, g, self.a, lr, 0.9, verb == "nesterov", l2, decayed, work)
        elif verb == "adam":
            ops.adam_update(p, g, self.a, self.b, lr, 0.9, 0.999, 1e-8, l2, shrink, decayed, work)
        else:
            ops.scaled_update(p, g, self.b, lr, 0.9, 0.1, 1e-8, l2, decayed, work)


@settings(max_examples=60)
@given(
    st.sampled_from(["sgd", "momentum", "nesterov", "adam", "scaled"]),
    dtypes,
    st.one_of(st.integers(1, 70), st.sampled_from([8, 16, 64, 1000])),
    st.one_of(st.integers(0, 70), st.sampled_from([0, 8, 16, 64])),
    st.sampled_from([0.0, 0.3, 1e-50]),
    st.sampled_from([0.0, 0.07]),
    seeds,
)
def test_updates(verb: str, dtype: str, size: int, decayed: int, l2: float, shrink: float, seed: int) -> None:
    right, got = (Updates(backend, dtype, size, seed) for backend in ("numpy", "llvm"))
    for lr in (0.1, 0.05, 1 / 3):  # the same machine code for all
        right(verb, decayed, l2, shrink, lr)
        got(verb, decayed, l2, shrink, lr)
        for name in "pgab":
            assert_bits(getattr(got, name), getattr(right, name))
    ((call, _),) = got.ops._updates.values()
    assert hasattr(call, "machine_code")


@pytest.mark.usefixtures(processors.__name__)
@pytest.mark.parametrize("verb", ["sgd", "momentum", "nesterov", "adam", "scaled"])
def test_updates_about_the_edges_of_vectors(verb: str) -> None:
    for size, decayed in ((33, 33), (33, 0), (33, 17), (64, 16), (7, 3)):
        right, got = (Updates(backend, "float32", size, 1) for backend in ("numpy", "llvm"))
        for each in (right, got):
            each(verb, decayed, 0.3, 0.07, 0.1)
        for name in "pgab":
            assert_bits(getattr(got, name), getattr(right, name))


class Rises(Optimizer):
    """params = max(grads, 0): one verb, and none of those that update."""

    straight = True

    def update(self, ops: Any, storage: Any, lr: float) -> None:
        ops.relu(storage.grads, storage.params)


def test_an_update_by_another_verb_is_left_to_numpy() -> None:
    x = np.random.default_rng(0).standard_normal((24, 5)).astype(np.float32)
    found = []
    for backend in ("numpy", "llvm"):
        net = Sequential(Affine(3), SoftmaxCrossEntropy()).build((5,), backend=backend)
        fit(net, Rises(0.1), (x, np.arange(24) % 3), epochs=3, batch_size=6, progress=False)
        found.append(net.storage.params)
    np.testing.assert_allclose(*found, atol=1e-5)
    assert found[0].min() == 0 < found[0].max()


def test_updates_of_nothing_are_left_to_numpy() -> None:
    empty = Updates("llvm", "float32", 0, 0)
    empty("sgd", 0, 0.0, 0.0, 0.1)
    assert not empty.ops._updates
