"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinynn.backend import Array
from tinynn.errors import ConfigurationError, ShapeError
from tinynn.layer import Layer, Shape
from tinynn.losses import Loss
from tinynn.network.network import Network
from tinynn.network.stumbled import BrokenPromise, explain_backward, explain_forward

__all__ = ["Sequential"]


class Sequential(Network):
    """y = f_k(... f_2(f_1(x))), a loss allowed as the last f.

    Shapes:   what one layer puts out, the next takes; settled in `build`.
    Backward: the layers' backward passes in reverse order, down to the lowest one that has parameters.
    Errors:   ConfigurationError for no layers, something that is no layer, a loss before the end.
    """

    straight = True

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
        self.chain = self.layers if self.final_loss is None else self.layers[:-1]
        self.target_names = () if self.final_loss is None else ("targets", "weights")
        self.optional_targets, self.target_slots = len(self.target_names) // 2, (1, 2)
        if len(targets) > len(self.target_names):
            raise ShapeError(
                "a chain of layers has one input",
                where=self.where,
                expected="one shape, and behind it those of targets and weights where there is a loss",
                got=(shape, *targets),
                fix=f"net.build({shape})",
            )
        self.input_names, self.input_shapes = ("x",), (shape,)
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
            self.scores_shape = shape  # in the end what the loss is given, or the output where there is none
            shape = self.sublayer(str(i), layer, *shapes, needs_dx=needs_dx)
            if isinstance(layer, Network) and layer.final_loss is not None:
                raise ConfigurationError(
                    "a network inside a network cannot end in a loss: nobody would give it targets",
                    where=layer.where,
                    expected="layers without a loss",
                    got=repr(layer.final_loss),
                    fix="make the loss the last layer of the outer network",
                )
            if self.lowest > i and (needs_dx or any(inner._built().declared for _, inner in layer.walk())):
                self.lowest = i
        if self.final_loss is None:
            self.scores_shape = shape
        return shape

    def run_forward(self, xs: tuple[Array, ...]) -> tuple[Array, list[Any], tuple[Array, ...]]:
        x, *targets = xs
        y, caches = x, []
        try:
            for layer in self.chain:
                y, cache = layer.forward(y)
                caches.append(cache)
            if y.shape != (len(x), *self.scores_shape):
                raise BrokenPromise
            if self.final_loss is None:
                return y, caches, (y,)
            loss, cache = self.final_loss.forward(y, *targets)
        except Exception as error:
            explain_forward(error, self.layers, len(caches), x, y, "forward")
        caches.append(cache)
        return loss, caches, (y, *targets)

    def run_backward(self, dy: Any, caches: list[Any]) -> Any:
        i = len(self.layers) - 1
        try:
            if self.final_loss is not None:
                dy, *_ = self.final_loss.backward(dy, caches[i])
            for i in range(len(self.chain) - 1, self.lowest - 1, -1):
                dy = self.chain[i].backward(dy, caches[i])
        except Exception as error:
            explain_backward(error, self.layers, i, dy)
        return dy if self.needs_dx else None

    def run_predict(self, xs: tuple[Array, ...]) -> Array:
        (y,) = self.run_scores(xs)
        if self.final_loss is None:
            return y
        try:
            return self.final_loss.predict(y)
        except Exception as error:
            explain_forward(error, self.layers, len(self.chain), xs[0], y, "predict")

    def run_scores(self, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        x, *targets = xs
        y, done = x, 0
        try:
            for layer in self.chain:
                y = layer.predict(y)
                done += 1
            if y.shape != (len(x), *self.scores_shape):
                raise BrokenPromise
        except Exception as error:
            explain_forward(error, self.layers, done, x, y, "predict")
        return (y, *targets)

    def reads(self, name: str) -> tuple[str, ...]:
        above = str(int(name) - 1) if name != "0" else "x"
        return (above, "targets") if self.layers[int(name)] is self.final_loss else (above,)

    def reads_integers(self, name: str) -> bool:
        return self.integer_inputs

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
