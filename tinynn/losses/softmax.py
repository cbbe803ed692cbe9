"""Softmax with cross-entropy, in one layer: more exact than the two, and cheaper."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.backend import Array
from tinynn.errors import ShapeError
from tinynn.layer import Shape
from tinynn.losses.loss import Loss
from tinynn.targets import not_probabilities

__all__ = ["SoftmaxCrossEntropy"]


class SoftmaxCrossEntropy(Loss):
    """L = -1/N sum over n of log p[n, t_n], p = softmax(scores); for rows t: -1/N sum over n, j of t_nj log p_nj.

    Shapes:   scores (N, C); targets: labels (N,) in 0..C-1, or rows of probabilities (N, C); L a scalar.
    Backward: dscores = (p - t) / N, with t as rows; the targets have no gradient.
    Predict:  p, the probabilities.
    Errors:   LabelError for targets of another kind, shape or range; ShapeError for fewer than two scores.
    Source:   CS231n, `softmax_loss`; Bishop, "Pattern Recognition and Machine Learning", 4.3.4.
    """

    def build(self, scores: Shape, targets: Shape | None = None, weights: Shape | None = None) -> Shape:
        if len(scores) != 1 or scores[0] < 2:
            raise ShapeError(
                "softmax cross-entropy needs a row of scores, one for each class",
                where=self.where,
                expected="(C,) with at least 2 classes",
                got=scores,
                fix="put Affine(C) before it, C being the number of classes",
            )
        return super().build(scores, targets, weights)

    def forward(self, scores: Array, targets: Array) -> tuple[Array, Any]:
        self.has_labels(scores, targets)
        p = self.empty("p", scores.shape, self.xp.float64)
        try:
            loss = self.ops.softmax_cross_entropy(scores, targets, p)
        except IndexError:
            self.check_targets(self.ops.to_host(targets), scores.shape[1:])
            raise
        return loss.astype(self.dtype), (p, targets)

    def backward(self, dL: Any, cache: Any) -> tuple[Array, None]:
        p, targets = cache
        out = self.empty("dscores", p.shape)
        return self.ops.softmax_cross_entropy_backward(p, targets, dL / len(p), out), None

    def link(self, scores: Array) -> Array:
        work = self.empty("p", scores.shape, self.xp.float64)
        return self.ops.softmax(scores, out=self.empty("y", scores.shape), work=work)

    def labels(self, targets: Array) -> Array | None:
        return targets.argmax(axis=1) if targets.ndim == 2 else targets

    def wrong_rows(self, rows: np.ndarray) -> tuple[Any, str]:
        return not_probabilities(rows)

    def example(self, rng: np.random.Generator, n: int, *shapes: Shape) -> tuple[np.ndarray, ...]:
        scores = rng.standard_normal((n, *shapes[0]))
        if shapes[1:] in ((), ((),)):
            return scores, rng.integers(0, shapes[0][0], n)
        return scores, rng.dirichlet([1.0] * shapes[0][0], n)
