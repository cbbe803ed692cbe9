"""What a row of the test table says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import hypothesis.strategies as st
import numpy as np
from strategies import arrays, batch_sizes, layouts, shapes

from tinynn import Layer

__all__ = ["Case", "Row", "elementwise"]


class Case(NamedTuple):
    """A layer, inputs for it, and how they and dy are to lie in memory."""

    layer: Layer
    inputs: tuple[np.ndarray, ...]
    layout: str


class Row(NamedTuple):
    """A kind of layer: its class, what to draw for it, and where it is analytic its formula.

    `cases`: hypothesis draws from it what is then checked. `formula`: a function (layer, *inputs) -> y of complex
    arrays, written here without anything of the layer's but its settings and parameters; for a loss, -> L.
    """

    name: str
    kind: type[Layer]
    cases: st.SearchStrategy[Case]
    formula: Callable[..., Any] | None = None


def elementwise(
    make: st.SearchStrategy[Layer], elements: st.SearchStrategy[Any] | None = None, inputs: int = 1
) -> st.SearchStrategy[Case]:
    """Cases of a layer that takes any shape."""

    @st.composite
    def cases(draw: st.DrawFn) -> Case:
        shape = (draw(batch_sizes), *draw(shapes(min_dims=0)))
        return Case(draw(make), tuple(draw(arrays(shape, elements)) for _ in range(inputs)), draw(layouts))

    return cases()
