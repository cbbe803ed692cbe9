"""Layers that are no family of their own: the affine map, constant scaling."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
from strategies import arrays, batch_sizes, floats, layouts, shapes

from table.row import Case, Row
from tinynn import Affine, Rescale
from tinynn.init import ones, standard_normal

__all__ = ["ROWS"]


@st.composite
def rescale_cases(draw: st.DrawFn) -> Case:
    shape = (draw(batch_sizes), *draw(shapes()))
    each = draw(arrays(shape[1:])) if len(shape) > 1 else 2.0
    layer = Rescale(draw(st.one_of(floats(), st.just(each))), draw(st.sampled_from([0.0, 0.01, -1.5, each])))
    dtype = draw(st.sampled_from(["uint8", "int8", "int32", "int64", "float32", "float64"]))
    return Case(layer, (draw(hnp.arrays(dtype, shape, elements=st.integers(0, 127))),), draw(layouts))


@st.composite
def affine_cases(draw: st.DrawFn, max_dims: int) -> Case:
    shape = draw(shapes(min_dims=max_dims and 1, max_dims=max_dims))
    layer = Affine(draw(st.integers(1, 4)), b=draw(st.sampled_from([standard_normal, ones])))
    return Case(layer, (draw(arrays((draw(batch_sizes), *shape))),), draw(layouts))


ROWS = (
    Row("Affine of rows", Affine, affine_cases(max_dims=1), lambda layer, x: x @ layer.W + layer.b),
    Row("Affine of anything", Affine, affine_cases(max_dims=3)),
    Row("Rescale", Rescale, rescale_cases(), lambda layer, x: x * layer.scale + layer.offset),
)
