"""PyTorch with the forward pass and the loss compiled by `torch.compile`, and the fused SGD."""

from __future__ import annotations

import torch

from benchmarks.contenders import pytorch
from benchmarks.jobs import Job
from benchmarks.material import Material

__all__ = ["Contender"]


class Contender(pytorch.Contender):
    """`form`: the order of images in memory. Compiles when it is made, forward and backward.

    Errors: whatever the compiler raises, for example where there is none.
    """

    def __init__(self, job: Job, what: Material, form: str) -> None:
        super().__init__(job, what, f"SGD(fused=True), {form}")
        torch._dynamo.reset()  # what was compiled for an earlier job counts towards a limit of recompilations
        self.compiled = torch.compile(super().cost, dynamic=False)
        self.train(1)
        self.reset()

    def cost(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return self.compiled(x, t)
