"""PyTorch eager on a GPU: the same loop as on the CPU, the fused SGD, batches on the device or in pinned memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from benchmarks.contenders import pytorch
from benchmarks.contenders.gpu import Form
from benchmarks.jobs import Job
from benchmarks.material import Material

__all__ = ["DEVICE", "Contender", "explicit"]

DEVICE = "cuda"


def explicit(precision: str, autotuned: bool) -> None:
    """Says what has defaults: TF32 only where asked for, sums in float32, cuDNN's first choice or its best."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cudnn.benchmark = autotuned


class Contender(pytorch.Contender):
    """`form`: a `Form`; with the extra word "autotuned" cuDNN tries its algorithms and keeps the fastest.

    bfloat16 is `torch.autocast`: weights and losses stay float32, products read and write bfloat16.
    """

    def __init__(self, job: Job, what: Material, form: str) -> None:
        words = Form.of(form)
        explicit(words.precision, "autotuned" in words.extra)
        self.bfloat16, self.copied = words.precision == "bfloat16", words.copied
        super().__init__(job, what, "")
        self.net.to(DEVICE)
        self.sgd = torch.optim.SGD(self.net.parameters(), lr=job.lr, fused=True)
        self.x, self.t = (self.placed(rows) for rows in (self.x, self.t))
        self.wait()

    def placed(self, rows: Any) -> Any:
        """On the device, or, where every batch is copied, in memory that the device can read by itself."""
        return rows.pin_memory() if self.copied else rows.to(DEVICE)

    def wait(self) -> None:
        """Until the device has done what it was asked."""
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    def reset(self) -> None:
        super().reset()
        self.wait()

    def train(self, steps: int) -> None:
        super().train(steps)
        self.wait()

    def run(self, seed: int, steps: int) -> None:
        super().run(seed, steps)
        self.wait()

    def values(self) -> list[float]:
        rows = slice(self.job.batch)
        with torch.no_grad():
            return [float(self.cost(self.x[rows].to(DEVICE), self.t[rows].to(DEVICE)))]

    def versions(self) -> dict[str, str]:
        found = {"torch": torch.__version__, "torch's CUDA": str(torch.version.cuda)}
        return found | {"numpy": np.__version__}

    def cost(self, x: Any, t: Any) -> Any:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=self.bfloat16):
            return super().cost(x, t)

    def step(self, x: Any, t: Any) -> None:
        if self.copied:
            x, t = x.to(DEVICE, non_blocking=True), t.to(DEVICE, non_blocking=True)
        super().step(x, t)

    def epoch(self, seed: int, steps: int) -> None:
        """Shuffles and gathers on the device."""
        generator = torch.Generator(DEVICE).manual_seed(seed)
        order = torch.randperm(steps * self.job.batch, generator=generator, device=DEVICE)
        for rows in order.split(self.job.batch):
            self.step(self.x.index_select(0, rows), self.t.index_select(0, rows))
