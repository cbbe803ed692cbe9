"""Numbers held between two bounds."""

from __future__ import annotations

from tinynn.backend import Array
from tinynn.checks import finite_number
from tinynn.layer import Layer

__all__ = ["Clip", "inside"]


class Clip(Layer):
    """y = x held between low and high.

    Backward: dx = dy where low < x < high, else 0.
    Errors:   ConfigurationError for bounds that are not numbers, or not in their order.
    Example:  Clip(0, 6) is what is also called ReLU6, Clip(-1, 1) the hard tanh.
    """

    straight = True

    def __init__(self, low: float, high: float) -> None:
        self.low = finite_number(low, "the lower bound", where="Clip", fix="Clip(0, 6)")
        self.high = finite_number(high, "the upper bound", where="Clip", fix="Clip(0, 6)", above=self.low)

    def forward(self, x: Array) -> tuple[Array, Array]:
        return self.xp.clip(x, self.low, self.high, out=self.empty_like("y", x)), x

    def backward(self, dy: Array, x: Array) -> Array:
        dx = inside(self, "dx", x, self.low, self.high)
        return self.xp.multiply(dx, dy, out=dx)


def inside(layer: Layer, name: str, x: Array, low: float, high: float) -> Array:
    """1 where low < x < high, else 0: the slope of a clip, in the layer's array of that name."""
    xp, y, below = layer.xp, layer.empty_like(name, x), layer.empty_like("below", x)
    xp.greater(x, low, out=y, casting="unsafe")
    return xp.multiply(y, xp.less(x, high, out=below, casting="unsafe"), out=y)
