"""One sum over all ranks of a flat vector, wherever it lies: the host's memory, or that of GPUs."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tinynn.backend import Array, Ops
from tinynn.distributed.ranks import Ranks

__all__ = ["Host", "Staged", "Wire", "wire_of"]


class Wire(Protocol):
    """`wire(vector)`: the sum over all ranks in the vector's place, with the same bits on each of them.

    `every`: from how many steps to the next a number of the sum may be read on the host: where that waits for a GPU,
    not after each.
    """

    every: int

    def __call__(self, vector: Array, what: str) -> None: ...

    def wait(self, what: str) -> None:
        """Returns when the sums so far are there. Errors: those of `Ranks.wait`."""


def wire_of(ranks: Ranks, ops: Ops) -> Wire:
    """The wire for the arrays of a backend."""
    if isinstance(ops.asarray(0.0), np.ndarray):
        return Host(ranks)
    if ops.name == "cupy":
        from cupy.cuda import nccl  # pyright: ignore[reportMissingImports]

        from tinynn.distributed.gpus import Nccl

        if not ranks.any(not nccl.available):
            return Nccl(ranks, ops, nccl)
    return Staged(ranks, ops)


class Host:
    """By MPI, in place."""

    every = 1

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks

    def __call__(self, vector: Array, what: str) -> None:
        self.ranks.sum(vector, what=what)

    def wait(self, what: str) -> None:
        """It has waited."""


class Staged(Host):
    """By MPI, through the host's memory: for a device without NCCL."""

    every = 32

    def __init__(self, ranks: Ranks, ops: Ops) -> None:
        super().__init__(ranks)
        self.ops = ops

    def __call__(self, vector: Array, what: str) -> None:
        vector[...] = self.ops.asarray(self.ranks.sum(np.array(self.ops.to_host(vector)), what=what), vector.dtype)
