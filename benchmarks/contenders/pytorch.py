"""PyTorch eager: `nn.Sequential` and `torch.optim.SGD`, batches by `index_select`, faster than a DataLoader."""

from __future__ import annotations

import os

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from benchmarks.contenders import BATCH, ETA, one_hot

__all__ = ["Contender"]


class Contender:
    """The usual training loop. `form`: SGD as it comes, or its fused version."""

    def __init__(self, x: np.ndarray, labels: np.ndarray, params: list[np.ndarray], form: str) -> None:
        if "OMP_NUM_THREADS" in os.environ:
            torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.x, self.t = torch.from_numpy(x), torch.from_numpy(one_hot(labels))
        self.net = nn.Sequential(nn.Linear(784, 30), nn.Sigmoid(), nn.Linear(30, 10), nn.Sigmoid())
        with torch.no_grad():
            for parameter, value in zip(self.net.parameters(), params, strict=True):
                parameter.copy_(torch.from_numpy(value.T))  # a Linear's weight is (M, D)
        self.sgd = torch.optim.SGD(self.net.parameters(), lr=ETA, **({"fused": True} if "fused" in form else {}))

    def epoch(self, seed: int) -> float:
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(seed))
        return self._steps(order.split(BATCH))

    def train(self, rows: np.ndarray) -> float:
        return self._steps(torch.from_numpy(rows).unbind())

    def loss(self, rows: np.ndarray) -> float:
        with torch.no_grad():
            return float(self._cost(torch.from_numpy(rows)))

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__}

    def _cost(self, rows: torch.Tensor) -> torch.Tensor:
        y = self.net(self.x.index_select(0, rows))
        return functional.mse_loss(y, self.t.index_select(0, rows), reduction="sum") / (2 * len(rows))

    def _steps(self, batches: tuple[torch.Tensor, ...]) -> float:
        total = torch.zeros(())
        for rows in batches:
            self.sgd.zero_grad()
            cost = self._cost(rows)
            cost.backward()
            self.sgd.step()
            total += cost.detach()
        return float(total) / len(batches)
