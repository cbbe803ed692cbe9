"""Softmax: scores become probabilities, row by row."""

from __future__ import annotations

from typing import Any

from tinynn.backend import Array
from tinynn.errors import ConfigurationError
from tinynn.layer import Layer, Shape

__all__ = ["LogSoftmax", "Softmax"]


class Softmax(Layer):
    """y_j = exp(x_j) / sum over k of exp(x_k): each row becomes probabilities.

    Shapes:   x (N, ..., C), y of the same shape: the rows lie along the last axis.
    Backward: dx = y (dy - sum over k of dy_k y_k).
    Errors:   ConfigurationError for an input without scores.
    Note:     before a cross-entropy loss leave it out: SoftmaxCrossEntropy contains it, and is more exact.
    Source:   Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs", 1990.
    """

    straight = True

    def build(self, shape: Shape) -> Shape:
        return shape_of_rows(self, shape)

    def forward(self, x: Array) -> tuple[Array, Any]:
        work = self.empty("work", x.shape, self.xp.float64)
        y = self.ops.softmax(x, out=self.empty_like("y", x), work=work)
        return y, y

    def backward(self, dy: Array, y: Array) -> Array:
        return self.ops.softmax_backward(dy, y, out=self.empty_like("dx", y))


class LogSoftmax(Layer):
    """y_j = x_j - log of the sum over k of exp(x_k): the logarithms of what Softmax gives.

    Shapes:   x (N, ..., C), y of the same shape: the rows lie along the last axis.
    Backward: dx = dy - exp(y) times the sum over k of dy_k.
    Errors:   ConfigurationError for an input without scores.
    Source:   Bishop, "Pattern Recognition and Machine Learning", 4.3.4.
    """

    straight = True

    def build(self, shape: Shape) -> Shape:
        return shape_of_rows(self, shape)

    def forward(self, x: Array) -> tuple[Array, Array]:
        work = self.empty("work", x.shape, self.xp.float64)
        y = self.ops.log_softmax(x, out=self.empty_like("y", x), work=work)
        return y, y

    def backward(self, dy: Array, y: Array) -> Array:
        return self.ops.log_softmax_backward(dy, y, out=self.empty_like("dx", y))


def shape_of_rows(layer: Layer, shape: Shape) -> Shape:
    """The shape, if its last axis is a row of scores.

    Errors: ConfigurationError.
    """
    if not shape or shape[-1] < 1:
        raise ConfigurationError(
            "softmax works on rows of scores",
            where=layer.where,
            expected="an input of shape (classes,), or (..., classes)",
            got=shape,
            fix="put an Affine layer before it",
        )
    return shape
