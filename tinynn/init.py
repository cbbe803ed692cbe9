"""Initialisers: functions (rng, shape) -> float64 array, drawn on the host.

A weight matrix has shape (D, M): D = fan-in, M = fan-out. The filters of a convolution have shape (F, C, kh, kw), and
with k = kh kw, D = C k and M = F k. Wherever tinynn asks for an initialiser it also takes an
array, which then must have exactly the parameter's shape. An initialiser of your own is any function of that form.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

__all__ = ["Init", "constant", "glorot", "he", "lecun", "ones", "standard_normal", "zeros"]

Shape = tuple[int, ...]
Init = Callable[["np.random.Generator", Shape], np.ndarray]  # quoted: numpy.random takes 6 ms to import


def fan_in_out(shape: Shape) -> tuple[int, int]:
    """(D, M) -> D, M: how many inputs feed one output, and how many outputs one input feeds. (F, C, kh, kw) alike."""
    if len(shape) == 4:
        taps = shape[2] * shape[3]
        return shape[1] * taps, shape[0] * taps
    return (shape[0], shape[-1]) if shape else (1, 1)


def he(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """W ~ N(0, 2 / D): keeps the variance through ReLU, which passes half of it on.

    Source: He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", 2015.
    """
    fan_in, _ = fan_in_out(shape)
    return rng.standard_normal(shape) * math.sqrt(2 / fan_in)


def glorot(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """W ~ U(-a, a), a = sqrt(6 / (D + M)): keeps the variance forwards and backwards through tanh and sigmoid.

    Source: Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """
    a = math.sqrt(6 / sum(fan_in_out(shape)))
    return rng.uniform(-a, a, shape)


def lecun(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """W ~ N(0, 1 / D): a weighted sum of D unit-variance inputs has unit variance.

    Source: LeCun, Bottou, Orr, Mueller, "Efficient BackProp", 1998; chapter 3 of Nielsen's book.
    """
    fan_in, _ = fan_in_out(shape)
    return rng.standard_normal(shape) / math.sqrt(fan_in)


def standard_normal(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """W ~ N(0, 1), whatever the width: chapter 1 of Nielsen's book. Wide layers start saturated with it."""
    return rng.standard_normal(shape)


def zeros(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """All 0: for biases. Weights that all start equal stay equal, so never for the weights of a hidden layer."""
    return np.zeros(shape)


def ones(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """All 1: for gains."""
    return np.ones(shape)


class constant:
    """All of one value: `constant(0.25)`, for slopes and gains that start elsewhere than at 0 or 1."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"constant({self.value!r})"

    def __call__(self, rng: np.random.Generator, shape: Shape) -> np.ndarray:
        return np.full(shape, self.value)
