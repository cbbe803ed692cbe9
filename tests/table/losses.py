"""Losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
from strategies import arrays, batch_sizes, dtypes, floats, label_rows, layouts, probability_rows, shapes

from table.row import Case, Row
from tinynn import (
    BinaryCrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    QuadraticCost,
    SoftmaxCrossEntropy,
)

__all__ = ["ROWS"]


@st.composite
def loss_cases(draw: st.DrawFn, loss: type, labels: bool) -> Case:
    n, classes = draw(batch_sizes), draw(st.integers(2, 5))
    layer = loss()
    if loss is QuadraticCost and draw(st.booleans()):
        layer = QuadraticCost(off=draw(floats()), on=draw(floats()))
    if labels:
        inputs = [draw(arrays((n, classes))), draw(label_rows(n, classes))]
    elif loss is SoftmaxCrossEntropy:
        inputs = [draw(arrays((n, classes))), draw(probability_rows(n, classes))]
    else:
        shape = (n, *draw(shapes(min_dims=0)))
        inputs = [draw(arrays(shape)), draw(arrays(shape))]
    return Case(layer, (*inputs, *draw(perhaps_weights(n))), draw(layouts))


@st.composite
def perhaps_weights(draw: st.DrawFn, n: int) -> tuple[np.ndarray, ...]:
    """No weights, or one for each row, some of them 0."""
    if draw(st.booleans()):
        return ()
    return (np.array(draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=n, max_size=n)), draw(dtypes)),)


@st.composite
def softmax_cases(draw: st.DrawFn) -> Case:
    """With class weights, smoothing, an ignored label, and all of them together."""
    n, classes = draw(batch_sizes), draw(st.integers(2, 4))
    weights = draw(st.none() | st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=classes, max_size=classes))
    ignore = draw(st.sampled_from([None, -1, 1, 255]))
    layer = SoftmaxCrossEntropy(weights, draw(st.sampled_from([0.0, 0.1, 0.5])), ignore)
    targets = draw(st.one_of(label_rows(n, classes), probability_rows(n, classes)))
    if targets.ndim == 1 and ignore is not None:
        targets = np.where(np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n))), ignore, targets.astype(int))
    return Case(layer, (draw(arrays((n, classes))), targets, *draw(perhaps_weights(n))), draw(layouts))


@st.composite
def elementwise_cases(draw: st.DrawFn, make: st.SearchStrategy[Loss], targets: st.SearchStrategy[float]) -> Case:
    n = draw(batch_sizes)
    shape = (n, 1) if draw(st.booleans()) else (n, *draw(shapes(min_dims=0, max_elements=4)))
    flat = shape == (n, 1) and draw(st.booleans())
    # Scores and targets in steps of their own, so that none of their differences is near a corner at 0, 1 or 1/2.
    scores = draw(hnp.arrays("float64", shape, elements=st.integers(-9, 9).map(lambda k: k / 4 + 0.06)))
    t = draw(hnp.arrays("float64", shape[:1] if flat else shape, elements=targets))
    return Case(draw(make), (scores.astype(draw(dtypes)), t, *draw(perhaps_weights(n))), draw(layouts))


def as_rows(t: np.ndarray, classes: int, off: float = 0.0, on: float = 1.0) -> np.ndarray:
    """Labels as the rows that they stand for; rows as they are."""
    return np.where(np.eye(classes, dtype=bool), on, off)[t] if t.dtype.kind in "iu" else t


def mean(losses: Any, w: Any = None) -> Any:
    """The weighted mean of the rows' losses; 0 where the weights are."""
    w = np.ones(len(losses)) if w is None else w.astype(float)
    return (losses * w).sum() / (w.sum() or 1.0)


def log_softmax(x: Any) -> Any:
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def cross_entropy(layer: Any, x: Any, t: Any, w: Any = None) -> Any:
    return mean(-(as_rows(t, x.shape[1]) * log_softmax(x)).sum(axis=1), w)


def settled_cross_entropy(layer: Any, x: Any, t: Any, w: Any = None) -> Any:
    """As PyTorch writes it: the part of the class, and the part of the smoothing, each summed by itself."""
    classes, s = x.shape[1], layer.smoothing
    of_class = np.ones(classes) if layer.class_weights is None else np.array(layer.class_weights)
    w = np.ones(len(x)) if w is None else w.astype(float)
    if t.dtype.kind == "f":
        return mean(-((t * (1 - s) + s / classes) * of_class * log_softmax(x)).sum(axis=1), w)
    w = np.where(t == layer.ignore, 0, w) if layer.ignore is not None else w
    t = np.where((t >= 0) & (t < classes), t, 0)
    hit = (-log_softmax(x) * of_class)[np.arange(len(x)), t] @ w
    spread = (-log_softmax(x) @ of_class) @ w
    return ((1 - s) * hit + s / classes * spread) / ((of_class[t] * w).sum() or 1.0)


def quadratic(layer: Any, x: Any, t: Any, w: Any = None) -> Any:
    rows = (x - as_rows(t, x.shape[-1] if x.ndim > 1 else 1, layer.off, layer.on)) ** 2
    return mean(rows.reshape(len(x), -1).sum(axis=1) / 2, w)


def of_elements(formula: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The mean over rows and elements of a formula (y, t)."""

    def L(layer: Any, y: Any, t: Any, w: Any = None) -> Any:
        return mean(formula(y, t.reshape(y.shape)).reshape(len(y), -1).mean(axis=1), w)

    return L


quarters = st.integers(-9, 9).map(lambda k: k / 4)
shares = st.sampled_from([0.0, 0.25, 0.5, 1.0])

ROWS = (
    Row("SoftmaxCrossEntropy of labels", SoftmaxCrossEntropy, loss_cases(SoftmaxCrossEntropy, True), cross_entropy),
    Row("SoftmaxCrossEntropy of rows", SoftmaxCrossEntropy, loss_cases(SoftmaxCrossEntropy, False), cross_entropy),
    Row("SoftmaxCrossEntropy with settings", SoftmaxCrossEntropy, softmax_cases(), settled_cross_entropy),
    Row("QuadraticCost of labels", QuadraticCost, loss_cases(QuadraticCost, True), quadratic),
    Row("QuadraticCost of rows", QuadraticCost, loss_cases(QuadraticCost, False), quadratic),
    Row(
        "MeanSquaredError",
        MeanSquaredError,
        elementwise_cases(st.builds(MeanSquaredError), quarters),
        of_elements(lambda y, t: (y - t) ** 2),
    ),
    Row("MeanAbsoluteError", MeanAbsoluteError, elementwise_cases(st.builds(MeanAbsoluteError), quarters)),
    Row("Huber", Huber, elementwise_cases(st.sampled_from([0.5, 1.0, 2.0]).map(Huber), quarters)),
    Row(
        "BinaryCrossEntropy",
        BinaryCrossEntropy,
        elementwise_cases(st.builds(BinaryCrossEntropy), shares),
        of_elements(lambda s, t: np.log(1 + np.exp(s)) - t * s),
    ),
)
