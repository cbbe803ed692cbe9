"""Rows in, batches out: gathers the rows of an epoch in the order it is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["batches"]

# One gather serves several small batches: a call costs as much as copying about ten rows of 784 numbers.
ROWS_AT_ONCE = 128


def batches(ops: Any, x: Any, targets: Any, order: np.ndarray, batch_size: int) -> Iterator[tuple[Any, Any]]:
    """The rows of x and of the targets in the given order, `batch_size` at a time; the last batch may be smaller.

    `ops`: the backend. `x` (N, ...) and `targets` (N, ...) keep their dtype. `order`: indices of rows, all in 0..N-1.
    The arrays that come out are borrowed until the next one is asked for.
    """
    gathered = max(1, ROWS_AT_ONCE // batch_size) * batch_size
    x_room = ops.xp.empty((min(gathered, len(order)), *x.shape[1:]), x.dtype)
    t_room = ops.xp.empty((min(gathered, len(order)), *targets.shape[1:]), targets.dtype)
    for start in range(0, len(order), gathered):
        rows = order[start : start + gathered]
        n = len(rows)
        xs = ops.take(x, rows, out=x_room[:n])
        ts = ops.take(targets, rows, out=t_room[:n])
        for i in range(0, n, batch_size):
            yield xs[i : i + batch_size], ts[i : i + batch_size]
