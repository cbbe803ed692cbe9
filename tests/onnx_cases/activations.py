"""Activations. ONNX applies them to arrays of any shape, softmax along any axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onnx_cases.running import infer
from tinynn import (
    ELU,
    GELU,
    SELU,
    Clip,
    HardSigmoid,
    HardSwish,
    Layer,
    LeakyReLU,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    Rescale,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)

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


def log_softmax(x: np.ndarray, *, axis: int = -1) -> np.ndarray:
    return along(LogSoftmax(), x, axis)


def leaky_relu(x: np.ndarray, *, alpha: float = 0.01) -> np.ndarray:
    return infer(LeakyReLU(alpha), x)


def selu(x: np.ndarray, *, gamma: float = SELU().scale, alpha: float = SELU().alpha) -> np.ndarray:
    return infer(SELU(alpha, gamma), x)


def gelu(x: np.ndarray, *, approximate: str = "none") -> np.ndarray:
    return infer(GELU(approximate == "tanh"), x)


def prelu(x: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Slopes for channels as PReLU has them; others ONNX broadcasts to x: each number of x is then a feature."""
    if slope.shape == x.shape[1:2] != x.shape[-1:]:
        return infer(PReLU(), x, values={"a": slope})
    slopes = np.broadcast_to(slope, x.shape).reshape(-1)
    return infer(PReLU(), x.reshape(1, -1), values={"a": slopes}).reshape(x.shape)


def swish(x: np.ndarray, *, alpha: float = 1.0) -> np.ndarray:
    """SiLU has no factor within the sigmoid: x sigmoid(alpha x) = SiLU(alpha x) / alpha."""
    return infer(Sequential(Rescale(alpha), SiLU(), Rescale(1 / alpha)), x)


def clip(x: np.ndarray, low: Any = None, high: Any = None, **bounds: float) -> np.ndarray:
    """A bound that is left out is the end of the dtype. Opset 6 had them as attributes, min and max."""
    ends = np.finfo(x.dtype) if x.dtype.kind == "f" else np.iinfo(x.dtype)
    low, high = bounds.pop("min", low), bounds.pop("max", high)
    assert not bounds
    return infer(Clip(float(ends.min if low is None else low), float(ends.max if high is None else high)), x)


OPERATORS = {
    "Clip": clip,
    "Elu": elementwise(ELU),
    "Gelu": gelu,
    "HardSigmoid": elementwise(HardSigmoid),
    "HardSwish": elementwise(HardSwish),
    "LeakyRelu": leaky_relu,
    "LogSoftmax": log_softmax,
    "Mish": elementwise(Mish),
    "PRelu": prelu,
    "Relu": elementwise(ReLU),
    "Selu": selu,
    "Sigmoid": elementwise(Sigmoid),
    "Softmax": softmax,
    "Softplus": elementwise(Softplus),
    "Softsign": elementwise(Softsign),
    "Swish": swish,
    "Tanh": elementwise(Tanh),
}
