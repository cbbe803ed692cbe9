"""PyTorch eager, its batches from a `DataLoader` over a `TensorDataset`, as its tutorials have it."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.contenders import pytorch

__all__ = ["Contender"]


class Contender(pytorch.Contender):
    """As eager PyTorch but for the epoch."""

    def epoch(self, seed: int, steps: int) -> None:
        rows = steps * self.job.batch
        dataset = TensorDataset(self.x[:rows], self.t[:rows])
        generator = torch.Generator().manual_seed(seed)
        for x, t in DataLoader(dataset, batch_size=self.job.batch, shuffle=True, generator=generator):
            self.step(x, t)
