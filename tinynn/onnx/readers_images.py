"""Which layers the operators become: images. What is one-dimensional is an image of one row."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.layers import (
    AveragePool2D,
    Conv2D,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool2D,
    Reshape,
    Upsample2D,
)
from tinynn.onnx.found import Found, Part, reads, row_of

__all__ = ["Spread", "average", "convolution", "max_pool", "spread", "window"]

Spread = tuple[Any, Any, Any, Any]
"""Size, stride, padding and dilation of a window."""


@reads("Conv")
def convolution(found: Found, more: list[int] | None = None, b: np.ndarray | None = None) -> list[Part]:
    """`more`: padding besides what the node says; `b`: the bias, where another node adds it."""
    W, groups = found.array(1), found.get("group", 1)
    shape = found.data()
    if W.ndim != len(shape) + 1 or W.ndim not in (3, 4):
        found.uncovered("of other things than images and sequences", "3 or 4 axes, as the weights have", W.shape)
    sizes = [*W.shape[2:]]
    if found.get("kernel_shape", sizes) != sizes or W.shape[1] * groups != shape[0] or not W.size:
        found.wrong("a kernel that does not fit", f"weights for {shape[0]} channels in {groups} groups", W.shape)
    F = len(W)
    bias = found.maybe(2) if b is None else b
    bias = np.zeros(F, W.dtype) if bias is None else row_of(found, bias, F, "the bias")
    size, *others = spread(found, sizes, more)
    layer = Conv2D(F, one(size), **plainly(1, *others), **({} if groups == 1 else {"groups": groups}))
    return as_images(shape, Part(layer, {"W": W.reshape(*W.shape[:2], *size), "b": bias}), F)


@reads("MaxPool")
def max_pool(found: Found, more: list[int] | None = None) -> list[Part]:
    settings, ceil = window(found, more), bool(found.get("ceil_mode", 0))
    found.ignore("storage_order")  # of the places, which nobody reads
    size, *others = settings
    layer = MaxPool2D(one(size), **plainly(size, *others), **({"ceil_mode": True} if ceil else {}))
    return as_images(found.data(), Part(layer), found.data()[0])


@reads("AveragePool")
def average_pool(found: Found) -> list[Part]:
    settings, ceil = window(found), bool(found.get("ceil_mode", 0))
    count = bool(found.get("count_include_pad", 0))
    return as_images(found.data(), Part(average(settings, ceil, count)), found.data()[0])


def average(settings: Spread, ceil: bool, count: bool) -> AveragePool2D:
    """The layer, its settings as a person would write them."""
    size, *others = settings
    flags = {name: True for name, flag in (("ceil_mode", ceil), ("count_include_pad", count)) if flag}
    return AveragePool2D(one(size), **plainly(size, *others), **flags)


def one(pair: Any) -> Any:
    """One number for both directions, where they are alike."""
    return pair[0] if pair[0] == pair[1] else pair


def plainly(usual: Any, stride: Any, padding: Any, dilation: Any) -> dict[str, Any]:
    """The settings of a window that differ from those it has anyway; `usual`: its stride then."""
    if all(before == after for before, after in padding):
        padding = one(tuple(before for before, _ in padding))
    usual = usual if isinstance(usual, int) else one(usual)
    given = {"stride": (one(stride), usual), "padding": (padding, 0), "dilation": (one(dilation), 1)}
    return {name: value for name, (value, default) in given.items() if value != default}


def window(found: Found, more: list[int] | None = None) -> Spread:
    """That of a pooling operator."""
    return spread(found, found.get("kernel_shape", []), more)


def spread(found: Found, sizes: list[int], more: list[int] | None = None) -> Spread:
    """The window of these sizes, of two dimensions in any case; `more`: padding besides."""
    dims = len(found.data()) - 1
    strides, dilations = found.get("strides", [1] * dims), found.get("dilations", [1] * dims)
    auto, pads = found.get("auto_pad", "NOTSET"), found.get("pads", [0] * 2 * dims)
    lengths = (len(sizes), len(strides), len(dilations), len(pads) / 2)
    if dims not in (1, 2) or set(lengths) != {dims} or min(*sizes, *strides, *dilations) < 1 or min(pads) < 0:
        found.uncovered(
            "with such a window",
            "images or sequences; sizes, strides and dilations >= 1, paddings >= 0, for each direction",
            f"sizes {sizes}, strides {strides}, dilations {dilations}, pads {pads} for {found.data()}",
        )
    if more is not None:
        pads = [pad + extra for pad, extra in zip(pads, more, strict=True)]
    padding: Any = tuple(zip(pads[:dims], pads[dims:], strict=True))
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        padding = []
        for length, size, stride, dilation in zip(found.data()[1:], sizes, strides, dilations, strict=True):
            missing = max((-(-length // stride) - 1) * stride + (size - 1) * dilation + 1 - length, 0)
            less, rest = missing // 2, missing - missing // 2
            padding.append((less, rest) if auto == "SAME_UPPER" else (rest, less))
        padding = tuple(padding)
    elif auto not in ("NOTSET", "VALID"):
        found.uncovered("with this padding", "NOTSET, VALID, SAME_UPPER or SAME_LOWER", auto)
    if dims == 1:
        return (1, *sizes), (1, *strides), ((0, 0), *padding), (1, *dilations)
    return tuple(sizes), tuple(strides), padding, tuple(dilations)


def as_images(shape: Any, part: Part, channels: int) -> list[Part]:
    """The layer; of a sequence (C, L), between layers that make an image of it and a sequence again."""
    if len(shape) == 3:
        return [part]
    return [Part(Reshape((shape[0], 1, -1))), part, Part(Reshape((channels, -1)))]


@reads("GlobalAveragePool", "GlobalMaxPool")
def global_pool(found: Found) -> list[Part]:
    layer = GlobalAveragePool() if found.step.operator == "GlobalAveragePool" else GlobalMaxPool()
    C, *sides = found.data() or (0,)
    if len(sides) != 2:
        found.uncovered("of other things than images", "an input (channels, height, width)", found.data())
    return [Part(layer), Part(Reshape((C, 1, 1)))]


@reads("ReduceMean", "ReduceMax")
def reduction(found: Found) -> list[Part]:
    """Over all pixels of images, which is a global pooling."""
    shape = found.data()
    axes = sorted(axis + (len(shape) + 1) * (axis < 0) for axis in found.whole(1, "axes", []))
    keep = found.get("keepdims", 1)
    found.get("noop_with_empty_axes", 0)
    if len(shape) != 3 or axes != [2, 3]:
        found.uncovered("over these axes", "the two of images: axes 2 and 3 of 4", f"{axes} of {len(shape) + 1}")
    layer = GlobalAveragePool() if found.step.operator == "ReduceMean" else GlobalMaxPool()
    return [Part(layer), *([Part(Reshape((shape[0], 1, 1)))] if keep else [])]


@reads("Resize", "Upsample")
def upsample(found: Found) -> list[Part]:
    """Pixels repeated a whole number of times, in the two ways of saying so on which all runtimes agree."""
    at = 1 if found.step.operator == "Upsample" else 2 if found.flow.opset > 10 else 1
    form = found.get("coordinate_transformation_mode", "half_pixel" if at == 2 else "asymmetric")
    nearest = found.get("nearest_mode", "round_prefer_floor" if at == 2 else "floor")
    # What these say is nothing about repeated pixels.
    found.ignore("cubic_coeff_a", "exclude_outside", "extrapolation_value", "antialias", "keep_aspect_ratio_policy")
    mode, shape = found.get("mode", "nearest"), found.data()
    halves = ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")
    repeats = (form, nearest) == ("asymmetric", "floor") or (form in halves and nearest.startswith("round"))
    if mode != "nearest" or not repeats or len(shape) != 3 or "axes" in found.attributes:
        found.uncovered("otherwise than by repeating pixels", "mode=nearest, of images", f"{mode}, {form}, {nearest}")
    scales, given = found.maybe(at), found.maybe(3)
    if at == 2:
        found.maybe(1)  # a region, which counts in another mode only; but no value that the network computes
    if scales is None or not scales.size:
        sizes = found.whole(3, "sizes")
        wanted = [1.0, *(b / a for a, b in zip(shape, sizes[1:], strict=False))] if len(sizes) == 4 else []
    elif given is not None and given.size:
        found.wrong("factors, and sizes besides", "one of them", "both")
    else:
        wanted = [float(scale) for scale in scales.reshape(-1)[:5]]
    if len(wanted) != 4 or wanted[:2] != [1, 1] or any(not 1 <= s <= 4096 or s != int(s) for s in wanted):
        found.uncovered("by these factors", "1, 1, and two whole numbers", wanted)
    return [Part(Upsample2D((int(wanted[2]), int(wanted[3]))))]
