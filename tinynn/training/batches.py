"""Rows in, batches out: gathers the rows of an epoch in the order it is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["Batches"]


class Batches:
    """`batches(order)`: the rows of all arrays in that order, `batch_size` at a time; the last batch may be smaller.

    `ops`: the backend. `arrays`: (N, ...) each, inputs and targets; they keep their dtypes. `order`: indices of rows,
    all in 0..N-1, sliced as it is needed. The arrays that come out are borrowed until the next ones are asked for:
    batches of one length are always the same tuple of the same arrays. `share`: how many rows of a batch this process
    makes steps of, where others make those of the rest.
    """

    whole = True
    """Whether `arrays` holds all the rows, so that a backend may gather many batches in one call."""

    def __init__(self, ops: Any, arrays: Sequence[Any], batch_size: int, share: int | None = None) -> None:
        self.ops, self.batch_size, self.share = ops, batch_size, share or batch_size
        self.arrays: Sequence[Any] = arrays
        self.make_rooms(len(arrays[0]), [(array.dtype, array.shape[1:]) for array in arrays])

    def make_rooms(self, n: int, kinds: Sequence[tuple[Any, tuple[int, ...]]]) -> None:
        """Memory for one batch of n rows at most, of these dtypes and shapes of rows."""
        size = min(self.share, n)
        self.rooms = [self.ops.xp.empty((size, *shape), dtype) for dtype, shape in kinds]
        self.by_length: dict[int, tuple[Any, ...]] = {}

    @property
    def kind(self) -> tuple[Any, ...]:
        """The same for batches that can take the place of these."""
        return type(self), self.batch_size, *((room.dtype, room.shape) for room in self.rooms)

    def __call__(self, order: Any) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(order), self.batch_size):
            yield self.gather(order[start : start + self.batch_size])

    def gather(self, rows: np.ndarray) -> tuple[Any, ...]:
        """The batch of these rows."""
        batch = self.by_length.get(len(rows)) or self.batch_of(len(rows))
        for array, part in zip(self.arrays, batch, strict=True):
            self.ops.take(array, rows, out=part)
        return batch

    def batch_of(self, n: int) -> tuple[Any, ...]:
        """The arrays of all batches of n rows."""
        rooms = self.rooms
        if n > len(rooms[0]):  # now and then somebody looks at more than this process's share
            return tuple(self.ops.xp.empty((n, *room.shape[1:]), room.dtype) for room in rooms)
        batch = self.by_length[n] = tuple(room[:n] for room in rooms)
        return batch

    def read_from(self, other: Batches | None) -> None:
        """From now on the rows are those of `other`, which is of the same kind; None: of nobody, no data are kept."""
        self.arrays = other.arrays if other is not None else ()
