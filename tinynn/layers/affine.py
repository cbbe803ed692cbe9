"""The affine layer, also called linear, dense or fully connected."""

from __future__ import annotations

import math

from tinynn.backend import Array
from tinynn.checks import positive_integer
from tinynn.init import Init, he, zeros
from tinynn.layer import Layer, Shape
from tinynn.layers.shape import reshaped

__all__ = ["Affine"]


class Affine(Layer):
    """y = x W + b.

    Shapes:   x (N, d1, ..., dk), flattened to (N, D); W (D, M); b (M,); y (N, M).
    Backward: dx = dy W^T, dW = x^T dy, db = sum over the rows of dy.
    Init:     W by He's rule, b zero. L2 acts on W, not on b.
    Errors:   ConfigurationError if M is not a positive integer.
    Source:   CS231n, `affine_forward` and `affine_backward`.
    """

    straight = True

    def __init__(self, M: int, W: Init | Array = he, b: Init | Array = zeros) -> None:
        self.M = positive_integer(M, "the number of outputs M", where="Affine", fix="Affine(10)")
        self.W_init, self.b_init = W, b

    def build(self, shape: Shape) -> Shape:
        self.param("W", (math.prod(shape), self.M), self.W_init)
        self.param("b", (self.M,), self.b_init, decay=False)
        return (self.M,)

    def forward(self, x: Array) -> tuple[Array, Array]:
        rows = reshaped(self, "rows", x, (len(x), len(self.W)))
        y = self.ops.affine(rows, self.W, self.b, out=self.empty("y", (len(x), self.M)))
        return y, x

    def backward(self, dy: Array, x: Array) -> Array | None:
        rows = reshaped(self, "rows", x, (len(x), len(self.W)))
        self.ops.matmul(rows.T, dy, out=self.dW)
        self.ops.sum_rows(dy, out=self.db)
        if not self.needs_dx:
            return None
        dx = self.ops.matmul(dy, self.W.T, out=self.empty("dx", rows.shape))
        return dx.reshape(x.shape)
