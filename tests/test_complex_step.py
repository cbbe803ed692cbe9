"""Gradients against the complex step: f'(x) = Im f(x + ih) / h up to h^2.

No difference is taken in which digits could be lost, so 12 of them are asked for. The formulas are written here, in
complex arithmetic, and share nothing with the layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from strategies import batch_sizes

from tinynn import Affine, Layer, QuadraticCost, Sequential, Sigmoid, Softmax, SoftmaxCrossEntropy, Tanh

H = 1e-30
Function = Callable[..., Any]


def complex_step(f: Function, *xs: np.ndarray) -> list[np.ndarray]:
    """The gradient of the number f(*xs) with respect to each x."""
    gradients = []
    for k, x in enumerate(xs):
        gradient = np.empty(x.shape)
        for index in np.ndindex(x.shape):
            moved = x.astype(complex)
            moved[index] += 1j * H
            gradient[index] = f(*xs[:k], moved, *xs[k + 1 :]).imag / H
        gradients.append(gradient)
    return gradients


def agree(got: np.ndarray, right: np.ndarray, size: float) -> None:
    """Equal to 12 digits of `size`, the size of the terms that were added up; they may cancel."""
    np.testing.assert_allclose(got, right, rtol=0, atol=1e-12 * size)


def log_softmax(x: np.ndarray) -> np.ndarray:
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


FORMULAS: dict[type[Layer], Function] = {
    Sigmoid: lambda x: 1 / (1 + np.exp(-x)),
    Tanh: lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
    Softmax: lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True),
}

thousandths = st.integers(-5000, 5000).map(lambda k: k / 1000)
matrices = st.tuples(batch_sizes, st.integers(2, 4)).flatmap(
    lambda shape: hnp.arrays("float64", (2, *shape), elements=thousandths)
)


@pytest.mark.parametrize("kind", FORMULAS)
@given(matrices)
def test_activations_by_complex_step(kind: type[Layer], drawn: np.ndarray) -> None:
    x, dy = drawn
    net = Sequential(kind()).build(x.shape[1:], dtype="float64", needs_dx=True)
    y, cache = net.forward(x)
    agree(y, FORMULAS[kind](x), 1.0)
    (right,) = complex_step(lambda x: (FORMULAS[kind](x) * dy).sum(), x)
    agree(net.backward(dy, cache), right, float(np.abs(dy).max()))


@given(matrices, st.integers(1, 3), st.integers(0, 99))
def test_affine_by_complex_step(drawn: np.ndarray, M: int, seed: int) -> None:
    x, rng = drawn[0], np.random.default_rng(seed)
    W, b, dy = rng.standard_normal((x.shape[1], M)), rng.standard_normal(M), rng.standard_normal((len(x), M))
    net = Sequential(Affine(M, W=W, b=b)).build(x.shape[1:], dtype="float64", needs_dx=True)
    _, cache = net.forward(x)
    dx = net.backward(dy, cache)
    right = complex_step(
        lambda x, W, b: (sum(x[:, [d]] * W[d] for d in range(x.shape[1])) + b).ravel() @ dy.ravel(), x, W, b
    )
    for got, reference in zip((dx, net.storage.gradients["0.W"], net.storage.gradients["0.b"]), right, strict=True):
        agree(got, reference, float(np.abs(dy).max() * max(1, np.abs(x).max(), np.abs(W).max())))


@given(matrices, st.integers(0, 99))
def test_losses_by_complex_step(drawn: np.ndarray, seed: int) -> None:
    x, rng = drawn[0], np.random.default_rng(seed)
    n, classes = x.shape
    labels, rows = rng.integers(0, classes, n), rng.dirichlet(np.ones(classes), n)
    one_hot = np.eye(classes)[labels]
    for t, targets in ((one_hot, labels), (rows, rows)):
        for loss, formula in (
            (SoftmaxCrossEntropy(), lambda x, t=t: -(t * log_softmax(x)).sum() / n),
            (QuadraticCost(), lambda x, t=t: ((x - t) ** 2).sum() / (2 * n)),
        ):
            net = Sequential(loss).build((classes,), dtype="float64", needs_dx=True)
            L, cache = net.forward(x, targets)
            assert float(L) == pytest.approx(float(formula(x)), rel=1e-12, abs=1e-14)
            agree(net.backward(1.0, cache), complex_step(formula, x)[0], float(np.abs(x).max() + 1))
