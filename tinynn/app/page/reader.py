"""What the page asks of a network: its answer to one digit, and what the layers inside it say on the way."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tinynn.app.digitise import SIDE
from tinynn.app.metadata import class_names
from tinynn.errors import ConfigurationError, DataError
from tinynn.layer import Layer
from tinynn.layers import (
    Affine,
    BatchNorm,
    Conv2D,
    Dropout,
    Flatten,
    GroupNorm,
    Identity,
    LayerNorm,
    Permute,
    Rescale,
    Reshape,
    RMSNorm,
)
from tinynn.network import Network
from tinynn.network.observed import layer_outputs

__all__ = ["Activation", "Reading", "check", "named", "read"]

MOST_CLASSES = 36  # keys of the keyboard, and more than which the page has no room
MOST_SHOWN = 1 << 16  # numbers of one layer
SAME_NUMBERS = (Rescale, Flatten, Reshape, Permute, Identity, Dropout)
SCORES = (Affine, Conv2D)
BEFORE_ACTIVATION = (*SCORES, BatchNorm, LayerNorm, RMSNorm, GroupNorm)


class Activation(NamedTuple):
    """What a hidden layer puts out for one digit: float32 values of its per-example shape."""

    name: str
    values: np.ndarray


class Reading(NamedTuple):
    """The outputs (classes,) for one digit, and those of the hidden layers that `named` chooses, in their order."""

    outputs: np.ndarray
    layers: list[Activation]


def check(net: Any) -> tuple[str, ...]:
    """The names of the classes that the network tells apart, if it is one that reads 28 x 28 gray values, 0 to 255.

    Errors: ConfigurationError for other inputs or outputs; NotBuiltError; what `predict` says of numbers that are not
    finite.
    """
    output = net._built().output if net.final_loss is None else net.final_loss._built().shapes[0]
    inputs = net.input_shapes
    reads = len(inputs) == 1 and math.prod(inputs[0]) == SIDE * SIDE
    if not reads or len(output) != 1 or not 2 <= output[0] <= MOST_CLASSES:
        raise ConfigurationError(
            "the page shows networks that read digits",
            where=net.where,
            expected=f"one input of {SIDE * SIDE} gray values, such as (28, 28), and a score for each of the classes, "
            f"2 to {MOST_CLASSES}",
            got=f"input {' and '.join(map(str, inputs))}, output {output}",
            fix="Sequential(Rescale(1 / 255), ..., Affine(10), SoftmaxCrossEntropy()).build((28, 28))",
        )
    read(net, np.zeros((SIDE, SIDE), np.uint8))
    return class_names(net, output[0])


def read(net: Any, digit: np.ndarray) -> Reading:
    """The network's answer to a digit, uint8 (28, 28).

    Errors: DataError where an output is not finite.
    """
    x = digit.reshape(1, *net.input_shapes[0])
    outputs = np.asarray(net.ops.to_host(net.predict(x)), np.float64)[0]
    if not np.isfinite(outputs).all():
        raise DataError(
            "the network's outputs are not finite",
            where=net.where,
            expected="numbers",
            got=f"{outputs[~np.isfinite(outputs)][0]} among the outputs for one digit",
            fix="train it again, with a smaller learning rate",
        )
    return Reading(outputs, activations(net, x))


def activations(net: Any, x: np.ndarray) -> list[Activation]:
    """What the hidden layers that `named` chooses put out for one row."""
    seen = [(layer, y) for _, layer, y in layer_outputs(net, x) if not isinstance(layer, Network)]
    names = named([layer for layer, _ in seen])
    return [Activation(name, y[0].astype(np.float32)) for name, (_, y) in zip(names, seen, strict=True) if name]


def named(layers: list[Layer]) -> list[str]:
    """For each layer its name if the page is to show it, else ""; the layers in the order in which they are computed.

    Not shown are the outputs, which are shown as bars, layers that hand on the same numbers, and sums before their
    activation.
    """
    ends = [i for i, layer in enumerate(layers) if isinstance(layer, SCORES)]
    last = ends[-1] if ends else len(layers) - 1
    names = [""] * len(layers)
    for i, layer in enumerate(layers[:last]):
        if isinstance(layer, SAME_NUMBERS) or math.prod(layer._built().output) > MOST_SHOWN:
            continue
        follows = next((other for other in layers[i + 1 :] if not isinstance(other, SAME_NUMBERS)), None)
        if not isinstance(layer, BEFORE_ACTIVATION) or isinstance(follows, SCORES):
            names[i] = f"{layer._built().path} {type(layer).__name__}"
    return names
