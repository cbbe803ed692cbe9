"""Layers that give the same numbers another shape."""

from __future__ import annotations

import math
import operator

from tinynn.backend import Array
from tinynn.errors import ConfigurationError, ShapeError
from tinynn.layer import Layer, Shape

__all__ = ["Flatten", "Identity", "Permute", "Reshape", "reshaped"]


class Identity(Layer):
    """y = x: a place for another layer.

    Backward: dx = dy.
    """

    straight = True

    def forward(self, x: Array) -> tuple[Array, None]:
        return x, None

    def backward(self, dy: Array, cache: None) -> Array:
        return dy


class Flatten(Layer):
    """y[n] = all numbers of x[n] in one row, the last axis running fastest.

    Shapes:   x (N, d1, ..., dk), y (N, d1 ... dk).
    Backward: dx = dy in the shape of x.
    """

    straight = True

    def build(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def forward(self, x: Array) -> tuple[Array, Shape]:
        return reshaped(self, "y", x, (len(x), math.prod(x.shape[1:]))), x.shape

    def backward(self, dy: Array, shape: Shape) -> Array:
        return reshaped(self, "dx", dy, shape)


class Reshape(Layer):
    """y[n] = the numbers of x[n] in the given shape, in both the last axis running fastest.

    Shapes:   x (N, ...), y (N, *shape); one size may be -1: what is left for it.
    Backward: dx = dy in the shape of x.
    Errors:   ConfigurationError for what is no shape, ShapeError for one that holds another number of numbers.
    Example:  Reshape((1, 28, 28)) makes images with one channel of rows of 784 numbers, or of 28 x 28.
    """

    straight = True

    def __init__(self, shape: Shape) -> None:
        try:
            self.shape = tuple(operator.index(size) for size in shape)
        except TypeError:
            self.shape = (-2,)
        if any(size < -1 or size == 0 for size in self.shape) or self.shape.count(-1) > 1:
            raise ConfigurationError(
                "Reshape needs the shape of one example, without the batch axis",
                where="Reshape",
                expected="a tuple of positive integers, one of which may be -1",
                got=repr(shape),
                fix="Reshape((1, 28, 28))",
            )

    def build(self, shape: Shape) -> Shape:
        size = math.prod(shape)
        given = math.prod(side for side in self.shape if side != -1)
        output = tuple(size // given if side == -1 else side for side in self.shape)
        if math.prod(output) != size:
            raise ShapeError(
                "the new shape does not hold as many numbers as the old one",
                where=self.where,
                expected=f"a shape of {size} numbers, as {shape}",
                got=f"{self.shape}, of {given}" + (" times something" if -1 in self.shape else ""),
                fix="correct the shape; the batch axis is not part of it",
            )
        return output

    def forward(self, x: Array) -> tuple[Array, Shape]:
        return reshaped(self, "y", x, (len(x), *self._built().output)), x.shape

    def backward(self, dy: Array, shape: Shape) -> Array:
        return reshaped(self, "dx", dy, shape)


class Permute(Layer):
    """y[n] = x[n] with its axes in another order: axis i of y is axis axes[i] of x.

    Shapes:   x (N, d0, ..., dk), y (N, d[axes[0]], ..., d[axes[k]]); the axes count within an example.
    Backward: dx = dy with the axes back in their old order.
    Errors:   ConfigurationError for axes that are no rearrangement of 0..k.
    Example:  Permute(2, 0, 1) takes images (height, width, channels) to (channels, height, width).
    """

    straight = True

    def __init__(self, *axes: int) -> None:
        self.axes = axes

    def build(self, shape: Shape) -> Shape:
        if sorted(map(repr, self.axes)) != sorted(map(repr, range(len(shape)))):
            raise ConfigurationError(
                "Permute needs every axis once",
                where=self.where,
                expected=f"a rearrangement of {', '.join(map(str, range(len(shape))))}, for an input {shape}",
                got=", ".join(map(repr, self.axes)) or "nothing",
                fix="Permute(2, 0, 1) takes (height, width, channels) to (channels, height, width)",
            )
        self.there = (0, *(axis + 1 for axis in self.axes))  # with the batch axis in front
        self.back = tuple(sorted(range(len(self.there)), key=self.there.__getitem__))
        return tuple(shape[axis] for axis in self.axes)

    def forward(self, x: Array) -> tuple[Array, None]:
        return x.transpose(self.there), None

    def backward(self, dy: Array, cache: None) -> Array:
        return dy.transpose(self.back)


def reshaped(layer: Layer, name: str, x: Array, shape: Shape) -> Array:
    """The rows of x in another shape: x itself where they lie in memory in that order, else the layer's own copy."""
    if not x[:1].flags.c_contiguous and x.shape != shape:
        copy = layer.empty(name, x.shape, x.dtype)
        layer.xp.copyto(copy, x)
        x = copy
    return x.reshape(shape)
