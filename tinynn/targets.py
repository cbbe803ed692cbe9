"""Targets as losses take them, looked through on the host: labels (N,), or rows of the scores' shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.errors import LabelError

__all__ = ["not_finite", "not_probabilities", "not_weights", "refuse_row", "unfit", "wrong_labels"]


def unfit(where: str, scores: tuple[int, ...], targets: Any) -> LabelError:
    """The error for targets of a wrong kind or shape; `scores`: the scores' shape, rows included."""
    if not scores[0]:
        return LabelError(
            "a batch without rows has no mean loss",
            where=where,
            expected="at least one row",
            got="none",
            fix="leave empty batches out",
        )
    return LabelError(
        "targets that do not fit the scores",
        where=where,
        expected=f"{scores[0]} integer labels, or float rows of shape {scores}",
        got=f"{targets.dtype} of shape {targets.shape}",
        fix="labels: t.astype(int), shape (N,); rows: t.astype(float), shape of the scores",
    )


def refuse_row(where: str, wrong: np.ndarray, expected: str, targets: np.ndarray) -> None:
    """Raises for the first target that is marked as wrong, if there is one.

    Errors: LabelError with the row and its value.
    """
    if wrong.any():
        row = int(wrong.argmax())
        labels = targets.ndim == 1
        raise LabelError(
            f"row {row} of the targets cannot be used",
            where=f"{where}, row {row}",
            expected=expected,
            got=targets[row].tolist(),
            fix="correct the label, or give the layer before the loss one output for each class"
            if labels
            else "correct the row",
        )


def wrong_labels(labels: np.ndarray, classes: int) -> tuple[Any, str]:
    """Which labels are not in 0..classes-1, and what was expected."""
    return (labels < 0) | (labels >= classes), f"labels 0 to {classes - 1}"


def not_finite(rows: np.ndarray) -> tuple[Any, str]:
    """Which rows (N, K) hold NaN or Inf, and what was expected."""
    return ~np.isfinite(rows).all(axis=1), "finite numbers"


def not_probabilities(rows: np.ndarray) -> tuple[Any, str]:
    """Which rows (N, C) are no distribution over the classes, and what was expected."""
    # Written so that NaN is wrong too. 1e-3 lets rows pass that were stored in half precision.
    right = (rows >= 0).all(axis=1) & (abs(rows.sum(axis=1, dtype=np.float64) - 1) <= 1e-3)
    return ~right, "probabilities: none negative, their sum 1"


def not_weights(weights: np.ndarray) -> tuple[Any, str]:
    """Which weights of rows are none, and what was expected."""
    return ~((weights >= 0) & np.isfinite(weights)), "weights that are finite numbers >= 0"
