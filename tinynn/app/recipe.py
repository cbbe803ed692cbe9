"""The network for a data set: what brings the inputs to a common scale, the layers of a spec, the output, the loss.

Everything that the inputs need is a layer, so a saved network takes them as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.app.layer_spec import LOSSES, layers_of, made, spec_of
from tinynn.app.material import Material
from tinynn.errors import ConfigurationError
from tinynn.layer import Layer
from tinynn.layers import (
    Affine,
    AveragePool2D,
    Conv2D,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool2D,
    Permute,
    Rescale,
    Reshape,
    Upsample2D,
)
from tinynn.losses import BinaryCrossEntropy, Loss, QuadraticCost, SoftmaxCrossEntropy
from tinynn.network import Sequential

__all__ = ["Recipe", "kind_of"]

OF_IMAGES = (Conv2D, MaxPool2D, AveragePool2D, GlobalAveragePool, GlobalMaxPool, Upsample2D)
OF_CLASSES = (SoftmaxCrossEntropy, QuadraticCost, BinaryCrossEntropy)
CHANNELS = (1, 3, 4)  # that an image has, where they are its last axis
FLAT = 1e-7  # of the mean: a spread that float32 does not tell from none
SMALLEST = 1e-30


def kind_of(loss: str | None) -> str | None:
    """What a loss says of the targets: "classes" or "numbers"; None where none is named.

    Errors: ConfigurationError for a loss that there is not.
    """
    if loss is None:
        return None
    return "classes" if isinstance(made(loss, LOSSES, "loss", "--loss"), OF_CLASSES) else "numbers"


class Recipe:
    """`network()` to be trained, on `inputs(x)` and `targets(t)`; `finished(net)` the same with numbers in their own
    units. `spec`, `loss`: the layers and the loss as words.

    Targets that are numbers are learned with mean 0 and variance 1, whatever their units: one learning rate fits all.
    Errors: ConfigurationError for words that cannot be read.
    """

    def __init__(self, material: Material, spec: str, loss: str | None) -> None:
        self.material, self.spec = material, spec_of(layers_of(spec))
        self.loss = loss or ("softmaxcrossentropy" if material.classes is not None else "meansquarederror")
        self.scale, self.offset = scaling(material.x)
        if material.classes is None:
            inverse, offset = scaling(material.t)
            self.unit: Any = 1 / inverse
            self.zero: Any = -offset / inverse

    def network(self, unscaled: bool = False) -> Sequential:
        """The layers, not built yet; `unscaled`: with one that brings what they put out to the targets' own units."""
        shape, classes = self.material.x.shape[1:], self.material.classes
        layers = layers_of(self.spec)
        outputs = self.material.t.shape[1] if classes is None else len(classes)
        loss: Loss = made(self.loss, LOSSES, "loss", "--loss")
        if isinstance(loss, BinaryCrossEntropy):
            if outputs != 2:
                what, fix = "binarycrossentropy tells two classes apart", "--loss softmaxcrossentropy"
                raise ConfigurationError(what, where="--loss", got=f"{outputs} classes", fix=fix)
            outputs = 1  # the score of the second class
        out: list[Layer] = [Affine(outputs)]
        if unscaled:
            out.append(Rescale(self.unit, self.zero))
        return Sequential(Rescale(self.scale, self.offset), *as_images(layers, shape), *layers, *out, loss)

    def inputs(self, x: np.ndarray) -> np.ndarray:
        """As the network takes them: bytes as they are, all else as float32."""
        return x if x.dtype == np.uint8 else x.astype(np.float32)

    def targets(self, t: np.ndarray) -> np.ndarray:
        """As they are learned."""
        return t if self.material.classes is not None else ((t - self.zero) / self.unit).astype(np.float32)

    def metadata(self) -> dict[str, Any]:
        """What a model should know of its data: the names of classes and columns."""
        m = self.material
        known = {"classes": m.classes and [*m.classes], "features": [*m.features], "target": m.target}
        return {name: value for name, value in known.items() if value}

    def finished(self, net: Sequential) -> Sequential:
        """The trained network as it is to be used: that itself for classes."""
        if self.material.classes is not None:
            return net
        whole = self.network(unscaled=True).build(*net._built().shapes, backend=net.ops, seed=net._seed)
        whole.storage.assign({**whole.storage.arrays(), **net.storage.arrays()}, where="the trained network")
        whole.metadata = net.metadata
        return whole


def scaling(x: np.ndarray) -> tuple[Any, Any]:
    """Scale and offset: gray values to 0..1; else to mean 0 and variance 1, each feature by itself, images as one."""
    if x.dtype == np.uint8:
        return 1 / 255, 0.0
    axis = 0 if x.ndim == 2 else None
    mean, std = x.mean(axis=axis, dtype=np.float64), x.std(axis=axis, dtype=np.float64)
    varies = (std > FLAT * np.abs(mean)) & (std > SMALLEST)
    scale = np.divide(1.0, std, out=np.ones_like(std), where=varies)
    offset = -mean * scale
    return (scale, offset) if axis == 0 else (float(scale), float(offset))


def as_images(layers: list[Layer], shape: tuple[int, ...]) -> list[Layer]:
    """What makes (channels, height, width) of the inputs, where a layer wants images and none of its own does."""
    first = next((i for i, layer in enumerate(layers) if isinstance(layer, OF_IMAGES)), None)
    if first is None or any(isinstance(layer, Reshape | Permute) for layer in layers[:first]):
        return []
    if len(shape) == 1:
        raise ConfigurationError(
            f"{layers[first]!r} needs images, and the inputs are rows",
            where="--layers",
            got=f"rows of {shape[0]} numbers",
            fix="reshape:1x28x28 before it, if these are the numbers of images",
        )
    if len(shape) == 2:
        return [Reshape((1, *shape))]
    return [Permute(2, 0, 1)] if len(shape) == 3 and shape[0] not in CHANNELS and shape[-1] in CHANNELS else []
