"""What a network gets wrong in validation data, block by block: only the worst images are kept."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinynn.network import Network
from tinynn.network.evaluation import blocks
from tinynn.pictures.given import image_shape
from tinynn.pictures.misread import worst_first

__all__ = ["Mistakes", "mistakes"]

BLOCK = 1024


class Mistakes(NamedTuple):
    """True and predicted classes (N,) of the rows that were looked at, and how many there are.

    `images` (M, H, W), their `labels` and `scores`: the worst, in order; `images` is None where the rows are no images.
    """

    true: np.ndarray
    predicted: np.ndarray
    images: np.ndarray | None
    labels: np.ndarray
    scores: np.ndarray


def mistakes(net: Network, data: tuple[Any, ...], rows: int, worst: int) -> Mistakes | None:
    """The mistakes in the first `rows` rows, in whole blocks; None where there are no classes to mistake.

    `data`: validation data as `fit` has checked it. `worst`: images at most.
    """
    if len(net.input_names) != 1 or 1 not in net.target_slots:
        return None
    size, slot = image_shape(net.input_shapes[0]), 1 + net.target_slots.index(1)
    true, predicted, kept = [], [], None
    for start, xs in blocks(net, data, BLOCK):
        if start >= rows:
            break
        labels, scores = net.ops.to_host(xs[slot]), net.ops.to_host(net.predict(xs[0]))
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or scores.ndim != 2 or scores.shape[1] < 2:
            return None
        labels = labels.astype(np.int64)
        known = np.flatnonzero((labels >= 0) & (labels < scores.shape[1]))  # a loss may ignore others
        labels, scores = labels[known], scores[known]
        true.append(labels)
        predicted.append(scores.argmax(axis=1))
        wrong = worst_first(scores, labels)[:worst]
        x = net.ops.to_host(xs[0])[known[wrong]]
        block = x, labels[wrong], scores[wrong]
        kept = block if kept is None else tuple(np.concatenate(pair) for pair in zip(kept, block, strict=True))
        kept = tuple(part[worst_first(kept[2], kept[1])[:worst]] for part in kept)
    if kept is None or not sum(map(len, true)):
        return None
    x, labels, scores = kept
    images = None if size is None else x.reshape(len(x), *size)
    return Mistakes(np.concatenate(true), np.concatenate(predicted), images, labels, scores)
