"""Losses: layers with the inputs (scores, targets), whose output is one number, the mean over the batch.

A loss stands last in a network. There `forward` needs targets, and `predict` gives what the scores mean: probabilities
where the loss defines them. Targets are integer labels (N,), or rows of numbers shaped like the scores.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.backend import Array
from tinynn.checks import finite_number
from tinynn.errors import ShapeError
from tinynn.layer import Layer, Shape
from tinynn.targets import not_finite, not_probabilities, refuse_row, unfit, wrong_labels

__all__ = ["Loss", "QuadraticCost", "SoftmaxCrossEntropy"]


class Loss(Layer):
    """L = f(scores, targets), the mean over the rows.

    A loss of your own defines `forward(scores, targets)`, `backward(dL, cache)` -> (dscores, None), and `link(scores)`
    if its scores mean something else at inference than what they are.
    """

    integer_inputs = True

    def build(self, scores: Shape, targets: Shape | None = None) -> Shape:
        if targets not in (None, (), scores):
            raise ShapeError(
                "targets that do not fit the scores",
                where=self.where,
                expected=f"() for labels, or {scores}",
                got=targets,
                fix="leave the targets' shape out: it is known from the data",
            )
        return ()

    def link(self, scores: Array) -> Array:
        """What the scores say at inference; themselves, unless the loss defines more."""
        return scores

    def predict(self, scores: Array, targets: Array | None = None) -> Array:
        """The link of the scores; given targets too, the loss."""
        return self.link(scores) if targets is None else self.forward(scores, targets)[0]

    def labels(self, targets: Array) -> Array | None:
        """The right class of each row, where the targets say one: what accuracy is counted against."""
        return targets if targets.ndim == 1 and targets.dtype.kind in "iu" else None

    def has_labels(self, scores: Array, targets: Array) -> bool:
        """True for labels, False for rows; looks at shapes and types only, so it costs nothing in a step.

        Errors: LabelError for anything else, and for no rows at all, whose mean would be undefined.
        """
        if len(scores) == len(targets) > 0:
            if targets.ndim == 1 and targets.dtype.kind in "iu" and scores.ndim == 2:
                return True
            if targets.shape == scores.shape and targets.dtype.kind == "f":
                return False
        raise unfit(self.where, scores.shape, targets)

    def check_targets(self, targets: np.ndarray, scores: Shape) -> None:
        """Looks at every target, on the host: labels in range, rows finite; `scores`: their shape for one example.

        Errors: LabelError with the row and its value.
        """
        if len(targets) and targets.ndim == 1 and targets.dtype.kind in "iu" and len(scores) == 1:
            wrong, expected = wrong_labels(targets, scores[0])
        elif len(targets) and targets.shape[1:] == scores and targets.dtype.kind == "f":
            wrong, expected = self.wrong_rows(targets.reshape(len(targets), -1))
        else:
            raise unfit(self.where, (len(targets), *scores), targets)
        refuse_row(self.where, wrong, expected, targets)

    def wrong_rows(self, rows: np.ndarray) -> tuple[Any, str]:
        """Which target rows (N, K), on the host, are illegal, and what was expected of them."""
        return not_finite(rows)


class SoftmaxCrossEntropy(Loss):
    """L = -1/N sum over n of log p[n, t_n], p = softmax(scores); for rows t: -1/N sum over n, j of t_nj log p_nj.

    Shapes:   scores (N, C); targets: labels (N,) in 0..C-1, or rows of probabilities (N, C); L a scalar.
    Backward: dscores = (p - t) / N, with t as rows; the targets have no gradient.
    Predict:  p, the probabilities.
    Errors:   LabelError for targets of another kind, shape or range; ShapeError for fewer than two scores.
    Source:   CS231n, `softmax_loss`; Bishop, "Pattern Recognition and Machine Learning", 4.3.4.
    """

    def build(self, scores: Shape, targets: Shape | None = None) -> Shape:
        if len(scores) != 1 or scores[0] < 2:
            raise ShapeError(
                "softmax cross-entropy needs a row of scores, one for each class",
                where=self.where,
                expected="(C,) with at least 2 classes",
                got=scores,
                fix="put Affine(C) before it, C being the number of classes",
            )
        return super().build(scores, targets)

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


class QuadraticCost(Loss):
    """L = 1/(2N) sum over n of |y_n - t_n|^2.

    Shapes:   scores y (N, ...); targets: rows of the same shape, or labels (N,) for scores (N, C); L a scalar.
              A label c stands for the row that is `on` at c and `off` elsewhere.
    Backward: dy = (y - t) / N; the targets have no gradient.
    Predict:  y as it is.
    Errors:   LabelError for targets of another kind, shape or range.
    Source:   Nielsen, "Neural Networks and Deep Learning", equation (6).
    """

    def __init__(self, off: float = 0.0, on: float = 1.0) -> None:
        self.off = finite_number(off, "`off`", where="QuadraticCost", fix="QuadraticCost(off=0.01, on=0.99)")
        self.on = finite_number(on, "`on`", where="QuadraticCost", fix="QuadraticCost(off=0.01, on=0.99)")

    def build(self, scores: Shape, targets: Shape | None = None) -> Shape:
        self._rows: Array | None = None  # C x C numbers, made when the first labels come: rows do without
        return super().build(scores, targets)

    def rows_of(self, labels: Array, classes: int) -> Array:
        """The target rows that the labels stand for; IndexError for a label out of range, where the device notices."""
        xp, rows = self.xp, self._rows
        if rows is None:
            rows = self._rows = xp.where(xp.eye(classes, dtype=bool), self.on, self.off).astype(self.dtype)
        return rows.take(labels.astype(xp.uint32), axis=0)  # uint32, lest a negative label count from the end

    def forward(self, scores: Array, targets: Array) -> tuple[Array, Array]:
        if self.has_labels(scores, targets):
            try:
                targets = self.rows_of(targets, scores.shape[1])
            except IndexError:
                self.check_targets(self.ops.to_host(targets), scores.shape[1:])
                raise
        diff = self.xp.subtract(scores, targets, out=self.empty("diff", scores.shape))
        flat = diff.reshape(-1)
        return self.xp.dot(flat, flat) / self.dtype.type(2 * len(scores)), diff

    def backward(self, dL: Any, diff: Array) -> tuple[Array, None]:
        return self.xp.multiply(diff, dL / len(diff), out=self.empty("dscores", diff.shape)), None

    def example(self, rng: np.random.Generator, n: int, *shapes: Shape) -> tuple[np.ndarray, ...]:
        scores = rng.standard_normal((n, *shapes[0]))
        if shapes[1:] in ((), ((),)) and len(shapes[0]) == 1:
            return scores, rng.integers(0, shapes[0][0], n)
        return scores, rng.standard_normal(scores.shape)
