"""Activations."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from strategies import arrays, batch_sizes, layouts

from table.row import Case, Row, elementwise
from tinynn import ReLU, Sigmoid, Softmax, Tanh

__all__ = ["ROWS"]


@st.composite
def softmax_cases(draw: st.DrawFn) -> Case:
    return Case(Softmax(), (draw(arrays((draw(batch_sizes), draw(st.integers(1, 6))))),), draw(layouts))


away_from_0 = st.integers(-20, 20).filter(bool).map(lambda k: k / 8)  # where ReLU and its kind have their corner

ROWS = (
    Row("ReLU", ReLU, elementwise(st.builds(ReLU), away_from_0)),
    Row("Sigmoid", Sigmoid, elementwise(st.builds(Sigmoid)), lambda layer, x: 1 / (1 + np.exp(-x))),
    Row("Tanh", Tanh, elementwise(st.builds(Tanh)), lambda layer, x: np.sinh(x) / np.cosh(x)),
    Row("Softmax", Softmax, softmax_cases(), lambda layer, x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)),
)
