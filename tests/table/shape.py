"""Layers that give the same numbers another shape."""

from __future__ import annotations

import math

import hypothesis.strategies as st
from strategies import arrays, batch_sizes, layouts, shapes

from table.row import Case, Row, elementwise
from tinynn import Flatten, Identity, Permute, Reshape

__all__ = ["ROWS"]


@st.composite
def reshape_cases(draw: st.DrawFn) -> Case:
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    new = draw(st.permutations(sizes))
    if draw(st.booleans()):
        new[draw(st.integers(0, len(new) - 1))] = -1
    shape = (math.prod(sizes),) if draw(st.booleans()) else tuple(sizes)
    return Case(Reshape(tuple(new)), (draw(arrays((draw(batch_sizes), *shape))),), draw(layouts))


@st.composite
def permute_cases(draw: st.DrawFn) -> Case:
    shape = draw(shapes(max_dims=4))
    layer = Permute(*draw(st.permutations(range(len(shape)))))
    return Case(layer, (draw(arrays((draw(batch_sizes), *shape))),), draw(layouts))


ROWS = (
    Row("Identity", Identity, elementwise(st.builds(Identity)), lambda layer, x: x),
    Row("Flatten", Flatten, elementwise(st.builds(Flatten)), lambda layer, x: x.reshape(len(x), -1)),
    Row("Reshape", Reshape, reshape_cases(), lambda layer, x: x.reshape(len(x), *layer.shape)),
    Row("Permute", Permute, permute_cases(), lambda layer, x: x.transpose(0, *(axis + 1 for axis in layer.axes))),
)
