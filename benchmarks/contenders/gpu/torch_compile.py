"""PyTorch on a GPU with the forward pass and the loss compiled in one of torch.compile's modes, and the fused SGD."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.contenders.gpu import Form, torch_eager
from benchmarks.jobs import Job
from benchmarks.material import Material

__all__ = ["Contender"]


class Contender(torch_eager.Contender):
    """`form`: a `Form` whose extra word is the mode. Compiles when it is made, forward and backward.

    Errors: whatever the compiler raises, for example where there is none.
    """

    def __init__(self, job: Job, what: Material, form: str) -> None:
        super().__init__(job, what, form)
        self.compiled = torch.compile(super().cost, mode=Form.of(form).extra, dynamic=False)
        for _ in range(3):  # compiles, warms up, and records the CUDA graph of these modes
            self.train(1)
        self.reset()

    def cost(self, x: Any, t: Any) -> Any:
        return self.compiled(x, t)

    def step(self, x: Any, t: Any) -> None:
        torch.compiler.cudagraph_mark_step_begin()
        super().step(x, t)
