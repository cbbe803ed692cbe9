"""Numbers held between two bounds."""

from __future__ import annotations

from tinynn.backend import Array
from tinynn.checks import finite_number
from tinynn.layer import Layer

__all__ = ["Clip"]


class Clip(Layer):
    """y = x held between low and high.

    Backward: dx = dy where low < x < high, else 0.
    Errors:   ConfigurationError for bounds that are not numbers, or not in their order.
    Example:  Clip(0, 6) is what is also called ReLU6, Clip(-1, 1) the hard tanh.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low = finite_number(low, "the lower bound", where="Clip", fix="Clip(0, 6)")
        self.high = finite_number(high, "the upper bound", where="Clip", fix="Clip(0, 6)", above=self.low)

    def forward(self, x: Array) -> tuple[Array, Array]:
        return self.xp.clip(x, self.low, self.high, out=self.empty_like("y", x)), x

    def backward(self, dy: Array, x: Array) -> Array:
        return self.xp.multiply(dy, (self.low < x) & (x < self.high), out=self.empty_like("dx", dy))
