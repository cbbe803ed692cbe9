"""Optimizers: one step from a state that is loaded.

ONNX's inputs are the learning rate R, the number T of steps so far, the tensors, their gradients, and their states.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_cases.running import dtype_for
from tinynn import SGD, Adagrad, Adam, Layer, Optimizer, Sequential
from tinynn.layer import Shape

__all__ = ["OPERATORS"]


class Tensors(Layer):
    """y = x; holds the parameters W0, W1, ... for an optimizer to change."""

    def __init__(self, values: Sequence[np.ndarray]) -> None:
        self.values = values

    def build(self, shape: Shape) -> Shape:
        for i, value in enumerate(self.values):
            self.param(f"W{i}", value.shape, value)
        return shape


def step(optimizer: Optimizer, vectors: Sequence[str], steps: int, *tensors: np.ndarray) -> tuple[np.ndarray, ...]:
    """The new tensors, then their new states; `tensors` are all W, all dW, and all parts of each of the vectors."""
    k = len(tensors) // (2 + len(vectors))
    layer = Tensors(tensors[:k])
    net = Sequential(layer).build((1,), dtype=dtype_for(*tensors))
    for i, dW in enumerate(tensors[k : 2 * k]):
        getattr(layer, f"dW{i}")[...] = dW
    names = [f"{vector}.0.W{i}" for vector in vectors for i in range(k)]
    optimizer.load_state({"steps": steps, **dict(zip(names, tensors[2 * k :], strict=True))})
    optimizer.step(net)
    state = optimizer.state()
    return (*(getattr(layer, f"W{i}") for i in range(k)), *(state[name] for name in names))


def momentum(
    R: np.ndarray, T: np.ndarray, *tensors: np.ndarray, alpha: float, beta: float, mode: str, norm_coefficient: float
) -> tuple[np.ndarray, ...]:
    assert T == 0 or beta == 1, "after the first step ONNX weighs the gradient by beta; SGD never does"
    optimizer = SGD(float(R), l2=norm_coefficient, momentum=alpha, nesterov=mode == "nesterov")
    return step(optimizer, ("velocity",), int(T), *tensors)


def adagrad(
    R: np.ndarray,
    T: np.ndarray,
    *tensors: np.ndarray,
    decay_factor: float = 0.0,
    epsilon: float = 1e-6,
    norm_coefficient: float = 0.0,
) -> tuple[np.ndarray, ...]:
    optimizer = Adagrad(lambda steps: float(R) / (1 + steps * decay_factor), eps=epsilon, l2=norm_coefficient)
    return step(optimizer, ("squares",), int(T), *tensors)


def adam(
    R: np.ndarray,
    T: np.ndarray,
    *tensors: np.ndarray,
    alpha: float = 0.9,
    beta: float = 0.999,
    epsilon: float = 1e-6,
    norm_coefficient: float = 0.0,
    norm_coefficient_post: float = 0.0,
) -> tuple[np.ndarray, ...]:
    """ONNX corrects no bias at T = 0; to Adam the correction is 1 after very many steps."""
    assert T == 0
    assert norm_coefficient_post == 0
    optimizer = Adam(float(R), alpha, beta, epsilon, norm_coefficient)
    return step(optimizer, ("m", "v"), 10**9, *tensors)


OPERATORS = {"Adagrad": adagrad, "Adam": adam, "Momentum": momentum}
