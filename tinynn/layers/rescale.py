"""Constant scaling of the input, so that a model carries its own preprocessing."""

from __future__ import annotations

from typing import Any

from tinynn.backend import Array
from tinynn.checks import finite_numbers
from tinynn.errors import ShapeError
from tinynn.layer import Layer, Shape

__all__ = ["Rescale"]


class Rescale(Layer):
    """y = scale x + offset.

    Shapes:   any; y has x's shape, and the network's dtype whatever the dtype of x: uint8 images are fed as they are.
              scale and offset are numbers, or arrays with one number for each of an example: then state of the layer.
    Backward: dx = scale dy.
    Errors:   ConfigurationError if scale or offset is not finite; ShapeError for an array of another shape than x's.
    Example:  Rescale(1 / 255) takes gray values to 0..1; Rescale(0.99 / 255, 0.01) takes them to 0.01..1;
              Rescale(1 / std, -mean / std) standardises features whose mean and std were measured.
    """

    straight = True

    integer_inputs = True

    scale: Any
    offset: Any

    def __init__(self, scale: float | Array, offset: float | Array = 0.0) -> None:
        self.given: dict[str, Any] = {
            "scale": finite_numbers(scale, "the scale", where="Rescale", fix="Rescale(1 / 255)"),
            "offset": finite_numbers(offset, "the offset", where="Rescale", fix="Rescale(0.99 / 255, 0.01)"),
        }
        # An array becomes state when the shape of x is known; a number stays a number, which no memory is read for.
        self.__dict__.update({name: value for name, value in self.given.items() if isinstance(value, float)})

    def build(self, shape: Shape) -> Shape:
        for name, value in self.given.items():
            if isinstance(value, float):
                continue
            if value.shape != shape:
                raise ShapeError(
                    f"the {name} does not fit the input",
                    where=self.where,
                    expected=f"a number, or an array of shape {shape}",
                    got=value.shape,
                    fix=f"{name}.reshape({shape}) if these are its numbers",
                )
            self.state(name, shape, value)
        return shape

    def forward(self, x: Array) -> tuple[Array, None]:
        # With the dtype named, integers are scaled in the network's own precision and not by way of float64.
        y = self.xp.multiply(x, self.scale, out=self.empty_like("y", x), dtype=self.dtype)
        if not isinstance(self.offset, float) or self.offset:
            self.xp.add(y, self.offset, out=y)
        return y, None

    def backward(self, dy: Array, cache: None) -> Array:
        return self.xp.multiply(dy, self.scale, out=self.empty_like("dx", dy))
