"""Images: convolution, pooling, upsampling. What is one-dimensional is an image of one row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from onnx_cases.running import dtype_for, infer
from tinynn import AveragePool2D, Conv2D, GlobalAveragePool, GlobalMaxPool, Layer, MaxPool2D, Sequential, Upsample2D

__all__ = ["OPERATORS"]


def convolution(
    x: np.ndarray, W: np.ndarray, b: np.ndarray | None = None, *, group: int = 1, **where: Any
) -> np.ndarray:
    biases = np.zeros(len(W), W.dtype) if b is None else b
    filters = W[:, :, None] if W.ndim == 3 else W
    return over_images(Conv2D(len(W), *window(x, **where), groups=group, W=filters, b=biases), x)


def average_pool(x: np.ndarray, *, ceil_mode: int = 0, count_include_pad: int = 0, **where: Any) -> np.ndarray:
    ceil, count = bool(ceil_mode), bool(count_include_pad)
    return over_images(AveragePool2D(*window(x, **where), ceil_mode=ceil, count_include_pad=count), x)


def max_pool(x: np.ndarray, *, ceil_mode: int = 0, **where: Any) -> np.ndarray:
    return over_images(MaxPool2D(*window(x, **where), ceil_mode=bool(ceil_mode)), x)


def max_pool_places(x: np.ndarray, *, storage_order: int = 0, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """Also where in x the largest were, counted along the rows or the columns: there backward leads the gradient."""
    y = max_pool(x, **settings)
    net = Sequential(MaxPool2D(*window(x, **settings))).build(x.shape[1:], dtype=dtype_for(x), needs_dx=True)
    places = np.empty(y.shape, np.int64)
    for place in np.ndindex(y.shape):
        dy = np.zeros(y.shape, y.dtype)
        dy[place] = 1
        dx = net.backward(dy, net.forward(x)[1])
        places[place] = (dx.swapaxes(2, 3) if storage_order else dx).argmax()
    return y, places


def window(
    x: np.ndarray,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] = (),
    dilations: Sequence[int] = (),
    pads: Sequence[int] = (),
    auto_pad: str = "NOTSET",
) -> tuple[Any, Any, Any, Any]:
    """The size, stride, padding and dilation of a window over x."""
    dims = len(kernel_shape)
    strides, dilations = strides or (1,) * dims, dilations or (1,) * dims
    padding: Any = tuple(zip(pads[:dims], pads[dims:], strict=True)) or ((0, 0),) * dims
    if auto_pad == "SAME_UPPER":
        padding = "same"
    elif auto_pad == "SAME_LOWER":  # an odd one goes to the beginning
        missing = [
            max((-(-length // stride) - 1) * stride + (size - 1) * dilation + 1 - length, 0)
            for length, size, stride, dilation in zip(x.shape[2:], kernel_shape, strides, dilations, strict=True)
        ]
        padding = tuple((m - m // 2, m // 2) for m in missing)
    if dims == 1:
        return (1, *kernel_shape), (1, *strides), padding if padding == "same" else ((0, 0), *padding), (1, *dilations)
    return tuple(kernel_shape), tuple(strides), padding, tuple(dilations)


def over_images(layer: Layer, x: np.ndarray) -> np.ndarray:
    return infer(layer, x[:, :, None])[:, :, 0] if x.ndim == 3 else infer(layer, x)


def global_average_pool(x: np.ndarray) -> np.ndarray:
    return infer(GlobalAveragePool(), x)[:, :, None, None]


def global_max_pool(x: np.ndarray) -> np.ndarray:
    return infer(GlobalMaxPool(), x)[:, :, None, None]


def resize(
    x: np.ndarray,
    roi: np.ndarray | None = None,
    scales: Any = None,
    sizes: Any = None,
    *,
    axes: Sequence[int] = (0, 1, 2, 3),
    keep_aspect_ratio_policy: str = "stretch",
    **how: str,  # which of the pixels is the nearest: for whole scales all but a few of the ways agree with the layer
) -> np.ndarray:
    factors: list[Any] = (
        [n / x.shape[axis] for n, axis in zip(sizes, axes, strict=True)] if scales is None else scales.tolist()
    )
    if keep_aspect_ratio_policy != "stretch":
        factors = [{"not_larger": min, "not_smaller": max}[keep_aspect_ratio_policy](factors)] * len(factors)
    by_axis = {0: 1, 1: 1} | dict(zip(axes, factors, strict=True))
    assert by_axis[0] == by_axis[1] == 1
    down, across = (int(f) if f == math.floor(f) else f for f in (by_axis[2], by_axis[3]))
    return infer(Upsample2D((down, across)), x)


def upsample(x: np.ndarray, scales: np.ndarray, *, mode: str) -> np.ndarray:
    return resize(x, scales=scales, mode=mode)


OPERATORS = {
    "AveragePool": average_pool,
    "Conv": convolution,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "MaxPool": max_pool,
    "MaxPool with places": max_pool_places,
    "Resize nearest": resize,
    "Upsample nearest": upsample,
}
