"""Layers of images: convolution, pooling, upsampling."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
from strategies import arrays, layouts

from table.row import Case, Row
from tinynn import AveragePool2D, Conv2D, GlobalAveragePool, GlobalMaxPool, Layer, MaxPool2D, Upsample2D
from tinynn.init import standard_normal

__all__ = ["ROWS"]

batches = st.integers(1, 2)
numbers = st.integers(1, 2)


def for_both(draw: st.DrawFn, down: Any, across: Any) -> Any:
    """The setting as a user may give it: one number where both directions have the same."""
    return down if down == across and draw(st.booleans()) else (down, across)


@st.composite
def conv_cases(draw: st.DrawFn) -> Case:
    sizes, strides = ([draw(st.integers(1, 3)) for _ in range(2)] for _ in range(2))
    dilations = [draw(numbers) for _ in range(2)]
    if padded := draw(st.sampled_from(["same", "ends", "none"])) == "ends":
        ends = [(draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(2)]
    else:
        ends = [(0, 0), (0, 0)]
    spans = [(k - 1) * d + 1 for k, d in zip(sizes, dilations, strict=True)]
    least = [max(span - sum(end), 1) for span, end in zip(spans, ends, strict=True)]
    H, W = (draw(st.integers(size, size + 2)) for size in least)
    groups = draw(numbers)
    layer = Conv2D(
        groups * draw(numbers),
        for_both(draw, *sizes),
        stride=for_both(draw, *strides),
        padding=(ends[0], ends[1]) if padded else draw(st.sampled_from([0, "same"])),
        dilation=for_both(draw, *dilations),
        groups=groups,
        b=standard_normal,
    )
    return Case(layer, (draw(arrays((draw(batches), groups * draw(numbers), H, W))),), draw(layouts))


def distinct(n: int, shape: tuple[int, ...]) -> st.SearchStrategy[np.ndarray]:
    """Images in which no two numbers are equal, or nearly so: at ties the largest has no derivative."""
    size = n * math.prod(shape)
    return st.permutations(range(size)).map(lambda order: (np.array(order).reshape(n, *shape) - size / 2) / 4)


@st.composite
def pool_cases(draw: st.DrawFn, kind: type[Layer]) -> Case:
    sizes = [draw(st.integers(1, 3)) for _ in range(2)]
    options: dict[str, Any] = {}
    if draw(st.booleans()):
        options["stride"] = for_both(draw, *(draw(st.integers(1, 3)) for _ in range(2)))
    ends, spans = [(0, 0), (0, 0)], sizes
    if draw(st.booleans()):
        ends = [(draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in sizes]
        options["padding"] = tuple(ends)
    else:
        dilations = [draw(numbers) for _ in range(2)]
        options["dilation"] = for_both(draw, *dilations)
        spans = [(k - 1) * d + 1 for k, d in zip(sizes, dilations, strict=True)]
    for option in ("ceil_mode", "count_include_pad")[: 1 if kind is MaxPool2D else 2]:
        options[option] = draw(st.booleans())
    least = [max(span - sum(end), 1) for span, end in zip(spans, ends, strict=True)]
    shape = (draw(numbers), *(draw(st.integers(size, size + 2)) for size in least))
    x = distinct(draw(batches), shape) if kind is MaxPool2D else arrays((draw(batches), *shape))
    return Case(kind(for_both(draw, *sizes), **options), (draw(x),), draw(layouts))


@st.composite
def image_cases(draw: st.DrawFn, make: st.SearchStrategy[Layer], tied: bool = True) -> Case:
    shape = (draw(numbers), draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    n = draw(batches)
    return Case(draw(make), (draw(arrays((n, *shape)) if tied else distinct(n, shape)),), draw(layouts))


def windows(layer: Any, x: Any) -> Any:
    """Each window, and which of its taps see the image: two arrays (N, C, H', W', kh, kw)."""
    (down, across), H, W = (layer.rows, layer.columns), *x.shape[2:]
    shape = (*x.shape[:2], down.outputs, across.outputs, down.size, across.size)
    seen, inside = np.zeros(shape, complex), np.zeros(shape, bool)
    for p, q, i, j in np.ndindex(shape[2:]):
        h = p * down.stride + i * down.dilation - down.before
        w = q * across.stride + j * across.dilation - across.before
        if 0 <= h < H and 0 <= w < W:
            seen[:, :, p, q, i, j], inside[:, :, p, q, i, j] = x[:, :, h, w], True
    return seen, inside


def convolution(layer: Any, x: Any) -> Any:
    F, C = layer.W.shape[:2]
    y = []
    for f in range(F):
        first = f // (F // layer.groups) * C
        seen, _ = windows(layer, x[:, first : first + C])
        y.append((seen * layer.W[f][:, None, None]).sum(axis=(1, 4, 5)) + layer.b[f])
    return np.stack(y, axis=1)


def mean(layer: Any, x: Any) -> Any:
    seen, inside = windows(layer, x)
    if layer.count_include_pad:  # all that the window sees, but for what lies beyond the padding too
        down, across = layer.rows, layer.columns
        rows, columns = (
            np.arange(a.outputs)[:, None] * a.stride + np.arange(a.size) * a.dilation < a.before + a.length + a.after
            for a in (down, across)
        )
        inside = rows[:, None, :, None] & columns[None, :, None, :]
    return seen.sum(axis=(4, 5)) / inside.sum(axis=(-2, -1))


def largest(layer: Any, x: Any) -> Any:
    seen, inside = windows(layer, x)
    flat = seen.reshape(*seen.shape[:4], -1)
    at = np.where(inside, seen.real, -np.inf).reshape(flat.shape).argmax(axis=-1)
    return np.take_along_axis(flat, at[..., None], axis=-1)[..., 0]


def blocks(layer: Any, x: Any) -> Any:
    return x.repeat(layer.down, axis=2).repeat(layer.across, axis=3)


def largest_of_all(layer: Any, x: Any) -> Any:
    flat = x.reshape(*x.shape[:2], -1)
    return np.take_along_axis(flat, flat.real.argmax(axis=2)[:, :, None], axis=2)[:, :, 0]


scales = st.one_of(numbers, st.tuples(numbers, numbers))

ROWS = (
    Row("Conv2D", Conv2D, conv_cases(), convolution),
    Row("MaxPool2D", MaxPool2D, pool_cases(MaxPool2D), largest),
    Row("AveragePool2D", AveragePool2D, pool_cases(AveragePool2D), mean),
    Row(
        "GlobalAveragePool",
        GlobalAveragePool,
        image_cases(st.builds(GlobalAveragePool)),
        lambda layer, x: x.mean(axis=(2, 3)),
    ),
    Row("GlobalMaxPool", GlobalMaxPool, image_cases(st.builds(GlobalMaxPool), tied=False), largest_of_all),
    Row("Upsample2D", Upsample2D, image_cases(st.builds(Upsample2D, scales)), blocks),
)
