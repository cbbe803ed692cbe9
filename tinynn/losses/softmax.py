"""Softmax with cross-entropy, in one layer: more exact than the two, and cheaper."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.backend import Array
from tinynn.checks import finite_number, whole_number
from tinynn.errors import ConfigurationError, ShapeError
from tinynn.layer import Shape
from tinynn.losses.loss import Loss
from tinynn.targets import not_probabilities

__all__ = ["SoftmaxCrossEntropy"]


class SoftmaxCrossEntropy(Loss):
    """L = -1/N sum over n of log p[n, t_n], p = softmax(scores); for rows t: -1/N sum over n, j of t_nj log p_nj.

    `class_weights` (C,): a row counts as often as its class says; the mean divides by the sum of that, as in PyTorch
    and ONNX (for targets in rows by N). `label_smoothing` s: (1 - s) of a label lies on its class, s is spread evenly
    over all C. `ignore`: rows with this label, any integer, count nothing, in the loss and in the accuracy.

    Shapes:   scores (N, C); targets: labels (N,) in 0..C-1, or rows of probabilities (N, C); weights of the rows (N,),
              all 1 if left out; L a scalar.
    Backward: dscores = (p - t) / N, with t as rows; the targets have no gradient.
    Predict:  p, the probabilities.
    Errors:   LabelError for targets of another kind, shape or range; ShapeError for fewer than two scores;
              ConfigurationError for class weights that are not C numbers >= 0, for smoothing outside 0 <= s < 1.
    Source:   CS231n, `softmax_loss`; Bishop, "Pattern Recognition and Machine Learning", 4.3.4; label smoothing:
              Szegedy and others, "Rethinking the Inception Architecture for Computer Vision", 2016.
    """

    straight = True

    def __init__(self, class_weights: Any = None, label_smoothing: float = 0.0, ignore: int | None = None) -> None:
        fix = "SoftmaxCrossEntropy(class_weights=[1.0, 2.0], label_smoothing=0.1, ignore=-1)"
        where = "SoftmaxCrossEntropy"
        self.smoothing = finite_number(label_smoothing, "label_smoothing", where=where, fix=fix, least=0, below=1)
        self.ignore = None if ignore is None else whole_number(ignore, "the label to ignore", where=where, fix=fix)
        self.class_weights: list[float] | None = None
        if class_weights is not None:
            try:
                given = list(class_weights)
            except TypeError:
                given = [class_weights]
            what = "a class weight"
            self.class_weights = [finite_number(w, what, where=where, fix=fix, least=0) for w in given]
        self.plain = self.class_weights is None and not self.smoothing and self.ignore is None

    def build(self, scores: Shape, targets: Shape | None = None, weights: Shape | None = None) -> Shape:
        if len(scores) != 1 or scores[0] < 2:
            raise ShapeError(
                "softmax cross-entropy needs a row of scores, one for each class",
                where=self.where,
                expected="(C,) with at least 2 classes",
                got=scores,
                fix="put Affine(C) before it, C being the number of classes",
            )
        if self.class_weights is not None and len(self.class_weights) != scores[0]:
            raise ConfigurationError(
                "class weights that do not fit the scores",
                where=self.where,
                expected=f"{scores[0]} of them, one for each class",
                got=len(self.class_weights),
                fix="give a weight to every class",
            )
        self._of_class = self.xp.ones(scores) if self.class_weights is None else self.xp.asarray(self.class_weights)
        return super().build(scores, targets, weights)

    def forward(self, scores: Array, targets: Array, weights: Array | None = None) -> tuple[Array, Any]:
        self.has_labels(scores, targets)
        p = self.empty("p", scores.shape, self.xp.float64)
        try:
            self.check_wide(targets)
            rows = targets if self.plain and weights is None else self.weighted_rows(targets, weights, scores.shape)
            L = self.ops.softmax_cross_entropy(scores, rows, p, out=self.empty("L", ()))
        except IndexError:
            self.check_targets(self.ops.to_host(targets), scores.shape[1:])
            raise
        return L, (p, rows)

    def weighted_rows(self, targets: Array, weights: Array | None, shape: tuple[int, ...]) -> Array:
        """Rows whose plain loss, divided by N, is what the settings and weights ask for: all of them in one factor."""
        xp, (n, classes) = self.xp, shape
        if weights is not None:
            self.check_kind(n, weights)
        rows = xp.zeros(shape) if targets.ndim == 1 else targets.astype(xp.float64)
        if targets.ndim == 1:
            rows[xp.arange(n), self.in_range(targets)] = 1
        rows = self._of_class * ((1 - self.smoothing) * rows + self.smoothing / classes)
        total = self.total_weight(targets, weights)
        counts = self.counts(targets)
        if weights is not None:
            counts = counts * weights
        return rows * (counts * n / xp.where(total > 0, total, 1))[:, None]

    def check_wide(self, targets: Array) -> None:
        """IndexError for a label that would come back into the range when it is cut to 32 bits; nothing on a device."""
        if targets.ndim == 1 and targets.dtype.itemsize > 4:
            labels = targets if self.ignore is None else self.xp.where(targets == self.ignore, 0, targets)
            self.ops.check_labels(labels, self._of_class.shape[0])

    def in_range(self, labels: Array) -> Array:
        """The labels as indices, ignored ones as 0; a negative one, which would count from the end, out of range."""
        return (labels if self.ignore is None else self.xp.where(labels == self.ignore, 0, labels)).astype(
            self.xp.uint32
        )

    def counts(self, targets: Array) -> Array:
        """1 for each row, 0 for those that are ignored, as float64."""
        if targets.ndim == 2 or self.ignore is None:
            return self.xp.ones(len(targets))
        return (targets != self.ignore).astype(self.xp.float64)

    def total_weight(self, targets: Array, weights: Array | None = None) -> Any:
        if self.plain:
            return super().total_weight(targets, weights)
        counts = self.counts(targets) if weights is None else self.counts(targets) * weights
        return (counts * self._of_class[self.in_range(targets)]).sum() if targets.ndim == 1 else counts.sum()

    def backward(self, dL: Any, cache: Any) -> tuple[Array, None]:
        p, rows = cache
        out = self.empty("dscores", p.shape)
        return self.ops.softmax_cross_entropy_backward(p, rows, dL / len(p), out), None

    def link(self, scores: Array) -> Array:
        work = self.empty("p", scores.shape, self.xp.float64)
        return self.ops.softmax(scores, out=self.empty("y", scores.shape), work=work)

    def verdict(self, scores: Array, targets: Array) -> Array | None:
        if targets.ndim == 2:
            return scores.argmax(axis=1) == targets.argmax(axis=1)
        right = super().verdict(scores, targets)
        return right if self.ignore is None else self.xp.where(targets == self.ignore, -1, right)

    def check_targets(self, targets: np.ndarray, scores: Shape) -> None:
        if self.ignore is not None and targets.ndim == 1 and targets.dtype.kind in "iu":
            targets = targets.copy()
            targets[targets == self.ignore] = 0
        super().check_targets(targets, scores)

    def wrong_rows(self, rows: np.ndarray) -> tuple[Any, str]:
        return not_probabilities(rows)

    def example(self, rng: np.random.Generator, n: int, *shapes: Shape) -> tuple[np.ndarray, ...]:
        scores, classes = rng.standard_normal((n, *shapes[0])), shapes[0][0]
        labels = shapes[1:2] in ((), ((),))
        targets = rng.integers(0, classes, n) if labels else rng.dirichlet([1.0] * classes, n)
        return (scores, targets, *(rng.random(n) + 0.5 for _ in shapes[2:]))
