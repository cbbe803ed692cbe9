"""The quadratic cost of Nielsen's book."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.backend import Array
from tinynn.checks import finite_number
from tinynn.layer import Shape
from tinynn.losses.loss import Loss

__all__ = ["QuadraticCost"]


class QuadraticCost(Loss):
    """L = 1/(2N) sum over n of |y_n - t_n|^2; with weights, 1/2 sum of w_n |y_n - t_n|^2 / sum of w_n.

    Shapes:   scores y (N, ...); targets: rows of the same shape, or labels (N,) for scores (N, C); L a scalar.
              A label c stands for the row that is `on` at c and `off` elsewhere.
    Backward: dy = (y - t) / N; the targets have no gradient.
    Predict:  y as it is.
    Errors:   LabelError for targets of another kind, shape or range.
    Source:   Nielsen, "Neural Networks and Deep Learning", equation (6).
    """

    straight = True

    def __init__(self, off: float = 0.0, on: float = 1.0) -> None:
        self.off = finite_number(off, "`off`", where="QuadraticCost", fix="QuadraticCost(off=0.01, on=0.99)")
        self.on = finite_number(on, "`on`", where="QuadraticCost", fix="QuadraticCost(off=0.01, on=0.99)")

    def build(self, scores: Shape, targets: Shape | None = None, weights: Shape | None = None) -> Shape:
        self._rows: Array | None = None  # C x C numbers, made when the first labels come: rows do without
        return super().build(scores, targets, weights)

    def rows_of(self, labels: Array, shape: Shape) -> Array:
        """The target rows that the labels stand for; IndexError for a label out of range, where the device notices."""
        xp, rows, classes = self.xp, self._rows, shape[1]
        if rows is None:
            rows = self._rows = xp.where(xp.eye(classes, dtype=bool), self.on, self.off).astype(self.dtype)
        self.ops.check_labels(labels, classes)
        return self.ops.take(rows, labels, out=self.empty("targets", shape))

    def forward(self, scores: Array, targets: Array, weights: Array | None = None) -> tuple[Array, Any]:
        if self.has_labels(scores, targets):
            try:
                targets = self.rows_of(targets, scores.shape)
            except IndexError:
                self.check_targets(self.ops.to_host(targets), scores.shape[1:])
                raise
        xp, L = self.xp, self.empty("L", ())
        diff = xp.subtract(scores, targets, out=self.empty("diff", scores.shape))
        if weights is None:
            self.ops.square_sum(diff, out=L)
            return xp.divide(L, 2 * len(scores), out=L), (diff, 1 / len(scores))
        share = self.share(len(scores), weights)
        squares = xp.multiply(diff, diff, out=self.empty("squares", diff.shape)).reshape(len(diff), -1)
        xp.divide((squares.sum(axis=1) * share).sum(), 2, out=L)
        return L, (diff, share.reshape(-1, *(1,) * (diff.ndim - 1)))

    def backward(self, dL: Any, cache: Any) -> tuple[Array, None]:
        diff, share = cache
        return self.xp.multiply(diff, dL * share, out=self.empty("dscores", diff.shape)), None

    def example(self, rng: np.random.Generator, n: int, *shapes: Shape) -> tuple[np.ndarray, ...]:
        scores = rng.standard_normal((n, *shapes[0]))
        labels = shapes[1:2] in ((), ((),)) and len(shapes[0]) == 1
        targets = rng.integers(0, shapes[0][0], n) if labels else rng.standard_normal(scores.shape)
        return (scores, targets, *(rng.random(n) + 0.5 for _ in shapes[2:]))
