"""Normalisation, and dropout, which is at home beside it."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
from strategies import batch_sizes, layouts, shapes

from table.row import Case, Row, elementwise
from tinynn import BatchNorm, Dropout, GroupNorm, Layer, LayerNorm, RMSNorm

__all__ = ["ROWS"]


@st.composite
def spread(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers that differ from each other: where all are equal, var is 0 and rounding is all that there is to see."""
    order = draw(st.permutations(range(math.prod(shape))))
    return (np.array(order, dtype="float64").reshape(shape) * 0.37 - 1.0).astype(draw(st.sampled_from(["f4", "f8"])))


@st.composite
def batch_norm_cases(draw: st.DrawFn) -> Case:
    shape = (draw(st.integers(2, 5)), *draw(shapes(max_elements=4)))
    layer = BatchNorm(eps=draw(st.sampled_from([1e-5, 1e-2])))
    return Case(layer, (draw(spread(shape)),), draw(layouts))


@st.composite
def within_cases(draw: st.DrawFn, kind: Any) -> Case:
    shape = draw(shapes(max_elements=6))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    layer = kind(axis, eps=draw(st.sampled_from([1e-5, 1e-2])))
    if math.prod(shape[axis:]) == 1 and kind is LayerNorm:
        layer = kind(axis, eps=1e-2)
    return Case(layer, (draw(spread((draw(batch_sizes), *shape))),), draw(layouts))


@st.composite
def group_norm_cases(draw: st.DrawFn) -> Case:
    groups, each = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    shape = (groups * each, *draw(shapes(max_dims=2, max_elements=3)), 2)
    return Case(GroupNorm(groups), (draw(spread((draw(batch_sizes), *shape))),), draw(layouts))


def standardised(x: Any, axes: tuple[int, ...], eps: float) -> Any:
    c = x - x.mean(axis=axes, keepdims=True)
    return c / np.sqrt((c * c).mean(axis=axes, keepdims=True) + eps)


def batch_norm(layer: Any, x: Any) -> Any:
    one_each = (-1, *(1,) * (x.ndim - 2))
    xhat = standardised(x, (0, *range(2, x.ndim)), layer.eps)
    return layer.gamma.reshape(one_each) * xhat + layer.beta.reshape(one_each)


def inner(layer: Any, x: Any) -> tuple[int, ...]:
    return tuple(range(layer.axis + 1 if layer.axis >= 0 else x.ndim + layer.axis, x.ndim))


def rms_norm(layer: Any, x: Any) -> Any:
    return layer.g * x / np.sqrt((x * x).mean(axis=inner(layer, x), keepdims=True) + layer.eps)


def group_norm(layer: Any, x: Any) -> Any:
    one_each = (-1, *(1,) * (x.ndim - 2))
    parts = x.reshape(len(x), layer.groups, -1)
    return layer.gamma.reshape(one_each) * standardised(parts, (2,), layer.eps).reshape(x.shape) + layer.beta.reshape(
        one_each
    )


def dropouts() -> st.SearchStrategy[Layer]:
    return st.sampled_from([0.0, 0.1, 0.5, 0.9]).map(Dropout)


ROWS = (
    Row("BatchNorm", BatchNorm, batch_norm_cases(), batch_norm),
    Row(
        "LayerNorm",
        LayerNorm,
        within_cases(LayerNorm),
        lambda layer, x: layer.gamma * standardised(x, inner(layer, x), layer.eps) + layer.beta,
    ),
    Row("RMSNorm", RMSNorm, within_cases(RMSNorm), rms_norm),
    Row("GroupNorm", GroupNorm, group_norm_cases(), group_norm),
    Row("Dropout", Dropout, elementwise(dropouts())),
)
