"""Activations, random numbers and the optimizers' updates as CUDA kernels: NumPy's numbers, most of them to the bit."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from cuda_emulator import EmulatedDevice, needs_a_compiler, on_device
from cuda_parity import DEVICES, compare
from hypothesis import given, settings
from strategies import laid_out

from tinynn.backend import NumpyOps
from tinynn.backend.normal_verbs import FAR

pytestmark = needs_a_compiler

dtypes = st.sampled_from(["float32", "float64"])
devices = st.sampled_from(list(DEVICES.values()))
seeds = st.integers(0, 999)
shapes = st.sampled_from([(1,), (7,), (3, 5), (2, 3, 4), (257,), (5, 123), (1300,), (0,), (3, 0)])
"""One element, fewer than a block, more than one, more than two blocks with a thread each."""

SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 40.0, 40.5, -100.0, 1e-30)


class Draw:
    """Arrays of one dtype; `special`: some of their elements are what breaks formulas."""

    def __init__(self, dtype: str, special: bool, seed: int) -> None:
        self.dtype, self.special, self.rng = np.dtype(dtype), special, np.random.default_rng(seed)

    def __call__(self, *shape: int) -> np.ndarray:
        x = (3 * self.rng.standard_normal(shape)).astype(self.dtype)
        if self.special and x.size:
            places = self.rng.integers(0, x.size, 1 + x.size // 3)
            x.reshape(-1)[places] = self.rng.choice(np.array(SPECIAL, self.dtype), len(places))
        return x

    def finite(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(self.dtype)

    def out(self, *shape: int, dtype: Any = None) -> np.ndarray:
        return np.full(shape, np.nan, dtype or self.dtype)


draws = st.builds(Draw, dtypes, st.booleans(), seeds)


@settings(max_examples=60)
@given(devices, draws, shapes)
def test_activations(device: EmulatedDevice, draw: Draw, shape: tuple[int, ...]) -> None:
    x, y, dy = draw(*shape), draw(*shape), draw.finite(*shape)

    def launches(name: str) -> list[str]:
        return [name] if x.size else []

    compare(device, "relu", [x, draw.out(*shape)], [1], *launches("relu"))
    sigmoid = [x, draw.out(*shape), draw.out(*shape)]
    compare(device, "sigmoid", sigmoid, [1], *launches("sigmoid"), work=[2], near=True)
    for name in ("relu_backward", "sigmoid_backward", "tanh_backward"):
        compare(device, name, [dy, y, draw.out(*shape)], [2], *launches(name))


def test_relu_backward_is_0_where_y_is_whatever_comes_back() -> None:
    dy, y = np.array([np.nan, np.inf, np.nan, 2.0]), np.array([0.0, -1.0, np.nan, 3.0])
    out = np.full(4, 7.0)
    DEVICES["as it is"].relu_backward(*map(on_device, (dy, y, out)))
    np.testing.assert_array_equal(out, [0, 0, 0, 2])


@settings(max_examples=40)
@given(devices, draws, shapes)
def test_the_normal_distribution(device: EmulatedDevice, draw: Draw, shape: tuple[int, ...]) -> None:
    x = draw(*shape)
    for name in ("normal_cdf", "normal_pdf"):
        compare(device, name, [x, draw.out(*shape)], [1], *([name] if x.size else []), near=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_tails_of_the_normal_distribution(dtype: str) -> None:
    # Each element for itself: beside the largest, which is 1, a tail that is wrong would not be seen.
    x = np.linspace(-FAR, FAR, 1201).astype(dtype)
    out = np.empty_like(x)
    DEVICES["as it is"].normal_cdf(on_device(x), on_device(out))
    np.testing.assert_allclose(out, NumpyOps().normal_cdf(x, np.empty_like(x)), rtol=4 * float(np.finfo(dtype).eps))


@settings(max_examples=40)
@given(devices, draws, st.sampled_from(["column-major", "permuted", "strided", "reversed", "rows of a wider array"]))
def test_other_orders_in_memory(device: EmulatedDevice, draw: Draw, layout: str) -> None:
    """Without gaps and in one order, which is how images lie, the kernel takes them; otherwise `xp` computes."""

    def arranged(x: np.ndarray) -> np.ndarray:
        return x.transpose(1, 2, 0).copy().transpose(2, 0, 1) if layout == "permuted" else laid_out(x, layout)

    x, y, dy, out = (arranged(a) for a in (draw(4, 3, 7), draw(4, 3, 7), draw.finite(4, 3, 7), draw.out(4, 3, 7)))
    kernel = layout in ("column-major", "permuted")
    compare(device, "relu", [x, out], [1], *(["relu"] if kernel else []))
    compare(device, "sigmoid_backward", [dy, y, out], [2], *(["sigmoid_backward"] if kernel else []))
    compare(device, "sigmoid_backward", [dy, draw(4, 3, 7), out], [2])  # each of its own
    compare(device, "normal_cdf", [x, out], [1], *(["normal_cdf"] if kernel else []), near=True)


def test_other_dtypes_take_the_reference() -> None:
    device = DEVICES["as it is"]
    x = np.arange(-3, 4)
    compare(device, "relu", [x, np.empty_like(x)], [1])
    half = x.astype("float16")
    compare(device, "relu", [half, np.empty_like(half)], [1])
    compare(device, "relu", [x.astype("float32"), np.empty(7)], [1])


@settings(max_examples=60)
@given(
    devices, dtypes, st.integers(0, 2**24 - 1), st.integers(0, 2**24 - 1), shapes, st.booleans(), st.integers(0, 2**34)
)
def test_uniform(device: EmulatedDevice, dtype: str, key: int, step: int, shape: Any, other: bool, first: int) -> None:
    stream = np.array([key, step], "int64" if other else dtype)
    out = np.full(shape, np.nan, dtype)
    launches = out.size and not other
    args = [stream, out, np.zeros(out.size, np.uint32), first]
    compare(device, "uniform", args, [1], *(["uniform"] if launches else []), work=[2])


# --- updates


class Vectors(Draw):
    """Flat vectors, a working array, where the decayed elements end, and numbers of an update."""

    def __init__(self, dtype: str, special: bool, seed: int, size: int, share: float, on: tuple[bool, ...]) -> None:
        super().__init__(dtype, special, seed)
        self.size, self.decayed, self.on = size, int(share * size), iter(on * 4)
        self.work = self.out(min(64, max(2, size)))

    def vector(self) -> np.ndarray:
        return self(self.size)

    def squares(self) -> np.ndarray:
        return np.abs(self(self.size))

    def number(self, value: float) -> Any:
        """As Python's, or where a captured step finds it: among others on the device."""
        return np.array([7.0, value], self.dtype)[1:].reshape(()) if next(self.on) else value


flags = st.tuples(*[st.booleans()] * 7)
vectors = st.builds(
    Vectors, dtypes, st.booleans(), seeds, st.sampled_from([0, 1, 5, 256, 259, 1100]), st.floats(0, 1), flags
)
decays = st.sampled_from([0.0, 0.01])


def check(device: EmulatedDevice, name: str, args: list[Any], out: list[int], kernel: str) -> None:
    compare(device, name, args, out, *([kernel] if args[0].size else []), work=[len(args) - 1])


@settings(max_examples=50)
@given(devices, vectors, decays)
def test_sgd_update(device: EmulatedDevice, v: Vectors, l2: float) -> None:
    args = [v.vector(), v.vector(), v.number(0.3), l2, v.decayed, v.work]
    check(device, "sgd_update", args, [0], "sgd")


@settings(max_examples=50)
@given(devices, vectors, decays, st.booleans())
def test_momentum_update(device: EmulatedDevice, v: Vectors, l2: float, nesterov: bool) -> None:
    args = [v.vector(), v.vector(), v.vector(), v.number(0.3), v.number(0.9), nesterov, l2, v.decayed, v.work]
    check(device, "momentum_update", args, [0, 2], "momentum")


@settings(max_examples=80)
@given(devices, vectors, decays, decays)
def test_adam_update(device: EmulatedDevice, v: Vectors, l2: float, shrink: float) -> None:
    own = [v.vector(), v.vector(), v.vector(), v.squares()]
    numbers = [v.number(x) for x in (0.01, 0.9, 0.999, 1e-8)]
    args = [*own, *numbers, l2, v.number(shrink), v.decayed, v.work]
    check(device, "adam_update", args, [0, 2, 3], "adam")


@settings(max_examples=50)
@given(devices, vectors, decays)
def test_scaled_update(device: EmulatedDevice, v: Vectors, l2: float) -> None:
    numbers = [v.number(x) for x in (0.01, 0.9, 0.1, 1e-8)]
    args = [v.vector(), v.vector(), v.squares(), *numbers, l2, v.decayed, v.work]
    check(device, "scaled_update", args, [0, 2], "scaled")


def test_a_decay_on_the_device_acts_though_nobody_looks_at_it() -> None:
    device, params = DEVICES["as it is"], np.array([1.0, 2.0, 3.0])
    l2 = on_device(np.array(0.5))
    device.sgd_update(on_device(params), on_device(np.zeros(3)), 0.5, l2, 2, on_device(np.empty(2)))
    np.testing.assert_array_equal(params, [0.75, 1.5, 3.0])


def test_updates_of_other_vectors_take_the_reference() -> None:
    device, x = DEVICES["as it is"], np.arange(12.0)
    work = np.empty(3)
    compare(device, "sgd_update", [x[::2], x[6:].copy(), 0.5, 0.25, 2, work], [0], work=[5])
    lr = np.array(0.5, "float32")  # of another dtype than the vectors
    compare(device, "sgd_update", [x, x.copy(), lr, 0.25, 2, work], [0], work=[5])
    own = [x[::2], x[6:].copy(), x[:6].copy()]
    compare(device, "momentum_update", [*own, 0.5, 0.25, True, 0.25, 2, work], [0, 2], work=[8])
    compare(device, "scaled_update", [*own, 0.5, 0.25, 0.75, 1e-8, 0.25, 2, work], [0, 2], work=[9])
    args = [*own, x[:6] + 1, 0.5, 0.25, 0.75, 1e-8, 0.25, 0.5, 2, work]
    compare(device, "adam_update", args, [0, 2, 3], work=[11])
