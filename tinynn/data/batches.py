"""Rows in, batches out: gathers the rows of an epoch in the order it is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["batches"]


def batches(ops: Any, x: Any, targets: Any, order: np.ndarray, batch_size: int) -> Iterator[tuple[Any, Any]]:
    """The rows of x and of the targets in the given order, `batch_size` at a time; the last batch may be smaller.

    `ops`: the backend. `x` (N, ...) and `targets` (N, ...) keep their dtype. `order`: indices of rows, all in 0..N-1.
    The arrays that come out are borrowed until the next one is asked for.
    """
    x_room = ops.xp.empty((min(batch_size, len(order)), *x.shape[1:]), x.dtype)
    t_room = ops.xp.empty((min(batch_size, len(order)), *targets.shape[1:]), targets.dtype)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        yield ops.take(x, rows, out=x_room[: len(rows)]), ops.take(targets, rows, out=t_room[: len(rows)])
