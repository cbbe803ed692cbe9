"""A user's own layers, first right and then with one bug each."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn import Layer
from tinynn.init import ones


class Gain(Layer):
    """y = g * x."""

    def build(self, shape: Any) -> Any:
        self.param("g", shape, ones)
        return shape

    def forward(self, x: Any) -> Any:
        return x * self.g, x

    def backward(self, dy: Any, x: Any) -> Any:
        self.dg[...] = (dy * x).sum(axis=0)
        return dy * self.g


class Product(Layer):
    """y = x0 * x1."""

    def forward(self, x0: Any, x1: Any) -> Any:
        return x0 * x1, (x0, x1)

    def backward(self, dy: Any, cache: Any) -> Any:
        x0, x1 = cache
        return dy * x1, dy * x0


class Half(Layer):
    """y = x / 2."""

    def forward(self, x: Any) -> Any:
        return x * 0.5, None

    def backward(self, dy: Any, cache: Any) -> Any:
        return dy * 0.5


class Centred(Layer):
    """y = x - the mean of x over the batch."""

    def forward(self, x: Any) -> Any:
        return x - x.mean(axis=0), None

    def backward(self, dy: Any, cache: Any) -> Any:
        return dy - dy.mean(axis=0)


class ShiftedSquare(Layer):
    """y = (x + 1)^2."""

    def forward(self, x: Any) -> Any:
        return (x + 1) * (x + 1), x + 1

    def backward(self, dy: Any, shifted: Any) -> Any:
        return 2 * dy * shifted


class InputShiftedInPlace(ShiftedSquare):
    def forward(self, x: Any) -> Any:
        x += 1
        return x * x, x.copy()


class AlwaysOtherNoise(Half):
    calls = 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        noise = 0.5 + 0.01 * np.sin(self.calls)
        return x * noise, noise

    def backward(self, dy: Any, cache: Any) -> Any:
        return dy * cache


class PromotedOutput(Half):
    def forward(self, x: Any) -> Any:
        return x * np.float64(0.5), None


class ConstantMean(Centred):
    def backward(self, dy: Any, cache: Any) -> Any:
        return dy.copy()


class SummedOverAll(Gain):
    def backward(self, dy: Any, x: Any) -> Any:
        self.dg[...] = (dy * x).sum()
        return dy * self.g


class SwappedInputs(Product):
    def backward(self, dy: Any, cache: Any) -> Any:
        x0, x1 = cache
        return dy * x0, dy * x1


class SecondGradientMissing(Product):
    def backward(self, dy: Any, cache: Any) -> Any:
        return dy * cache[1], None


class OnlyTheSignOfDy(Gain):  # right where dy is 1 or -1
    def backward(self, dy: Any, x: Any) -> Any:
        self.dg[...] = (np.sign(dy) * x).sum(axis=0)
        return dy * self.g
