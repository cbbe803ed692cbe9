"""The page and its network as one HTML file, which reads digits in any browser, without a server or a network."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tinynn.app.page.document import document
from tinynn.app.page.reader import check, named
from tinynn.data.files import make_folder, written_atomically
from tinynn.errors import ConfigurationError
from tinynn.layer import Layer
from tinynn.layers import (
    Affine,
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Dropout,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    Identity,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Rescale,
    Reshape,
    Sigmoid,
    Softmax,
    Tanh,
)
from tinynn.layers.window import Axis
from tinynn.losses import (
    BinaryCrossEntropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    QuadraticCost,
    SoftmaxCrossEntropy,
)
from tinynn.network import Sequential

__all__ = ["chain", "described", "export_html"]


def export_html(net: Any, path: str | os.PathLike[str], *, name: str | None = None) -> Path:
    """Writes the page with this network in it as one file, which runs offline in any browser; returns the path.

    `name`: what the page calls the network; the file's own name without its ending, unless given.
    Errors: ConfigurationError for a network that does not read digits, and for a layer that JavaScript does not have
    here, which is named; DataError where the file cannot be written. An old one is replaced whole or not at all.
    """
    path = Path(path)
    classes = check(net)
    text = document(path.stem if name is None else name, classes, layers=described(net))
    make_folder(path.parent)
    with written_atomically(path) as file:
        file.write(text.encode())
    return path


def described(net: Any) -> list[dict[str, Any]]:
    """The layers as `files/network.js` takes them, the weights as base64 of float32.

    Errors: ConfigurationError.
    """
    layers = chain(net)
    if not layers:
        raise ConfigurationError(
            "only a chain of layers can be exported as a page",
            where=net.where,
            expected="a Sequential",
            got=f"a {type(net).__name__}",
            fix="tinynn serve, which shows any network",
        )
    found = []
    for layer, shown in zip(layers, named(layers), strict=True):
        describe = KINDS.get(type(layer))
        if describe is None:
            raise ConfigurationError(
                "this layer cannot be exported as a page: it is not written in JavaScript",
                where=layer.where,
                expected=f"one of {', '.join(kind.__name__ for kind in KINDS)}",
                got=type(layer).__name__,
                fix="use one of these in its place and train again, or tinynn serve, which shows any network",
            )
        entry = describe(layer)
        if shown:
            entry |= {"name": shown, "shape": list(layer._built().output)}
        found.append(entry)
    return found


def chain(net: Any) -> list[Layer]:
    """The layers of a Sequential one after the other, those of chains within it too; none of any other network."""
    if type(net) is not Sequential:
        return []
    found: list[Layer] = []
    for layer in net:
        found.extend(chain(layer) if type(layer) is Sequential else [layer])
    return found


def floats(layer: Any, array: Any) -> str:
    """The numbers as base64 of little-endian float32."""
    host = np.ascontiguousarray(layer.ops.to_host(array), "<f4")
    return base64.b64encode(host.tobytes()).decode()


def axis(one: Axis) -> dict[str, int]:
    names = ("length", "size", "stride", "dilation", "before", "outputs")
    return {name: getattr(one, name) for name in names}


def same(layer: Any) -> dict[str, Any]:
    return {"kind": "same"}


def softmax(layer: Any) -> dict[str, Any]:
    return {"kind": "softmax", "length": layer._built().shapes[0][-1]}


def sigmoid(layer: Any) -> dict[str, Any]:
    return {"kind": "sigmoid"}


def batch_norm(layer: Any) -> dict[str, Any]:
    scale = layer.gamma / layer.xp.sqrt(layer.var + layer.eps)
    parts = {"mean": layer.mean, "scale": scale, "offset": layer.beta}
    return {"kind": "channels", **{name: floats(layer, array) for name, array in parts.items()}}


def convolution(layer: Any) -> dict[str, Any]:
    return {
        "kind": "convolution",
        "W": floats(layer, layer.W),
        "b": floats(layer, layer.b),
        "C": layer._built().shapes[0][0],
        "groups": layer.groups,
        "rows": axis(layer.rows),
        "columns": axis(layer.columns),
    }


def pooling(layer: Any) -> dict[str, Any]:
    share = {"share": floats(layer, layer.share)} if isinstance(layer, AveragePool2D) else {}
    return {"kind": "pooling", "rows": axis(layer.rows), "columns": axis(layer.columns), **share}


def whole(layer: Any) -> dict[str, Any]:
    """A window as large as the image."""
    _, H, W = layer._built().shapes[0]
    rows, columns = (axis(Axis(side, side, 1, 1, 0, 0, 0, 1)) for side in (H, W))
    share = {"share": floats(layer, layer.xp.asarray([layer.share]))} if isinstance(layer, GlobalAveragePool) else {}
    return {"kind": "pooling", "rows": rows, "columns": columns, **share}


def rescale(layer: Any) -> dict[str, Any]:
    """One number for all, or one for each, as a channel has them."""
    if isinstance(layer.scale, float) and isinstance(layer.offset, float):
        return {"kind": "rescale", "scale": layer.scale, "offset": layer.offset}
    xp, shape = layer.xp, layer._built().output
    parts = {"mean": 0.0, "scale": layer.scale, "offset": layer.offset}
    spread = {name: xp.zeros(shape, layer.dtype) + number for name, number in parts.items()}
    return {"kind": "channels", **{name: floats(layer, array) for name, array in spread.items()}}


KINDS: dict[type, Callable[[Any], dict[str, Any]]] = {
    Rescale: rescale,
    Affine: lambda layer: {"kind": "affine", "W": floats(layer, layer.W), "b": floats(layer, layer.b)},
    ReLU: lambda layer: {"kind": "relu"},
    LeakyReLU: lambda layer: {"kind": "leaky", "slope": layer.slope},
    Sigmoid: sigmoid,
    Tanh: lambda layer: {"kind": "tanh"},
    Softmax: softmax,
    Flatten: same,
    Reshape: same,
    Identity: same,
    Dropout: same,
    BatchNorm: batch_norm,
    Conv2D: convolution,
    MaxPool2D: pooling,
    AveragePool2D: pooling,
    GlobalAveragePool: whole,
    GlobalMaxPool: whole,
    SoftmaxCrossEntropy: softmax,
    BinaryCrossEntropy: sigmoid,
    MeanSquaredError: same,
    MeanAbsoluteError: same,
    Huber: same,
    QuadraticCost: same,
}
