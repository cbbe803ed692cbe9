"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinynn.backend import Array
from tinynn.errors import ConfigurationError, ShapeError
from tinynn.layer import Layer, Shape
from tinynn.losses import Loss
from tinynn.network.explain import reraise
from tinynn.network.network import Network

__all__ = ["Sequential"]


class Sequential(Network):
    """y = f_k(... f_2(f_1(x))), a loss allowed as the last f.

    Shapes:   what one layer puts out, the next takes; settled in `build`.
    Backward: the layers' backward passes in reverse order, down to the lowest one that has parameters.
    Errors:   ConfigurationError for no layers, something that is no layer, a loss before the end.
    """

    def __init__(self, *layers: Layer) -> None:
        if not layers:
            raise ConfigurationError(
                "a Sequential without layers",
                where="Sequential()",
                expected="at least one layer",
                got="none",
                fix="Sequential(Affine(10), SoftmaxCrossEntropy())",
            )
        self.layers = layers

    @property
    def integer_inputs(self) -> bool:
        """Whether the first layer reads integers as they are."""
        return self.layers[0].integer_inputs

    def wire(self, shape: Shape, *targets: Shape) -> Shape:
        last = self.layers[-1]
        self.final_loss = last if isinstance(last, Loss) else None
        if targets and self.final_loss is None:
            raise ShapeError(
                "a chain of layers has one input",
                where=self.where,
                expected="one shape",
                got=(shape, *targets),
                fix="give one shape; a second one is that of the targets of a loss at the end",
            )
        self.input_shapes = (shape,)
        self.lowest = len(self.layers)  # the first layer whose backward anybody needs
        for i, layer in enumerate(self.layers):
            if isinstance(layer, Loss) and layer is not last:
                raise ConfigurationError(
                    "a loss gives one number, so nothing can follow it",
                    where=f"layer {i}: {layer!r}",
                    expected="the loss as the last layer",
                    got=f"{len(self.layers) - i - 1} layers behind it",
                    fix="move the loss to the end",
                )
            needs_dx = self.needs_dx or self.lowest < i
            shapes = (shape, *targets) if layer is self.final_loss else (shape,)
            shape = self.sublayer(str(i), layer, *shapes, needs_dx=needs_dx)
            if self.lowest > i and (needs_dx or any(inner._built().declared for _, inner in layer.walk())):
                self.lowest = i
        return shape

    def run_forward(self, xs: tuple[Array, ...]) -> tuple[Array, list[Any], Array]:
        y, *targets = xs
        caches: list[Any] = []
        scores = y
        try:
            for layer in self.layers:
                scores = y
                y, cache = layer.forward(y, *targets) if layer is self.final_loss else layer.forward(y)
                caches.append(cache)
        except Exception as error:
            reraise(error, self.layers[len(caches)], "forward", scores)
        return y, caches, y if self.final_loss is None else scores

    def run_backward(self, dy: Any, caches: list[Any]) -> Any:
        i = len(self.layers)
        try:
            for i in range(len(self.layers) - 1, self.lowest - 1, -1):
                dy = self.layers[i].backward(dy, caches[i])
                if i == len(self.layers) - 1 and self.final_loss is not None:
                    dy = dy[0]
        except Exception as error:
            reraise(error, self.layers[i], "backward", dy)
        return dy if self.needs_dx else None

    def run_predict(self, xs: tuple[Array, ...], link: bool = True) -> Array:
        (y,) = xs
        layers = self.layers if link or self.final_loss is None else self.layers[:-1]
        layer = self.layers[0]
        try:
            for layer in layers:
                y = layer.predict(y)
        except Exception as error:
            reraise(error, layer, "predict", y)
        return y

    def example(self, rng: np.random.Generator, n: int, *shapes: Shape) -> tuple[np.ndarray, ...]:
        xs = self.layers[0].example(rng, n, shapes[0])
        if self.final_loss is None:
            return xs
        scores, *_ = self.final_loss._built().shapes
        return xs + self.final_loss.example(rng, n, scores, *shapes[1:])[1:]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __getitem__(self, i: int) -> Layer:
        return self.layers[i]
