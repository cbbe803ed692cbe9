"""Rows in, batches out: gathers the rows of an epoch in the order it is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["batches"]


def batches(ops: Any, arrays: Sequence[Any], order: np.ndarray, batch_size: int) -> Iterator[tuple[Any, ...]]:
    """The rows of all arrays in the given order, `batch_size` at a time; the last batch may be smaller.

    `ops`: the backend. `arrays`: (N, ...) each, inputs and targets; they keep their dtypes. `order`: indices of rows,
    all in 0..N-1. The arrays that come out are borrowed until the next ones are asked for.
    """
    rooms = [ops.xp.empty((min(batch_size, len(order)), *array.shape[1:]), array.dtype) for array in arrays]
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        yield tuple(ops.take(array, rows, out=room[: len(rows)]) for array, room in zip(arrays, rooms, strict=True))
