"""The jobs that are timed on a GPU, and what tinynn's captured steps are to reach on each."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.contenders import gpu
from benchmarks.contenders.gemm_floor import sizes
from benchmarks.jobs import JOBS, Goal, Job

__all__ = ["BEST_COMPILE", "GPU_JOBS", "GpuJob", "flops"]

BEST_COMPILE = "best torch.compile"
"""Stands in a goal for the faster of the modes of torch.compile."""

TOLERANCES = {"float32": 1e-4, "tf32": 1e-2, "bfloat16": 1e-2}
EPOCH_STEPS = 60_000 // 128  # full batches in as many rows as MNIST has


@dataclass(frozen=True)
class GpuJob:
    """A job with what only a GPU asks for.

    `precision`: of the products of float32 matrices. `copied`: whether each batch comes from the host, or lies on the
    device from the start. `contenders`: keys, in the order in which they take turns. `referenced`: whether the losses
    are computed in float64 on the host besides, or only compared with one another. `wanted`: whether a goal depends on
    it; the others are measured in what time is left.
    """

    name: str
    job: Job
    contenders: tuple[str, ...]
    precision: str = "float32"
    copied: bool = False
    goals: tuple[Goal, ...] = ()
    referenced: bool = True

    @property
    def wanted(self) -> bool:
        return bool(self.goals)

    @property
    def tolerance(self) -> float:
        """How far a loss may be from what is expected."""
        return TOLERANCES[self.precision]


def flops(job: Job) -> int:
    """Of the matrix products of a step: 2 for each number of each product, forward, dW, and dx but of the first."""
    return sum(2 * rows * D * M * (3 if layer else 2) for layer, (rows, D, M) in enumerate(sizes(job)))


OURS = (gpu.CAPTURED, gpu.EAGER)
ON_THE_CPU = (gpu.CPU, gpu.CPU_LLVM)
PEERS = (gpu.TORCH, gpu.OVERHEAD, gpu.JAX)
SMALL = (*PEERS, *OURS, gpu.PRODUCTS, *ON_THE_CPU)


def dense(hidden: tuple[int, ...], batch: int, steps: int, kind: str = "step") -> Job:
    title = f"{'-'.join(map(str, (784, *hidden, 10)))}, batch {batch}"
    return Job("", title, "epoch" if kind == "epoch" else "step", (784,), hidden, 10, batch, steps, made=True)


def wide(precision: str) -> GpuJob:
    """Four layers of 4096: nearly all of it is matrix products."""
    job = replace(dense((4096,) * 4, 8192, 4), lr=0.01)
    return GpuJob(
        f"wide-{precision}",
        replace(job, title=f"784-4 x 4096-10, batch 8192, {precision}"),
        (gpu.TORCH, gpu.JAX, *OURS, gpu.PRODUCTS),
        precision,
        goals=(Goal(gpu.TORCH, ratio=1 / 0.95), Goal(gpu.PRODUCTS, ratio=1 / 0.85)),
        referenced=False,
    )


SMALL_STEP = dense((100,), 128, 400)

GPU_JOBS = {
    job.name: job
    for job in (
        GpuJob(
            "mlp100-128",
            SMALL_STEP,
            (*SMALL, gpu.AUTOTUNE),
            goals=(
                Goal(step_us=20),
                Goal(gpu.TORCH, ratio=1 / 8),
                Goal(BEST_COMPILE, ratio=1 / 1.2),
                Goal(gpu.JAX, ratio=1 / 1.5),
            ),
        ),
        GpuJob(
            "epoch",
            replace(dense((100,), 128, EPOCH_STEPS, "epoch"), title="An epoch of 784-100-10, batch 128"),
            SMALL,
            goals=(Goal(step_us=10_000 / EPOCH_STEPS),),
        ),
        GpuJob(
            "nielsen",
            replace(JOBS["nielsen"], made=True, goals=()),
            (gpu.TORCH, gpu.JAX, *OURS, gpu.PRODUCTS, *ON_THE_CPU),
            goals=(Goal(gpu.CPU, ratio=1 / 3),),
        ),
        GpuJob(
            "lenet",
            replace(JOBS["lenet"], title="LeNet-like CNN, batch 128", batch=128, made=True, goals=()),
            (*PEERS, gpu.AUTOTUNED, *OURS, gpu.PRODUCTS, *ON_THE_CPU),
            goals=(Goal(gpu.TORCH, ratio=1.0),),
            referenced=False,
        ),
        *map(wide, ("float32", "tf32", "bfloat16")),
        GpuJob(
            "mlp100-128-copied",
            replace(SMALL_STEP, title="784-100-10, batch 128, each batch from the host"),
            (gpu.TORCH, gpu.JAX, *OURS),
            copied=True,
        ),
        GpuJob("mlp100-1024", dense((100,), 1024, 50), SMALL),
        GpuJob("mlp1024", dense((1024, 1024), 1024, 24), SMALL),
    )
}
"""By name, in the order in which they are measured."""
