"""Processes that compute on GPUs: a GPU for each, and sums from GPU to GPU by NCCL."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.backend import Array, Ops
from tinynn.distributed.ranks import Ranks
from tinynn.errors import DeviceError, MissingExtraError

__all__ = ["Nccl", "use_gpu"]


def use_gpu(ranks: Ranks) -> int:
    """From now on this process computes on a GPU of its own: number k for the k-th process on a machine.

    Call it on all ranks, before `net.build(..., backend="cupy")`. Returns the number.
    Errors: MissingExtraError without CuPy; DeviceError, on all ranks, where a machine has fewer GPUs than processes.
    """
    with ranks.together():
        try:
            import cupy  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise MissingExtraError("cupy", extra="cuda12", purpose="computing on a GPU") from error
        there = cupy.cuda.runtime.getDeviceCount()
    machine = ranks.comm.Split_type(ranks.MPI.COMM_TYPE_SHARED, ranks.rank)
    number, processes = machine.Get_rank(), machine.Get_size()
    machine.Free()
    with ranks.together():
        if processes > there:
            raise DeviceError(
                "more processes than GPUs on this machine",
                where=repr(ranks),
                expected=f"at most {there} processes",
                got=f"{processes}",
                fix=f"mpiexec -ppn {there} ...",
            )
    cupy.cuda.Device(number).use()
    return number


class Nccl:
    """In the stream of the step; MPI only tells the ranks where they meet."""

    every = 32

    def __init__(self, ranks: Ranks, ops: Ops, nccl: Any) -> None:
        self.ranks, self.xp, self.nccl = ranks, ops.xp, nccl
        refuse_shared(ranks, self.xp)
        self.event = self.xp.cuda.Event(disable_timing=True)
        meeting, _ = ranks.from_first(list(nccl.get_unique_id()) if ranks.first else None, {})
        self.comm = nccl.NcclCommunicator(ranks.size, tuple(meeting), ranks.rank)
        self.kinds = {np.dtype("float32"): nccl.NCCL_FLOAT32, np.dtype("float64"): nccl.NCCL_FLOAT64}

    def __call__(self, vector: Array, what: str) -> None:
        pointer, stream = vector.data.ptr, self.xp.cuda.get_current_stream().ptr
        kind = self.kinds[vector.dtype]
        self.comm.allReduce(pointer, pointer, vector.size, kind, self.nccl.NCCL_SUM, stream)

    def wait(self, what: str) -> None:
        """As for MPI's sums: one who waits for the stream itself is never told that a rank has failed."""
        self.event.record()
        self.ranks.wait(self, what)

    def Test(self) -> bool:
        """Whether the sums so far are there, as a request of mpi4py says it."""
        return bool(self.event.done)


def refuse_shared(ranks: Ranks, xp: Any) -> None:
    """Errors: DeviceError on all ranks where two of them compute on one GPU, which NCCL cannot have."""
    everybody = ranks.gather([ranks.MPI.Get_processor_name(), xp.cuda.Device().pci_bus_id])
    for rank, gpu in enumerate(everybody):
        if (other := everybody.index(gpu)) < rank:
            ranks.refuse_alike(
                DeviceError(
                    f"ranks {other} and {rank} compute on the same GPU",
                    where=repr(ranks),
                    expected="a GPU for each process",
                    got=f"GPU {gpu[1]} of {gpu[0]} for both",
                    fix="distributed.use_gpu(ranks), before build",
                )
            )
