"""Dropout."""

from __future__ import annotations

import math
from typing import Any

from tinynn.backend import Array
from tinynn.checks import finite_number
from tinynn.layer import Layer, Shape

__all__ = ["Dropout"]

STEPS = 2**24  # what float32 counts exactly


class Dropout(Layer):
    """y = x mask / (1 - rate), where mask is 0 for a share `rate` of all elements, at random, and 1 for the others.

    Backward: dx = dy mask / (1 - rate).
    Predict:  y = x.
    Note:     the mask is a function of (key, step, place in the batch), so nothing has to be drawn in order, and NumPy
              and CuPy have the same one, as have the processes that share a batch. The key follows from the network's
              seed and the layer's name; the step counts the forward passes. Both are state, so a run that was saved
              goes on with the masks that would have come; they repeat after 16.7 million steps.
    Errors:   ConfigurationError for a rate outside 0 <= rate < 1.
    Source:   Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout", 2014.
    """

    straight = True
    predict_differs = True

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = finite_number(rate, "the rate", where="Dropout", fix="Dropout(0.5)", least=0, below=1)

    def build(self, shape: Shape) -> Shape:
        self.state("stream", (2,), start)
        self.limit = math.ceil(self.rate * STEPS) / STEPS  # a multiple of what is compared with it, exact in float32
        return shape

    def forward(self, x: Array) -> tuple[Array, Array]:
        xp = self.xp
        u = self.empty("u", x.shape)
        first = self.first_row * math.prod(x.shape[1:])
        self.ops.uniform(self.stream, out=u, bits=self.empty("bits", (x.size,), xp.uint32), first=first)
        step = self.stream[1:]
        xp.remainder(xp.add(step, 1, out=step), STEPS, out=step)
        mask = xp.greater_equal(u, self.limit, out=u, casting="unsafe")
        xp.multiply(mask, 1 / (1 - self.rate), out=mask)
        return xp.multiply(x, mask, out=self.empty_like("y", x)), mask

    def backward(self, dy: Array, mask: Array) -> Array:
        return self.xp.multiply(dy, mask, out=self.empty_like("dx", dy))

    def predict(self, x: Array) -> Array:
        return x


def start(rng: Any, shape: Shape) -> Any:
    """Key and step at the beginning."""
    key = rng.integers(STEPS, size=shape)
    key[1] = 0
    return key
