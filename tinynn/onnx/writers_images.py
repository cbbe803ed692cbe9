"""Which operators the layers of images become."""

from __future__ import annotations

import math
from typing import Any

from tinynn.layers import AveragePool2D, Conv2D, GlobalAveragePool, GlobalMaxPool, MaxPool2D, Upsample2D
from tinynn.onnx.writing import Out, writer

__all__ = ["window"]


def window(layer: Any) -> dict[str, list[int]]:
    """The attributes of a window that slides over images, with every pixel of the padding named."""
    rows, columns = layer.rows, layer.columns
    return {
        "kernel_shape": [rows.size, columns.size],
        "strides": [rows.stride, columns.stride],
        "dilations": [rows.dilation, columns.dilation],
        "pads": [rows.before, columns.before, rows.after + rows.beyond, columns.after + columns.beyond],
    }


@writer(Conv2D)
def convolution(layer: Conv2D, out: Out, x: str) -> str:
    return out.node("Conv", x, out.parameter("W"), out.parameter("b"), group=layer.groups, **window(layer))


@writer(MaxPool2D)
def max_pool(layer: MaxPool2D, out: Out, x: str) -> str:
    """What the last windows see beyond the image is padding too, and padding never wins."""
    settings = window(layer)
    if not small(settings):
        # Runtimes refuse padding as large as the window, which a dilated one can have.
        x = padded(out, x, settings["pads"], -math.inf)
        settings["pads"] = [0] * 4
    return out.node("MaxPool", x, **settings)


@writer(AveragePool2D)
def average_pool(layer: AveragePool2D, out: Out, x: str) -> str:
    """What lies beyond the padding is never counted; padding that is, becomes a part of the image."""
    settings, count = window(layer), layer.count_include_pad
    beyond = [0, 0, layer.rows.beyond, layer.columns.beyond]
    if not small(settings):
        # Runtimes refuse padding as large as the window. So all of it is put around the image, and the means over the
        # whole window become those over what counts.
        size = layer.rows.size * layer.columns.size
        factor = out.net.ops.to_host(layer.share)[None, :, 0, :, 0] * size
        y = mean(out, padded(out, x, settings["pads"], 0), settings | {"pads": [0] * 4})
        return out.node("Mul", y, out.constant(factor[None], name="factor"))
    if count and any(beyond):
        inner = [pad - more for pad, more in zip(settings["pads"], beyond, strict=True)]
        return mean(out, padded(out, x, inner, 0), settings | {"pads": beyond})
    return mean(out, x, settings, int(count))


def mean(out: Out, x: str, settings: dict[str, Any], count: int = 0) -> str:
    if settings["dilations"] == [1, 1]:  # opset 17 has no such attribute
        settings = {name: value for name, value in settings.items() if name != "dilations"}
    return out.node("AveragePool", x, count_include_pad=count, **settings)


def small(settings: dict[str, Any]) -> bool:
    """Whether the padding is smaller than the window, as runtimes want it."""
    return all(pad < size for pad, size in zip(settings["pads"], settings["kernel_shape"] * 2, strict=True))


def padded(out: Out, x: str, pads: list[int], value: float) -> str:
    """Images with so much around them: above, left, below, right."""
    if not any(pads):
        return x
    places = out.constant([0, 0, *pads[:2], 0, 0, *pads[2:]], "int64", "pads")
    return out.node("Pad", x, places, out.constant(value), mode="constant")


@writer(GlobalAveragePool)
def global_average_pool(layer: GlobalAveragePool, out: Out, x: str) -> str:
    return out.node("Flatten", out.node("GlobalAveragePool", x), axis=1)


@writer(GlobalMaxPool)
def global_max_pool(layer: GlobalMaxPool, out: Out, x: str) -> str:
    return out.node("Flatten", out.node("GlobalMaxPool", x), axis=1)


@writer(Upsample2D)
def upsample(layer: Upsample2D, out: Out, x: str) -> str:
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return out.node("Resize", x, "", out.constant((1, 1, layer.down, layer.across), "float32", "scales"), **how)
