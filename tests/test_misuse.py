"""What users get wrong with data, caches and targets: every mistake meets an error that says what to do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from misuse_helpers import Case, T, X, assert_helpful, bare, learn, net

from tinynn import (
    Affine,
    DataError,
    GradientError,
    LabelError,
    QuadraticCost,
    Sequential,
    ShapeError,
    StateError,
    Step,
)


def with_value(value: float) -> np.ndarray:
    x = X.copy()
    x[3, 2] = value
    return x


def stale(between: Callable[[Sequential], Any]) -> Any:
    network = net()
    _, cache = network.forward(X, T)
    between(network)
    return network.backward(1.0, cache)


def cache_of_another_thread() -> Any:
    network, caches = net(), []
    thread = threading.Thread(target=lambda: caches.append(network.forward(X, T)[1]))
    thread.start()
    thread.join()
    return network.backward(1.0, caches[0])


def backward_of(network: Sequential, dy: Any, *targets: Any) -> Any:
    return network.backward(dy, network.forward(X, *targets)[1])


def rebound(name: str) -> Any:
    setattr(net()[0], name, np.zeros((4, 5)))


CASES: dict[str, Case] = {
    "wrong width": (lambda: net().predict(X[:, :3]), ShapeError, "Sequential", "(6, 3)", "reshape x"),
    "wrong width in training": (lambda: net().forward(X[:, :3], T), ShapeError, "Sequential", "(6, 3)", "reshape x"),
    "one axis too many": (lambda: net().predict(X[None]), ShapeError, "Sequential", "(1, 6, 4)", "reshape x"),
    "one example": (lambda: net().predict(X[0]), ShapeError, "Sequential", "(4,)", "x[None]"),
    "one image": (lambda: net(Affine(3), shape=(2, 2)).predict(X[0].reshape(2, 2)), ShapeError, "Seq", "2)", "x[None]"),
    "1-D of another length": (lambda: net().predict(X[:, 0]), ShapeError, "Sequential", "(6,)", "reshape x"),
    "a number": (lambda: net().predict(np.float32(3)), ShapeError, "Sequential", "()", "reshape x"),
    "ragged lists": (lambda: net().predict([[1, 2, 3, 4], [1]]), ShapeError, "Sequential", "inhomogeneous", "pad"),
    "ragged targets": (lambda: net().forward(X, [[1], [1, 2], 1, 1, 1, 1]), ShapeError, "Seq", "inhomog", "pad"),
    "objects": (lambda: net().predict(np.full((2, 4), None)), DataError, "Sequential", "object", "astype(float)"),
    "strings": (lambda: net().predict(np.full((2, 4), "1")), DataError, "Sequential", "<U1", "astype(float)"),
    "complex numbers": (lambda: net().predict(X * 1j), DataError, "Sequential", "complex", "astype(float)"),
    "NaN": (lambda: net().predict(with_value(np.nan)), DataError, "row 3, element (2,)", "nan", "isfinite"),
    "infinity": (lambda: net().predict(with_value(np.inf)), DataError, "row 3, element (2,)", "inf", "isfinite"),
    "NaN in evaluate": (lambda: net().loss(with_value(np.nan), T), DataError, "row 3, element (2,)", "nan", "isfinite"),
    "NaN in fit": (lambda: learn(with_value(np.nan)), DataError, "row 3, element (2,)", "nan", "isfinite"),
    "infinity in fit": (lambda: learn(with_value(-np.inf)), DataError, "row 3, element (2,)", "-inf", "isfinite"),
    "beyond float32": (lambda: learn(X.astype(float) * 1e300), DataError, "row 0", "e+", "isfinite"),
    "NaN for validation": (
        lambda: learn(validation=(with_value(np.nan), T)),
        DataError,
        "validation, row 3",
        "nan",
        "isfinite",
    ),
    # caches and gradients
    "backward before forward": (lambda: net().backward(1.0, None), StateError, "Seq", "NoneType", "net.forward(x)"),  # pyright: ignore[reportArgumentType]
    "the pair as cache": (
        lambda: bare().backward(X, bare().forward(X)),  # pyright: ignore[reportArgumentType]
        StateError,
        "Sequential",
        "tuple",
        "y, cache = net.forward(x)",
    ),
    "stale: forward": (
        lambda: stale(lambda n: n.forward(X, T)),
        StateError,
        "Sequential",
        "earlier",
        "before the next",
    ),
    "stale: predict": (lambda: stale(lambda n: n.predict(X)), StateError, "Sequential", "earlier", "before the next"),
    "stale: loss": (lambda: stale(lambda n: n.loss(X, T)), StateError, "Sequential", "earlier", "before the next"),
    "stale: build": (lambda: stale(lambda n: n.build((4,))), StateError, "Sequential", "earlier", "before the next"),
    "stale: thread": (cache_of_another_thread, StateError, "Sequential", "another thread", "before the next"),
    "stale: network": (
        lambda: net().backward(1.0, net().forward(X, T)[1]),
        StateError,
        "Sequential",
        "network",
        "before the next",
    ),
    "dy too narrow": (lambda: backward_of(bare(), X[:, :2]), ShapeError, "Sequential", "(6, 2)", "each element of y"),
    "dy a number": (lambda: backward_of(bare(), 1.0), ShapeError, "Sequential", "()", "each element of y"),
    "dy for a loss": (lambda: backward_of(net(), X, T), ShapeError, "Sequential", "(6, 4)", "backward(1.0, cache)"),
    "dy None": (lambda: backward_of(net(), None, T), DataError, "Sequential", "object", "backward(1.0, cache)"),
    "training a step": (
        lambda: learn(network=net(Affine(3), Step(), QuadraticCost())),
        GradientError,
        "layer 1: Step()",
        "Step",
        "Sigmoid()",
    ),
    "rebinding W": (lambda: rebound("W"), StateError, "layer 0: Affine(5)", "ndarray", "self.W[...] ="),
    "rebinding dW": (lambda: rebound("dW"), StateError, "layer 0: Affine(5)", "ndarray", "out=self.dW"),
    # targets
    "label 3 of 3": (
        lambda: net().forward(X, T + 1),
        LabelError,
        "layer 3: SoftmaxCrossEntropy(), row 2",
        "3",
        "label",
    ),
    "negative label": (lambda: net().forward(X, T - 1), LabelError, "Entropy(), row 0", "-1", "correct the label"),
    "label in fit": (
        lambda: learn(t=T + 1),
        LabelError,
        "fit, train: layer 3: Softm",
        "3",
        "one output for each class",
    ),
    "label, quadratic": (
        lambda: net(Affine(3), QuadraticCost()).forward(X, T - 1),
        LabelError,
        "layer 1",
        "-1",
        "label",
    ),
    "label in evaluate": (lambda: net().evaluate(X, T + 1), LabelError, "layer 3", "3", "one output for each class"),
    "fractional labels": (lambda: net().forward(X, T + 0.5), LabelError, "layer 3", "float64", "t.astype(int)"),
    "float labels": (lambda: learn(t=T.astype(float)), LabelError, "layer 3", "float64", "t.astype(int)"),
    "label column": (lambda: net().forward(X, T[:, None]), LabelError, "layer 3", "(6, 1)", "shape (N,)"),
    "one-hot integers": (lambda: net().forward(X, np.eye(3, dtype=int)[T]), LabelError, "layer 3", "int64", "float"),
    "too few labels": (lambda: net().forward(X, T[:2]), ShapeError, "Sequential", "(2,)", "same length"),
    "labels None": (lambda: net().forward(X, None), ShapeError, "Sequential", "()", "same length"),
    "row sums": (
        lambda: learn(t=np.full((6, 3), 0.5)),
        LabelError,
        "layer 3: Soft",
        "[0.5, 0.5, 0.5]",
        "correct the row",
    ),
    "negative row": (lambda: learn(t=np.array([[1.5, -0.5, 0]] * 6)), LabelError, "row 0", "-0.5", "correct the row"),
    "no targets": (lambda: net().forward(X), ShapeError, "Sequential", "(6, 4)", "net.forward(x, targets)"),
    "targets without loss": (lambda: bare().forward(X, T), ShapeError, "Sequential", "(6,)", "net.predict(x)"),
    "loss without a loss": (lambda: bare().loss(X, T), StateError, "Sequential", "Affine(3)", "add the loss"),
    "empty batch": (lambda: net().forward(X[:0], T[:0]), LabelError, "layer 3", "none", "leave empty batches out"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_with_arrays_meets_an_error_that_says_what_to_do(name: str) -> None:
    assert_helpful(CASES[name])
