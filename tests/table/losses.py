"""Losses."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
from strategies import arrays, batch_sizes, floats, label_rows, layouts, probability_rows, shapes

from table.row import Case, Row
from tinynn import QuadraticCost, SoftmaxCrossEntropy

__all__ = ["ROWS"]


@st.composite
def loss_cases(draw: st.DrawFn, loss: type, labels: bool) -> Case:
    n, classes = draw(batch_sizes), draw(st.integers(2, 5))
    layer = loss()
    if loss is QuadraticCost and draw(st.booleans()):
        layer = QuadraticCost(off=draw(floats()), on=draw(floats()))
    if labels:
        return Case(layer, (draw(arrays((n, classes))), draw(label_rows(n, classes))), draw(layouts))
    if loss is SoftmaxCrossEntropy:
        return Case(layer, (draw(arrays((n, classes))), draw(probability_rows(n, classes))), draw(layouts))
    shape = (n, *draw(shapes(min_dims=0)))
    return Case(layer, (draw(arrays(shape)), draw(arrays(shape))), draw(layouts))


def as_rows(t: np.ndarray, classes: int, off: float = 0.0, on: float = 1.0) -> np.ndarray:
    """Labels as the rows that they stand for; rows as they are."""
    return np.where(np.eye(classes, dtype=bool), on, off)[t] if t.dtype.kind in "iu" else t


def cross_entropy(layer: Any, x: Any, t: Any) -> Any:
    log_p = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    return -(as_rows(t, x.shape[1]) * log_p).sum() / len(x)


def quadratic(layer: Any, x: Any, t: Any) -> Any:
    return ((x - as_rows(t, x.shape[-1], layer.off, layer.on)) ** 2).sum() / (2 * len(x))


ROWS = (
    Row("SoftmaxCrossEntropy of labels", SoftmaxCrossEntropy, loss_cases(SoftmaxCrossEntropy, True), cross_entropy),
    Row("SoftmaxCrossEntropy of rows", SoftmaxCrossEntropy, loss_cases(SoftmaxCrossEntropy, False), cross_entropy),
    Row("QuadraticCost of labels", QuadraticCost, loss_cases(QuadraticCost, True), quadratic),
    Row("QuadraticCost of rows", QuadraticCost, loss_cases(QuadraticCost, False), quadratic),
)
