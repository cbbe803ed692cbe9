"""Relatives of ReLU: the identity where x > 0, and something that does not die below.

Shapes: y, dy and dx are of x's shape throughout.
"""

from __future__ import annotations

from tinynn.backend import Array
from tinynn.checks import finite_number
from tinynn.errors import ConfigurationError
from tinynn.init import Init, constant
from tinynn.layer import Layer, Shape

__all__ = ["ELU", "SELU", "LeakyReLU", "PReLU"]

QUARTER = constant(0.25)


class LeakyReLU(Layer):
    """y = x where x > 0, else slope x.

    Backward: dx = dy where x > 0, else slope dy.
    Errors:   ConfigurationError for a slope outside 0 <= slope < 1.
    Source:   Maas, Hannun, Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013.
    """

    straight = True

    def __init__(self, slope: float = 0.01) -> None:
        fix = "LeakyReLU(slope=0.01)"
        self.slope = finite_number(slope, "the slope", where="LeakyReLU", fix=fix, least=0, below=1)

    def forward(self, x: Array) -> tuple[Array, Array]:
        y = self.xp.multiply(x, self.slope, out=self.empty_like("y", x))
        return self.xp.maximum(x, y, out=y), x  # slope < 1, so the larger one is x where x > 0

    def backward(self, dy: Array, x: Array) -> Array:
        dx = self.xp.greater(x, 0, out=self.empty_like("dx", x), casting="unsafe")
        self.xp.maximum(dx, self.slope, out=dx)  # 1 where x > 0, else slope
        return self.xp.multiply(dx, dy, out=dx)


class PReLU(Layer):
    """y = x where x > 0, else a x, with a learned slope a for each feature or channel.

    Shapes:   x (N, D) or (N, C, ...); a (D,) or (C,); y as x.
    Backward: dx = dy where x > 0, else a dy; da = sum of dy x over all x < 0 of the feature or channel.
    Init:     a = 1/4, no L2 on it: it would pull towards ReLU.
    Errors:   ConfigurationError for an input without features.
    Source:   He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", 2015.
    """

    straight = True

    def __init__(self, a: Init | Array = QUARTER) -> None:
        self.a_init = a

    def build(self, shape: Shape) -> Shape:
        if not shape:
            raise ConfigurationError(
                "PReLU needs features",
                where=self.where,
                expected="an input of shape (D,) or (C, ...)",
                got=shape,
                fix="LeakyReLU() works on single numbers",
            )
        self.param("a", shape[:1], self.a_init, decay=False)
        self.others = (0, *range(2, len(shape) + 1))
        self.across = (shape[0], *(1,) * (len(shape) - 1))
        return shape

    def forward(self, x: Array) -> tuple[Array, Array]:
        y = self.xp.minimum(x, 0, out=self.empty_like("y", x))
        self.xp.multiply(y, self.a.reshape(self.across), out=y)
        return self.xp.add(y, self.xp.maximum(x, 0, out=self.empty_like("above", x)), out=y), x

    def backward(self, dy: Array, x: Array) -> Array:
        xp, dx, above = self.xp, self.empty_like("dx", x), self.empty_like("above", x)
        xp.multiply(xp.minimum(x, 0, out=dx), dy, out=dx)
        xp.sum(dx, axis=self.others, out=self.da)
        xp.multiply(xp.less_equal(x, 0, out=dx, casting="unsafe"), self.a.reshape(self.across), out=dx)
        xp.add(dx, xp.greater(x, 0, out=above, casting="unsafe"), out=dx)  # 1 where x > 0, else a
        return xp.multiply(dx, dy, out=dx)


class ELU(Layer):
    """y = x where x > 0, else alpha (exp(x) - 1).

    Backward: dx = dy where x > 0, else dy alpha exp(x).
    Errors:   ConfigurationError for an alpha that is not positive.
    Source:   Clevert, Unterthiner, Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear Units",
              2016.
    """

    straight = True

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = finite_number(alpha, "alpha", where="ELU", fix="ELU(alpha=1.0)", above=0)

    def forward(self, x: Array) -> tuple[Array, Array]:
        return elu(self, x, self.alpha, 1.0), x

    def backward(self, dy: Array, x: Array) -> Array:
        return elu_backward(self, dy, x, self.alpha, 1.0)


class SELU(Layer):
    """y = scale x where x > 0, else scale alpha (exp(x) - 1).

    With the default scale and alpha, and weights by `lecun`, mean 0 and variance 1 are kept from layer to layer.

    Backward: dx = scale dy where x > 0, else dy scale alpha exp(x).
    Errors:   ConfigurationError for an alpha or a scale that is not positive.
    Source:   Klambauer, Unterthiner, Mayr, Hochreiter, "Self-Normalizing Neural Networks", 2017.
    """

    straight = True

    def __init__(self, alpha: float = 1.6732632423543772, scale: float = 1.0507009873554805) -> None:
        self.alpha = finite_number(alpha, "alpha", where="SELU", fix="SELU()", above=0)
        self.scale = finite_number(scale, "the scale", where="SELU", fix="SELU()", above=0)

    def forward(self, x: Array) -> tuple[Array, Array]:
        return elu(self, x, self.alpha, self.scale), x

    def backward(self, dy: Array, x: Array) -> Array:
        return elu_backward(self, dy, x, self.alpha, self.scale)


def elu(layer: Layer, x: Array, alpha: float, scale: float) -> Array:
    """scale x where x > 0, else scale alpha (exp(x) - 1)."""
    xp, y, above = layer.xp, layer.empty_like("y", x), layer.empty_like("above", x)
    xp.expm1(xp.minimum(x, 0, out=y), out=y)
    xp.multiply(y, scale * alpha, out=y)
    return xp.add(y, xp.multiply(xp.maximum(x, 0, out=above), scale, out=above), out=y)


def elu_backward(layer: Layer, dy: Array, x: Array, alpha: float, scale: float) -> Array:
    """scale dy where x > 0, else dy scale alpha exp(x)."""
    xp, dx, where = layer.xp, layer.empty_like("dx", x), layer.empty_like("above", x)
    xp.multiply(xp.exp(xp.minimum(x, 0, out=dx), out=dx), scale * alpha, out=dx)
    xp.multiply(dx, xp.less_equal(x, 0, out=where, casting="unsafe"), out=dx)
    above = xp.multiply(xp.greater(x, 0, out=where, casting="unsafe"), scale, out=where)
    return xp.multiply(xp.add(dx, above, out=dx), dy, out=dx)
