"""Activations that look like ReLU from afar and have no corner, or like a sigmoid drawn with straight lines.

Shapes: y, dy and dx are of x's shape throughout.
"""

from __future__ import annotations

import math
from typing import Any

from tinynn.backend import Array
from tinynn.checks import finite_number
from tinynn.errors import ConfigurationError
from tinynn.layer import Layer
from tinynn.layers.clip import inside

__all__ = ["GELU", "HardSigmoid", "HardSwish", "Mish", "SiLU", "Softplus", "Softsign"]


class GELU(Layer):
    """y = x Phi(x), Phi(x) being the share of a normal distribution that lies below x.

    `approximate`: y = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3), which is within 0.0005 of it, and what is
    usually written with tanh.

    Backward: dx = dy (Phi(x) + x phi(x)), phi(x) = exp(-x^2 / 2) / sqrt(2 pi); approximately
              dx = dy (s + x s (1 - s) 2 u'), s = sigmoid(2 u), u' = sqrt(2 / pi) (1 + 3 0.044715 x^2).
    Errors:   ConfigurationError for an `approximate` that is neither True nor False.
    Source:   Hendrycks, Gimpel, "Gaussian Error Linear Units", 2016.
    """

    straight = True

    def __init__(self, approximate: bool = False) -> None:
        if not isinstance(approximate, bool):
            raise ConfigurationError(
                "approximate is True or False",
                where="GELU",
                expected="True for the form with tanh, False for the exact one",
                got=repr(approximate),
                fix="GELU(approximate=True)",
            )
        self.approximate = approximate

    def forward(self, x: Array) -> tuple[Array, Any]:
        share = self.empty_like("share", x)
        if self.approximate:
            u, work = self.bent(x), self.empty_like("work", x)
            self.ops.sigmoid(u, out=share, work=work)
        else:
            self.ops.normal_cdf(x, out=share)
        return self.xp.multiply(x, share, out=self.empty_like("y", x)), (x, share)

    def bent(self, x: Array) -> Array:
        """2 u; where |x| > 10 as at 10, where the sigmoid is 0 or 1 already and the cube cannot overflow."""
        xp, u = self.xp, self.empty_like("u", x)
        c = xp.clip(x, -10, 10, out=self.empty_like("c", x))
        xp.multiply(c, c, out=u)
        xp.add(xp.multiply(u, 0.044715, out=u), 1, out=u)
        return xp.multiply(xp.multiply(u, c, out=u), 2 * math.sqrt(2 / math.pi), out=u)

    def backward(self, dy: Array, cache: Any) -> Array:
        xp, (x, share) = self.xp, cache
        dx = self.empty_like("dx", dy)
        if self.approximate:
            c, slope = xp.clip(x, -10, 10, out=self.empty_like("c", x)), self.empty_like("slope", x)
            xp.multiply(xp.multiply(c, c, out=slope), 3 * 0.044715, out=slope)
            xp.multiply(xp.add(slope, 1, out=slope), 2 * math.sqrt(2 / math.pi), out=slope)
            xp.multiply(xp.subtract(1, share, out=dx), share, out=dx)
            xp.multiply(dx, xp.multiply(slope, c, out=slope), out=dx)
        else:
            xp.multiply(self.ops.normal_pdf(x, out=dx), x, out=dx)
        return xp.multiply(dy, xp.add(dx, share, out=dx), out=dx)


class SiLU(Layer):
    """y = x sigmoid(x), also called swish.

    Backward: dx = dy s (1 + x (1 - s)), s = sigmoid(x).
    Source:   Elfwing, Uchibe, Doya, "Sigmoid-Weighted Linear Units for Neural Network Function Approximation", 2018.
    """

    straight = True

    def forward(self, x: Array) -> tuple[Array, Any]:
        s = self.ops.sigmoid(x, out=self.empty_like("s", x), work=self.empty_like("work", x))
        return self.xp.multiply(x, s, out=self.empty_like("y", x)), (x, s)

    def backward(self, dy: Array, cache: Any) -> Array:
        xp, (x, s) = self.xp, cache
        dx = xp.subtract(1, s, out=self.empty_like("dx", dy))
        xp.add(xp.multiply(dx, x, out=dx), 1, out=dx)
        return xp.multiply(xp.multiply(dx, s, out=dx), dy, out=dx)


class Softplus(Layer):
    """y = log(1 + exp(x)).

    Backward: dx = dy sigmoid(x).
    Source:   Dugas, Bengio, Belisle, Nadeau, Garcia, "Incorporating Second-Order Functional Knowledge", 2001.
    """

    straight = True

    def forward(self, x: Array) -> tuple[Array, Array]:
        return softplus(self, "y", x), x

    def backward(self, dy: Array, x: Array) -> Array:
        s = self.ops.sigmoid(x, out=self.empty_like("dx", dy), work=self.empty_like("work", x))
        return self.xp.multiply(s, dy, out=s)


class Mish(Layer):
    """y = x tanh(log(1 + exp(x))).

    Backward: dx = dy (w + x (1 - w^2) sigmoid(x)), w = tanh(log(1 + exp(x))).
    Source:   Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", 2020.
    """

    straight = True

    def forward(self, x: Array) -> tuple[Array, Any]:
        w = softplus(self, "w", x)
        self.xp.tanh(w, out=w)
        return self.xp.multiply(x, w, out=self.empty_like("y", x)), (x, w)

    def backward(self, dy: Array, cache: Any) -> Array:
        xp, (x, w) = self.xp, cache
        s = self.ops.sigmoid(x, out=self.empty_like("s", x), work=self.empty_like("work", x))
        dx = xp.subtract(1, xp.multiply(w, w, out=self.empty_like("dx", dy)), out=self.empty_like("dx", dy))
        xp.multiply(xp.multiply(dx, x, out=dx), s, out=dx)
        return xp.multiply(xp.add(dx, w, out=dx), dy, out=dx)


class Softsign(Layer):
    """y = x / (1 + |x|).

    Backward: dx = dy / (1 + |x|)^2.
    Source:   Bergstra, Desjardins, Lamblin, Bengio, "Quadratic Polynomials Learn Better Image Features", 2009.
    """

    straight = True

    def forward(self, x: Array) -> tuple[Array, Array]:
        size = self.xp.abs(x, out=self.empty_like("size", x))
        self.xp.add(size, 1, out=size)
        return self.xp.divide(x, size, out=self.empty_like("y", x)), size

    def backward(self, dy: Array, size: Array) -> Array:
        dx = self.xp.divide(dy, size, out=self.empty_like("dx", dy))
        return self.xp.divide(dx, size, out=dx)  # twice, since the square may overflow


class HardSigmoid(Layer):
    """y = alpha x + beta, held between 0 and 1.

    The defaults are those of ONNX and of Keras before version 3; PyTorch has alpha = 1/6.

    Backward: dx = alpha dy where 0 < y < 1, else 0.
    Errors:   ConfigurationError for an alpha that is not positive, a beta that is no finite number.
    Source:   Courbariaux, Bengio, David, "BinaryConnect", 2015.
    """

    straight = True

    def __init__(self, alpha: float = 0.2, beta: float = 0.5) -> None:
        fix = "HardSigmoid(alpha=0.2, beta=0.5)"
        self.alpha = finite_number(alpha, "alpha", where="HardSigmoid", fix=fix, above=0)
        self.beta = finite_number(beta, "beta", where="HardSigmoid", fix=fix)

    def forward(self, x: Array) -> tuple[Array, Array]:
        y = self.xp.multiply(x, self.alpha, out=self.empty_like("y", x))
        self.xp.add(y, self.beta, out=y)
        return self.xp.clip(y, 0, 1, out=y), y

    def backward(self, dy: Array, y: Array) -> Array:
        dx = self.xp.multiply(inside(self, "dx", y, 0, 1), self.alpha, out=self.empty_like("dx", y))
        return self.xp.multiply(dx, dy, out=dx)


class HardSwish(Layer):
    """y = x h, h = x / 6 + 1 / 2 held between 0 and 1.

    Backward: dx = dy (h + x / 6 where 0 < h < 1, else h).
    Source:   Howard and others, "Searching for MobileNetV3", 2019.
    """

    straight = True

    def forward(self, x: Array) -> tuple[Array, Any]:
        h = self.xp.multiply(x, 1 / 6, out=self.empty_like("h", x))
        self.xp.clip(self.xp.add(h, 0.5, out=h), 0, 1, out=h)
        return self.xp.multiply(x, h, out=self.empty_like("y", x)), (x, h)

    def backward(self, dy: Array, cache: Any) -> Array:
        xp, (x, h) = self.xp, cache
        dx = xp.multiply(x, 1 / 6, out=self.empty_like("dx", x))
        xp.multiply(dx, inside(self, "slope", h, 0, 1), out=dx)
        return xp.multiply(xp.add(dx, h, out=dx), dy, out=dx)


def softplus(layer: Layer, name: str, x: Array) -> Array:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)), in which nothing overflows."""
    xp, y = layer.xp, layer.empty_like(name, x)
    xp.negative(xp.abs(x, out=y), out=y)
    xp.log1p(xp.exp(y, out=y), out=y)
    return xp.add(y, xp.maximum(x, 0, out=layer.empty_like("above", x)), out=y)
