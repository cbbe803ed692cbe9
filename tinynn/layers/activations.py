"""Activations: functions applied to each element alone.

Shapes: y, dy and dx are of x's shape throughout. Where dx can be had from y, the cache is y and x can be forgotten.
"""

from __future__ import annotations

from tinynn.backend import Array
from tinynn.errors import GradientError
from tinynn.layer import Layer

__all__ = ["ReLU", "Sigmoid", "Step", "Tanh"]


class ReLU(Layer):
    """y = max(x, 0).

    Backward: dx = dy where y > 0, else 0 (the corner at 0 counts as flat).
    Source:   Nair, Hinton, "Rectified Linear Units Improve Restricted Boltzmann Machines", 2010.
    """

    straight = True

    def forward(self, x: Array) -> tuple[Array, Array]:
        y = self.ops.relu(x, out=self.empty_like("y", x))
        return y, y

    def backward(self, dy: Array, y: Array) -> Array:
        return self.ops.relu_backward(dy, y, out=self.empty_like("dx", y))


class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x)).

    Backward: dx = dy y (1 - y).
    Source:   Nielsen, "Neural Networks and Deep Learning", chapter 1.
    """

    straight = True

    def forward(self, x: Array) -> tuple[Array, Array]:
        y = self.ops.sigmoid(x, out=self.empty_like("y", x), work=self.empty_like("work", x))
        return y, y

    def backward(self, dy: Array, y: Array) -> Array:
        return self.ops.sigmoid_backward(dy, y, out=self.empty_like("dx", y))


class Tanh(Layer):
    """y = tanh(x).

    Backward: dx = dy (1 - y^2).
    Source:   LeCun, Bottou, Orr, Mueller, "Efficient BackProp", 1998.
    """

    straight = True

    def forward(self, x: Array) -> tuple[Array, Array]:
        y = self.xp.tanh(x, out=self.empty_like("y", x))
        return y, y

    def backward(self, dy: Array, y: Array) -> Array:
        return self.ops.tanh_backward(dy, y, out=self.empty_like("dx", y))


class Step(Layer):
    """y = 1 where x > 0, else 0: the perceptron's threshold.

    Backward: refused. The slope is 0 wherever there is one, so no weight below would ever learn.
    Source:   Rosenblatt, "The Perceptron", 1958; Nielsen, chapter 1.
    """

    def forward(self, x: Array) -> tuple[Array, None]:
        y = self.xp.greater(x, 0, out=self.empty_like("y", x), casting="unsafe")
        return y, None

    def backward(self, dy: Array, cache: None) -> Array:
        raise GradientError(
            "a step cannot be trained by gradients: its slope is 0 everywhere but at the jump",
            where=self.where,
            expected="an activation with a slope",
            got="Step",
            fix="use Sigmoid(), the smooth step, in its place; or call only predict",
        )
