"""The cross-entropy loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnx_cases.activations import log_softmax
from onnx_cases.running import dtype_for
from tinynn import Sequential, SoftmaxCrossEntropy

__all__ = ["OPERATORS"]


def softmax_cross_entropy(
    scores: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> tuple[Any, np.ndarray]:
    """ONNX has the classes on axis 1 of anything: every place of an image is a row of scores.

    The loss is the mean; a sum is the mean times what it divided by, and one row alone is a mean over one row.
    """
    rows, targets = np.moveaxis(scores, 1, -1).reshape(-1, scores.shape[1]), labels.reshape(-1)
    loss = SoftmaxCrossEntropy(class_weights=weights, ignore=ignore_index)
    net = Sequential(loss).build(rows.shape[1:], dtype=dtype_for(scores))

    def total(chosen: slice) -> float:
        return float(net.forward(rows[chosen], targets[chosen])[0]) * float(loss.total_weight(targets[chosen]))

    if reduction == "mean":
        result = net.forward(rows, targets)[0]
    elif reduction == "sum":
        result = np.asarray(total(slice(None)), scores.dtype)
    else:
        each = [total(slice(i, i + 1)) for i in range(len(rows))]
        result = np.array(each, scores.dtype).reshape(labels.shape)
    return result, log_softmax(scores, axis=1)


OPERATORS = {"SoftmaxCrossEntropyLoss": softmax_cross_entropy}
