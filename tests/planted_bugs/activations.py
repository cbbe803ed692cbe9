"""Activations with one bug each: wrong slopes, other arrays overwritten, memory order taken for granted."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn import ReLU, Rescale, Sigmoid, Softmax, Tanh


class InputClippedInPlace(ReLU):
    def forward(self, x: Any) -> Any:
        y = np.maximum(x, 0, out=x)
        return y, y.copy()


class DyMaskedInPlace(ReLU):
    def backward(self, dy: Any, y: Any) -> Any:
        dy *= y > 0
        return dy


class InputScaledInBackward(Rescale):
    def forward(self, x: Any) -> Any:
        return super().forward(x)[0], x

    def backward(self, dy: Any, cache: Any) -> Any:
        cache *= self.scale
        return dy * self.scale


class FlatViewThatIsACopy(Sigmoid):  # zeros_like keeps the memory order, and then reshape(-1) may copy
    def backward(self, dy: Any, y: Any) -> Any:
        dx = np.zeros_like(dy)
        dx.reshape(-1)[:] = (dy * y * (1 - y)).reshape(-1)
        return dx


class DyReadInMemoryOrder(Sigmoid):
    def backward(self, dy: Any, y: Any) -> Any:
        return (dy.ravel(order="K") * (y * (1 - y)).ravel()).reshape(y.shape)


class LostSign(Tanh):
    def backward(self, dy: Any, y: Any) -> Any:
        return -super().backward(dy, y)


class ForgottenSquare(Tanh):
    def backward(self, dy: Any, y: Any) -> Any:
        return dy * (1 - y)


class MaskFromDy(ReLU):
    def backward(self, dy: Any, y: Any) -> Any:
        return dy * (dy > 0)


class NoMask(ReLU):
    def backward(self, dy: Any, y: Any) -> Any:
        return dy.copy()


class SlopeFromX(Sigmoid):
    def forward(self, x: Any) -> Any:
        return super().forward(x)[0], x

    def backward(self, dy: Any, y: Any) -> Any:  # called y, it is x
        return dy * y * (1 - y)


class ForgottenDy(Sigmoid):
    def backward(self, dy: Any, y: Any) -> Any:
        return y * (1 - y)


class OnlyTheDiagonal(Softmax):
    def backward(self, dy: Any, y: Any) -> Any:
        return dy * y * (1 - y)


class WithoutTheSum(Softmax):
    def backward(self, dy: Any, y: Any) -> Any:
        return dy * y


class DividedByScale(Rescale):
    def backward(self, dy: Any, cache: Any) -> Any:
        return dy / self.scale


class PromotedGradient(Sigmoid):
    def backward(self, dy: Any, y: Any) -> Any:
        return dy * y * (np.ones(y.shape) - y)


class BatchOfOneSqueezed(Sigmoid):
    def forward(self, x: Any) -> Any:
        y, cache = super().forward(x)
        return y.squeeze(), cache
