"""Batches of data that need not lie in memory: asked for when their step comes, looked at, copied into one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynn.network.sources import Source
from tinynn.training.batches import Batches

__all__ = ["Streamed"]


class Streamed(Batches):
    """The batches of a source: as `Batches`, but for `arrays`, which is empty: nobody holds all the rows.

    `gather(rows)` has the errors of `Source.take`.
    """

    whole = False

    def __init__(self, ops: Any, source: Source, batch_size: int, share: int | None = None) -> None:
        self.ops, self.batch_size, self.share = ops, batch_size, share or batch_size
        self.arrays: Sequence[Any] = ()
        self.source: Source | None = source
        if not source.kinds:
            source.take(np.zeros(1, np.int64))
        # A device knows no other order of bytes than its own, and NumPy is faster in that.
        self.make_rooms(len(source), [(dtype.newbyteorder("="), shape) for dtype, shape in source.kinds])

    def gather(self, rows: np.ndarray) -> tuple[Any, ...]:
        assert self.source is not None
        batch = self.by_length.get(len(rows)) or self.batch_of(len(rows))
        for x, part in zip(self.source.take(rows), batch, strict=True):
            part[...] = self.ops.asarray(x, part.dtype)
        return batch

    def read_from(self, other: Batches | None) -> None:
        self.source = other.source if isinstance(other, Streamed) else None
