"""Rows in, batches out: gathers the rows of an epoch in the order it is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["Batches"]


class Batches:
    """`batches(order)`: the rows of all arrays in that order, `batch_size` at a time; the last batch may be smaller.

    `ops`: the backend. `arrays`: (N, ...) each, inputs and targets; they keep their dtypes. `order`: indices of rows,
    all in 0..N-1. The arrays that come out are borrowed until the next ones are asked for: batches of one length are
    always the same tuple of the same arrays.
    """

    def __init__(self, ops: Any, arrays: Sequence[Any], batch_size: int) -> None:
        self.ops, self.arrays, self.batch_size = ops, arrays, batch_size
        size = min(batch_size, len(arrays[0]))
        self.rooms = [ops.xp.empty((size, *array.shape[1:]), array.dtype) for array in arrays]
        self.by_length: dict[int, tuple[Any, ...]] = {}

    @property
    def kind(self) -> tuple[Any, ...]:
        """The same for batches that can take the place of these."""
        return self.batch_size, *((room.dtype, room.shape) for room in self.rooms)

    def __call__(self, order: np.ndarray) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(order), self.batch_size):
            yield self.gather(order[start : start + self.batch_size])

    def gather(self, rows: np.ndarray) -> tuple[Any, ...]:
        """The batch of these rows."""
        batch = self.by_length.get(len(rows))
        if batch is None:
            batch = self.by_length[len(rows)] = tuple(room[: len(rows)] for room in self.rooms)
        for array, part in zip(self.arrays, batch, strict=True):
            self.ops.take(array, rows, out=part)
        return batch
