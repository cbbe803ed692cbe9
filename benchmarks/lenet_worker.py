"""One side of the comparison in `lenet_step`, in a process of its own: makes steps on one batch when it is asked to.

Requests, one JSON object a line, and what is answered:

    {"steps": 20}     {"seconds": [...]}, one number a step: forward, backward, update
    {"check": 5}      {"losses": [...]}: of the batch before each of these steps and after the last

It ends with its input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np

__all__ = ["LR", "Ours", "PyTorch", "Side", "answer", "main"]

LR = 0.01


class Side(Protocol):
    """What a library must be able to do."""

    def loss(self) -> float: ...

    def step(self) -> None: ...

    def versions(self) -> dict[str, str]: ...


class Ours:
    """tinynn: the network by hand, without `fit`, as the other side is without a training loop of its own."""

    def __init__(self, batch: dict[str, np.ndarray], form: str) -> None:
        import tinynn as tn

        W = [batch[f"W{i}"] for i in range(4)]
        self.x, self.t = batch["x"], batch["t"]
        self.net = tn.Sequential(
            tn.Conv2D(16, 5, W=W[0]),
            tn.ReLU(),
            tn.MaxPool2D(2),
            tn.Conv2D(32, 5, W=W[1]),
            tn.ReLU(),
            tn.MaxPool2D(2),
            tn.Affine(128, W=W[2]),
            tn.ReLU(),
            tn.Affine(10, W=W[3]),
            tn.SoftmaxCrossEntropy(),
        ).build(self.x.shape[1:])
        self.sgd = tn.SGD(LR)
        self.version = tn.__version__

    def loss(self) -> float:
        return self.net.loss(self.x, self.t)

    def step(self) -> None:
        _, cache = self.net.forward(self.x, self.t)
        self.net.backward(1.0, cache)
        self.sgd.step(self.net)

    def versions(self) -> dict[str, str]:
        return {"tinynn": self.version, "numpy": np.__version__}


class PyTorch:
    """PyTorch eager. `form`: the order of images in memory, contiguous or channels_last."""

    def __init__(self, batch: dict[str, np.ndarray], form: str) -> None:
        import torch  # pyright: ignore[reportMissingImports]
        from torch import nn  # pyright: ignore[reportMissingImports]

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.torch, self.cost = torch, nn.functional.cross_entropy
        self.net = nn.Sequential(
            nn.Conv2d(1, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(512, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )
        with torch.no_grad():
            for i, weight in enumerate(p for name, p in self.net.named_parameters() if name.endswith("weight")):
                W = batch[f"W{i}"]
                weight.copy_(torch.from_numpy(W if W.ndim == 4 else W.T))  # a Linear's weight is (M, D)
            for bias in (p for name, p in self.net.named_parameters() if name.endswith("bias")):
                bias.zero_()
        order = getattr(torch, form)
        self.net = self.net.to(memory_format=order)
        self.x = torch.from_numpy(batch["x"]).contiguous(memory_format=order)
        self.t = torch.from_numpy(batch["t"])
        self.sgd = torch.optim.SGD(self.net.parameters(), lr=LR)

    def loss(self) -> float:
        with self.torch.no_grad():
            return float(self.cost(self.net(self.x), self.t))

    def step(self) -> None:
        self.sgd.zero_grad()
        self.cost(self.net(self.x), self.t).backward()
        self.sgd.step()

    def versions(self) -> dict[str, str]:
        return {"torch": self.torch.__version__}


SIDES = {"tinynn": Ours, "torch": PyTorch}


def answer(side: Side, request: dict[str, Any]) -> dict[str, list[float]]:
    """Does what one request asks for."""
    if "check" in request:
        losses = [side.loss()]
        for _ in range(request["check"]):
            side.step()
            losses.append(side.loss())
        return {"losses": losses}
    seconds = []
    for _ in range(request["steps"]):
        started = time.perf_counter()
        side.step()
        seconds.append(time.perf_counter() - started)
    return {"seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("file", type=Path, help="an .npz file of x (64, 1, 28, 28), t (64,), W0 W1 W2 W3")
    parser.add_argument("--form", default="")
    args = parser.parse_args()

    # The answers go out by a descriptor of their own, so that a library that prints cannot spoil them.
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)
        side = SIDES[args.side](dict(np.load(args.file)), args.form)
        print(json.dumps({"versions": side.versions()}), file=out, flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(side, json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main()
