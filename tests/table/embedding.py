"""Embedding."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
from strategies import batch_sizes, layouts, shapes

from table.row import Case, Row
from tinynn import Embedding

__all__ = ["ROWS"]


@st.composite
def embedding_cases(draw: st.DrawFn) -> Case:
    V, shape = draw(st.integers(1, 4)), (draw(batch_sizes), *draw(shapes(min_dims=0, max_dims=2, max_elements=4)))
    dtype = draw(st.sampled_from(["uint8", "int32", "int64"]))
    ids = draw(hnp.arrays(dtype, shape, elements=st.integers(0, V - 1)))
    return Case(Embedding(V, draw(st.integers(1, 3))), (ids,), draw(layouts))


ROWS = (Row("Embedding", Embedding, embedding_cases(), lambda layer, x: layer.W[x.astype(int)]),)
