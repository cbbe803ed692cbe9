"""What a loss is: a layer with the inputs (scores, targets), whose output is one number, the mean over the batch.

In a network `forward` needs the targets too, and `predict` gives what the scores mean: probabilities where the loss
defines them. Targets are integer labels (N,), or rows of numbers shaped like the scores. A third input, optional, is
the weight of each row in the mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.backend import Array
from tinynn.errors import LabelError, ShapeError
from tinynn.layer import Layer, Shape
from tinynn.targets import not_finite, not_weights, refuse_row, unfit, wrong_labels

__all__ = ["Loss"]


class Loss(Layer):
    """L = sum over n of w_n l_n / sum over n of w_n: the weighted mean of the rows' losses, each weight 1 if left out.

    Weights that are all 0 make a loss of 0 without gradient. A loss of your own defines `forward(scores, targets)`,
    `backward(dL, cache)` -> (dscores, None), and `link(scores)` if its scores mean something else at inference than
    what they are; to take weights, `forward(scores, targets, weights=None)` and `self.share(n, weights)`.
    """

    integer_inputs = True

    def build(self, scores: Shape, targets: Shape | None = None, weights: Shape | None = None) -> Shape:
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

    def predict(self, scores: Array, *targets: Array) -> Array:
        """The link of the scores; given targets too, and weights, the loss."""
        return self.forward(scores, *targets)[0] if targets else self.link(scores)

    def total_weight(self, targets: Array, weights: Array | None = None) -> Any:
        """What the mean divides by, and so what a batch counts in a mean over batches: its rows, or their weights."""
        return len(targets) if weights is None else weights.sum(dtype=self.xp.float64)

    def share(self, n: int, weights: Array | None) -> Any:
        """The share of each of n rows in the mean: 1 / n, a number, or w_n / sum of w, an array, 0 where all w are.

        Errors: LabelError for weights that are not one number for each row.
        """
        if weights is None:
            return 1 / n
        self.check_kind(n, weights)
        total = weights.sum(dtype=self.xp.float64)
        return (weights / self.xp.where(total > 0, total, 1)).astype(self.dtype)

    def check_kind(self, n: int, weights: Any) -> None:
        """Looks at the weights' shape and dtype.

        Errors: LabelError for what is not one number for each of n rows.
        """
        if weights.shape != (n,) or weights.dtype.kind not in "biuf":
            raise LabelError(
                "weights that do not fit the scores",
                where=self.where,
                expected=f"a number for each row, of shape {(n,)}",
                got=f"{weights.dtype} of shape {weights.shape}",
                fix="give each row one weight, as a float",
            )

    def verdict(self, scores: Array, targets: Array) -> Array | None:
        """For each row 1 if it is right, 0 if it is wrong, -1 if accuracy is not to count it.

        None where the targets name no class.
        """
        if targets.ndim != 1 or targets.dtype.kind not in "iu" or scores.ndim != 2:
            return None
        return scores.argmax(axis=1) == targets

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

    def check_weights(self, weights: np.ndarray) -> None:
        """Looks at every weight, on the host.

        Errors: LabelError with the row and its value.
        """
        self.check_kind(len(weights) if weights.ndim else 0, weights)
        refuse_row(self.where, *not_weights(weights), weights)
