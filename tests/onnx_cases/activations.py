"""Activations. ONNX applies them to arrays of any shape, softmax along any axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onnx_cases.running import infer
from tinynn import Layer, ReLU, Sigmoid, Softmax, Tanh

__all__ = ["OPERATORS"]


def elementwise(make: Callable[..., Layer]) -> Callable[..., np.ndarray]:
    """The adapter of an activation whose settings have ONNX's names."""

    def activation(x: np.ndarray, **settings: Any) -> np.ndarray:
        return infer(make(**settings), x)

    return activation


def along(layer: Layer, x: np.ndarray, axis: int) -> np.ndarray:
    """A layer that works on the rows of a matrix, along any axis of anything."""
    last = np.moveaxis(x, axis, -1)
    y = infer(layer, last.reshape(-1, last.shape[-1]))
    return np.moveaxis(y.reshape(last.shape), -1, axis)


def softmax(x: np.ndarray, *, axis: int = -1) -> np.ndarray:
    return along(Softmax(), x, axis)


OPERATORS = {
    "Relu": elementwise(ReLU),
    "Sigmoid": elementwise(Sigmoid),
    "Softmax": softmax,
    "Tanh": elementwise(Tanh),
}
