"""Layers that bring several values together, and the one that adds a layer's input to its output."""

from __future__ import annotations

from typing import Any

from tinynn.backend import Array
from tinynn.checks import whole_number
from tinynn.errors import ConfigurationError, ShapeError
from tinynn.layer import Layer, Shape

__all__ = ["Add", "Concat", "Multiply", "Residual"]


class Add(Layer):
    """y = x_1 + x_2 + ... + x_k.

    Shapes:   k >= 2 inputs of one shape, which is y's too: nothing is broadcast.
    Backward: dx_i = dy.
    Errors:   ShapeError for inputs of different shapes, or only one.
    """

    straight = True

    def build(self, *shapes: Shape) -> Shape:
        return one_shape(self, shapes)

    def forward(self, *xs: Array) -> tuple[Array, int]:
        y = self.xp.add(xs[0], xs[1], out=self.empty_like("y", xs[0]))
        for x in xs[2:]:
            self.xp.add(y, x, out=y)
        return y, len(xs)

    def backward(self, dy: Array, k: int) -> tuple[Array, ...]:
        return (dy,) * k


class Multiply(Layer):
    """y = x_1 x_2 ... x_k, element by element.

    Shapes:   k >= 2 inputs of one shape, which is y's too: nothing is broadcast.
    Backward: dx_i = dy times the product of the other x.
    Errors:   ShapeError for inputs of different shapes, or only one.
    """

    straight = True

    def build(self, *shapes: Shape) -> Shape:
        return one_shape(self, shapes)

    def forward(self, *xs: Array) -> tuple[Array, tuple[Array, ...]]:
        y = self.xp.multiply(xs[0], xs[1], out=self.empty_like("y", xs[0]))
        for x in xs[2:]:
            self.xp.multiply(y, x, out=y)
        return y, xs

    def backward(self, dy: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        dxs = []
        for i in range(len(xs)):
            first, *others = xs[:i] + xs[i + 1 :]
            dx = self.xp.multiply(dy, first, out=self.empty_like(f"dx{i}", dy))
            for x in others:
                self.xp.multiply(dx, x, out=dx)
            dxs.append(dx)
        return tuple(dxs)


class Concat(Layer):
    """y = x_1, x_2, ..., x_k joined along an axis.

    Shapes:   k >= 2 inputs that differ along `axis` at most. The axis counts within an example: 0 are the features of
              rows and the channels of images; negative ones count from the end.
    Backward: dx_i = the part of dy that x_i was.
    Errors:   ShapeError for inputs that differ elsewhere, for only one, for an axis that they do not have.
    """

    straight = True

    def __init__(self, axis: int = 0) -> None:
        self.axis = whole_number(axis, "the axis", where="Concat", fix="Concat(axis=0)")

    def build(self, *shapes: Shape) -> Shape:
        dims = len(shapes[0])
        axis = self.axis + dims if self.axis < 0 else self.axis
        others = {(*shape[:axis], 0, *shape[axis + 1 :]) for shape in shapes}
        if len(shapes) < 2 or not 0 <= axis < dims or len(others) > 1 or {len(shape) for shape in shapes} != {dims}:
            raise ShapeError(
                "inputs that cannot be joined",
                where=self.where,
                expected=f"at least two inputs with an axis {self.axis}, of equal size along all others",
                got=", ".join(map(str, shapes)),
                fix="Concat(axis=...) counts within an example; Flatten() or Reshape() bring inputs into one form",
            )
        self.parts: list[tuple[slice, ...]] = []  # where each x stands in y
        end = 0
        for shape in shapes:
            start, end = end, end + shape[axis]
            self.parts.append((*[slice(None)] * (axis + 1), slice(start, end)))  # the batch axis is in front
        return (*shapes[0][:axis], end, *shapes[0][axis + 1 :])

    def forward(self, *xs: Array) -> tuple[Array, None]:
        y = self.empty("y", (len(xs[0]), *self._built().output))
        for part, x in zip(self.parts, xs, strict=True):
            self.xp.copyto(y[part], x)
        return y, None

    def backward(self, dy: Array, cache: None) -> tuple[Array, ...]:
        return tuple([dy[part] for part in self.parts])


class Residual(Layer):
    """y = x + f(x), f being a layer or a network of the same output shape.

    Backward: dx = dy + f's own dx.
    Errors:   ShapeError for an f that changes the shape.
    Source:   He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2016.
    """

    straight = True

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def build(self, shape: Shape) -> Shape:
        output = self.sublayer("layer", self.layer, shape, needs_dx=self.needs_dx)
        if getattr(self.layer, "final_loss", None) is not None:
            raise ConfigurationError(
                "a network inside a network cannot end in a loss: nobody would give it targets",
                where=self.where,
                expected="layers without a loss",
                got=repr(self.layer),
                fix="make the loss the last layer of the outer network",
            )
        if output != shape:
            raise ShapeError(
                "a residual layer adds its input to its output, so both need one shape",
                where=self.where,
                expected=shape,
                got=output,
                fix="end it with Affine or Conv2D of the input's size; or Graph with a layer on the shorter path too",
            )
        return shape

    def forward(self, x: Array) -> tuple[Array, Any]:
        f, cache = self.layer.forward(x)
        return self.xp.add(x, f, out=self.empty_like("y", x)), cache

    def backward(self, dy: Array, cache: Any) -> Array | None:
        df = self.layer.backward(dy, cache)
        return self.xp.add(dy, df, out=self.empty_like("dx", dy)) if self.needs_dx else None

    def predict(self, x: Array) -> Array:
        return self.xp.add(x, self.layer.predict(x), out=self.empty_like("y", x))


def one_shape(layer: Layer, shapes: tuple[Shape, ...]) -> Shape:
    """The shape that all inputs have.

    Errors: ShapeError.
    """
    if len(shapes) < 2 or len(set(shapes)) > 1:
        raise ShapeError(
            "inputs that cannot be combined element by element",
            where=layer.where,
            expected="at least two inputs, all of one shape",
            got=", ".join(map(str, shapes)),
            fix="bring them to one shape first, with Affine, Conv2D or Reshape; Concat() joins different ones",
        )
    return shapes[0]
