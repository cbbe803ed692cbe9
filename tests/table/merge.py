"""Layers of several inputs, and residual layers."""

from __future__ import annotations

import functools
from typing import Any

import hypothesis.strategies as st
import numpy as np
from strategies import arrays, batch_sizes, layouts, shapes

from table.row import Case, Row
from tinynn import Add, Affine, Concat, Layer, Multiply, Residual, Sequential, Tanh

__all__ = ["ROWS"]


@st.composite
def alike(draw: st.DrawFn, kind: type[Layer]) -> Case:
    shape = (draw(batch_sizes), *draw(shapes(min_dims=0, max_dims=2, max_elements=4)))
    return Case(kind(), tuple(draw(arrays(shape)) for _ in range(draw(st.integers(2, 4)))), draw(layouts))


@st.composite
def concat_cases(draw: st.DrawFn) -> Case:
    n, shape = draw(batch_sizes), draw(shapes(max_elements=3))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    sizes = draw(st.lists(st.integers(1, 3), min_size=2, max_size=3))
    parts = [(*shape[: axis % len(shape)], size, *shape[axis % len(shape) + 1 :]) for size in sizes]
    return Case(Concat(axis), tuple(draw(arrays((n, *part))) for part in parts), draw(layouts))


@st.composite
def residual_cases(draw: st.DrawFn) -> Case:
    size = draw(st.integers(1, 3))
    inner = draw(st.sampled_from(["layer", "chain", "twice"]))
    f: Layer = Tanh() if inner == "layer" else Sequential(Affine(2), Tanh(), Affine(size))
    return Case(
        Residual(Residual(f) if inner == "twice" else f), (draw(arrays((draw(batch_sizes), size))),), draw(layouts)
    )


def join(layer: Any, *xs: Any) -> Any:
    return np.concatenate(xs, axis=layer.axis + 1 if layer.axis >= 0 else layer.axis)


ROWS = (
    Row("Add", Add, alike(Add), lambda layer, *xs: sum(xs)),
    Row("Multiply", Multiply, alike(Multiply), lambda layer, *xs: functools.reduce(np.multiply, xs)),
    Row("Concat", Concat, concat_cases(), join),
    Row("Residual", Residual, residual_cases()),
)
