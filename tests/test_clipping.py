"""Clipping of the gradient: its length and direction, what must not change, and numbers at the ends of the floats."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from optim_helpers import check_padding, network

from tinynn import SGD, Adagrad, Adam, AdamW, ConfigurationError, RMSProp, Sequential
from tinynn.backend import NumpyOps
from tinynn.network.storage import BLOCK

ops = NumpyOps()
dtypes = st.sampled_from(["float32", "float64"])


def clipped(g: np.ndarray, largest: float, block: int = 8) -> np.ndarray:
    g = g.copy()
    ops.clip_norm(g, largest, np.full(block, np.nan, g.dtype))
    return g


@given(dtypes, st.integers(1, 60), st.integers(2, 20), st.integers(-25, 25), st.integers(-25, 25), st.integers(0, 99))
def test_clip_norm(dtype: str, size: int, block: int, power: int, bound: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    g = (rng.standard_normal(size) * 10.0**power).astype(dtype)
    largest = rng.uniform(0.1, 10) * 10.0**bound
    exact = g.astype(np.longdouble)
    norm = np.sqrt((exact**2).sum())
    after = clipped(g, largest, block)
    if norm < largest * (1 - 1e-6):
        np.testing.assert_array_equal(after, g)
    else:
        eps = float(np.finfo(dtype).eps)
        # Products may be so small that their digits are lost: an absolute error of the smallest float.
        tiny = float(np.finfo(dtype).smallest_subnormal)
        np.testing.assert_allclose(after, exact * (largest / norm), rtol=16 * eps, atol=2 * tiny)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("share", [0.9, 1e-3, 1e-10, 1e-18])
def test_gradients_whose_squares_overflow(dtype: str, share: float) -> None:
    g = np.linspace(-1, 1, 1001).astype(dtype) * np.dtype(dtype).type(share * np.finfo(dtype).max)
    exact = g.astype(np.longdouble)
    right = exact / np.sqrt((exact**2).sum())
    np.testing.assert_allclose(clipped(g, 1.0, 64), right, rtol=64 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_whose_squares_vanish_and_a_bound_as_small(dtype: str) -> None:
    g = np.array([3.0, -4.0, 0.0], dtype) * np.dtype(dtype).type(1e-26)
    np.testing.assert_array_equal(clipped(g, 1.0), g)
    np.testing.assert_allclose(clipped(g, 1e-28), np.array([0.6, -0.8, 0]) * 1e-28, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zeros_stay_zeros(dtype: str) -> None:
    np.testing.assert_array_equal(clipped(np.zeros(20, dtype), 1e-30), np.zeros(20))
    assert clipped(np.zeros(0, dtype), 1.0).size == 0


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 19])
def test_what_is_no_number_makes_the_whole_gradient_nan(wrong: float, at: int) -> None:
    g = np.ones(20, np.float32)
    g[at] = wrong
    with np.errstate(invalid="ignore"):
        assert np.isnan(clipped(g, 1.0)).all()


OPTIMIZERS = [SGD, Adam, AdamW, RMSProp, Adagrad]


def by_hand(net: Sequential, largest: float) -> None:
    norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in net.storage.gradients.values()))
    for g in net.storage.gradients.values():
        g *= min(1.0, largest / norm)


@pytest.mark.parametrize("make", OPTIMIZERS, ids=lambda make: make.__name__)
def test_every_optimizer_clips_before_it_steps(make: Any) -> None:
    sizes = [BLOCK, 1000], [70, 3]
    for option, value in (("clip_norm", 2.0), ("clip_value", 0.5)):
        net, other = (network(*sizes, "float64") for _ in range(2))
        clipping, plain = make(0.1, **{option: value}), make(0.1)
        for seed in range(2):
            for each in (net, other):
                each.storage.grads[...] = network(*sizes, "float64", seed).storage.grads
            if option == "clip_norm":
                by_hand(other, value)
            else:
                np.clip(other.storage.grads, -value, value, out=other.storage.grads)
            clipping.step(net)
            plain.step(other)
            np.testing.assert_allclose(net.storage.grads, other.storage.grads, rtol=1e-12)
            np.testing.assert_allclose(net.storage.params, other.storage.params, rtol=1e-9, atol=1e-12)
        check_padding(net)


def test_the_loss_gradient_is_clipped_and_then_l2_comes() -> None:
    net = network([30], [30], "float64")
    W, dW, b, db = (
        net.storage.parameters["0.W0"].copy(),
        net.storage.gradients["0.W0"].copy(),
        net.storage.parameters["0.b0"].copy(),
        net.storage.gradients["0.b0"].copy(),
    )
    SGD(0.1, l2=0.5, clip_norm=0.25).step(net)
    factor = 0.25 / np.sqrt((dW**2).sum() + (db**2).sum())
    np.testing.assert_allclose(net.storage.parameters["0.W0"], W - 0.1 * (factor * dW + 0.5 * W), rtol=1e-13)
    np.testing.assert_allclose(net.storage.parameters["0.b0"], b - 0.1 * factor * db, rtol=1e-13)


def test_by_value_first_and_then_by_norm() -> None:
    net = network([100], [], "float64")
    g = net.storage.gradients["0.W0"].copy()
    SGD(0.1, clip_norm=0.3, clip_value=0.5).step(net)
    right = np.clip(g, -0.5, 0.5)
    np.testing.assert_allclose(net.storage.gradients["0.W0"], right * 0.3 / np.sqrt((right**2).sum()), rtol=1e-13)


@pytest.mark.parametrize("option", ["clip_norm", "clip_value"])
def test_nan_is_not_clipped_away(option: str) -> None:
    net = network([30], [30], "float32")
    net.storage.gradients["0.b0"][3] = np.nan
    clipped: dict[str, Any] = {option: 1.0}
    SGD(0.1, **clipped).step(net)
    assert np.isnan(net.storage.parameters["0.b0"][3])


@pytest.mark.parametrize("option", ["clip_norm", "clip_value"])
@pytest.mark.parametrize("make", OPTIMIZERS, ids=lambda make: make.__name__)
def test_bounds_are_checked_and_may_change(make: Any, option: str) -> None:
    optimizer = make(0.1, **{option: 2})
    for value in (0, -1, float("nan"), float("inf"), 1e-50, "1x"):
        for mistake in (lambda v=value: make(0.1, **{option: v}), lambda v=value: setattr(optimizer, option, v)):
            with pytest.raises(ConfigurationError, match=option) as caught:
                mistake()
            assert str(caught.value.where) == make.__name__ and f"{option}=" in str(caught.value.fix)
            eval(str(caught.value.fix))
    assert getattr(optimizer, option) == 2.0 and f"{option}=2" in repr(optimizer)
    net = network([30], [30], "float64")
    setattr(optimizer, option, None)
    before = net.storage.grads.copy()
    optimizer.step(net)
    np.testing.assert_array_equal(net.storage.grads, before)
    assert option not in repr(optimizer)
