"""PyTorch eager: `nn.Sequential` and `torch.optim.SGD`; an epoch's batches by `index_select`."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.contenders import one_hot, threads_given
from benchmarks.jobs import Job
from benchmarks.material import Material
from benchmarks.reference import steps_to_check

__all__ = ["Contender", "network"]


def network(job: Job, params: tuple[np.ndarray, ...]) -> nn.Sequential:
    """The job's network without the loss."""
    layers: list[nn.Module] = []
    for W in params[::2]:
        if W.ndim == 4:
            layers += [nn.Conv2d(W.shape[1], W.shape[0], W.shape[2:]), nn.ReLU(), nn.MaxPool2d(2)]
        else:
            if isinstance(layers[-1] if layers else None, nn.MaxPool2d):
                layers.append(nn.Flatten())
            layers += [nn.Linear(*W.shape), nn.ReLU() if job.activation == "relu" else nn.Sigmoid()]
    return nn.Sequential(*(layers[:-1] if job.loss == "softmax" else layers))


class Contender:
    """The usual training loop. `form`: SGD as it comes or its fused version; the order of images in memory."""

    def __init__(self, job: Job, what: Material, form: str) -> None:
        if threads_given():
            torch.set_num_threads(threads_given())
        self.job, self.params = job, what.params
        order = torch.channels_last if "channels_last" in form else torch.contiguous_format
        self.net = network(job, what.params).to(memory_format=order)
        self.reset()
        self.x = torch.from_numpy(what.x)
        if self.x.ndim == 4:
            self.x = self.x.contiguous(memory_format=order)
        if job.loss == "softmax":
            self.t = torch.from_numpy(what.labels.astype(np.int64))
        else:
            self.t = torch.from_numpy(one_hot(what.labels, job.classes))
        self.sgd = torch.optim.SGD(self.net.parameters(), lr=job.lr, **({"fused": True} if "fused" in form else {}))

    def reset(self) -> None:
        with torch.no_grad():
            for parameter, value in zip(self.net.parameters(), self.params, strict=True):
                # a Linear's weight is (M, D)
                parameter.copy_(torch.from_numpy(value.T if value.ndim == 2 else value))

    def train(self, steps: int) -> None:
        rows = steps * self.job.batch
        batches = zip(self.x[:rows].split(self.job.batch), self.t[:rows].split(self.job.batch), strict=True)
        for x, t in batches:
            self.step(x, t)

    def run(self, seed: int, steps: int) -> None:
        if self.job.kind == "step":
            self.train(steps)
        elif self.job.kind == "epoch":
            self.epoch(seed, steps)
        else:
            with torch.inference_mode():
                for x in self.x[:steps].split(1):
                    self.net(x).softmax(1)

    def values(self) -> list[float]:
        with torch.no_grad():
            if self.job.kind == "predict":
                return self.net(self.x[: steps_to_check(self.job)]).softmax(1).reshape(-1).tolist()
            return [float(self.cost(self.x[: self.job.batch], self.t[: self.job.batch]))]

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__}

    def cost(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The loss of a batch."""
        y = self.net(x)
        if self.job.loss == "softmax":
            return functional.cross_entropy(y, t)
        return functional.mse_loss(y, t, reduction="sum") / (2 * len(x))

    def step(self, x: torch.Tensor, t: torch.Tensor) -> None:
        """Forward, backward, update."""
        self.sgd.zero_grad()
        self.cost(x, t).backward()
        self.sgd.step()

    def epoch(self, seed: int, steps: int) -> None:
        """Shuffles, and gathers each batch."""
        order = torch.randperm(steps * self.job.batch, generator=torch.Generator().manual_seed(seed))
        for rows in order.split(self.job.batch):
            self.step(self.x.index_select(0, rows), self.t.index_select(0, rows))
