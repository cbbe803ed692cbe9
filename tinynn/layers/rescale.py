"""Constant scaling of the input, so that a model carries its own preprocessing."""

from __future__ import annotations

from tinynn.backend import Array
from tinynn.checks import finite_number
from tinynn.layer import Layer

__all__ = ["Rescale"]


class Rescale(Layer):
    """y = scale x + offset.

    Shapes:   any; y has x's shape, and the network's dtype whatever the dtype of x: uint8 images are fed as they are.
    Backward: dx = scale dy.
    Errors:   ConfigurationError if scale or offset is not a finite number.
    Example:  Rescale(1 / 255) takes gray values to 0..1; Rescale(0.99 / 255, 0.01) takes them to 0.01..1.
    """

    straight = True

    integer_inputs = True

    def __init__(self, scale: float, offset: float = 0.0) -> None:
        self.scale = finite_number(scale, "the scale", where="Rescale", fix="Rescale(1 / 255)")
        self.offset = finite_number(offset, "the offset", where="Rescale", fix="Rescale(0.99 / 255, 0.01)")

    def forward(self, x: Array) -> tuple[Array, None]:
        # With the dtype named, integers are scaled in the network's own precision and not by way of float64.
        y = self.xp.multiply(x, self.scale, out=self.empty_like("y", x), dtype=self.dtype)
        if self.offset:
            self.xp.add(y, self.offset, out=y)
        return y, None

    def backward(self, dy: Array, cache: None) -> Array:
        return self.xp.multiply(dy, self.scale, out=self.empty_like("dx", dy))
