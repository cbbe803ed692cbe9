"""tinynn by its public interface: `fit` and `predict`, with all that they do for a user, checks and history included.

Steps and epochs alike are one call of `fit(..., epochs=1)`, which shuffles, gathers, and counts loss and accuracy. Of
an epoch the time of the whole call is taken; of steps the time of the loop, as the history has it: the other contenders
are not timed while they make their batches ready either.
"""

from __future__ import annotations

import numpy as np

import tinynn
from benchmarks.jobs import Job
from benchmarks.material import Material
from benchmarks.reference import steps_to_check
from tinynn import (
    SGD,
    Affine,
    Conv2D,
    MaxPool2D,
    QuadraticCost,
    ReLU,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    fit,
)
from tinynn.layer import Layer
from tinynn.random import generator

__all__ = ["Contender", "layers"]


def layers(job: Job, params: tuple[np.ndarray, ...]) -> list[Layer]:
    """The job's network, the loss included."""
    pairs = list(zip(params[::2], params[1::2], strict=True))
    made: list[Layer] = []
    for W, b in pairs:
        if W.ndim == 4:
            made += [Conv2D(len(W), W.shape[2:], W=W, b=b), ReLU(), MaxPool2D(2)]
        else:
            made += [Affine(W.shape[1], W=W, b=b), ReLU() if job.activation == "relu" else Sigmoid()]
    if job.loss == "softmax":
        return [*made[:-1], SoftmaxCrossEntropy()]
    return [*made, QuadraticCost()]


class Contender:
    """`backend`: that of the network.

    `seconds`: of the last call of `fit`, by its history, where the job is steps; None where the caller's count.
    """

    backend = "numpy"

    def __init__(self, job: Job, what: Material, form: str) -> None:
        self.job, self.x, self.labels = job, what.x, what.labels
        self.net = Sequential(*layers(job, what.params)).build(job.inputs, backend=self.backend, dtype="float32")
        self.sgd = SGD(job.lr)
        self.start = self.net.storage.params.copy()
        self.seconds: float | None = None

    def reset(self) -> None:
        self.net.storage.params[...] = self.start

    def train(self, steps: int) -> None:
        # `fit` chooses the order; so the rows are laid out such that it meets them in the order that is wanted.
        rows = steps * self.job.batch
        order = generator(0, "shuffle", 0).permutation(rows)
        laid_out = np.argsort(order)
        self._fit(self.x[:rows][laid_out], self.labels[:rows][laid_out], 0)

    def run(self, seed: int, steps: int) -> None:
        if self.job.kind == "predict":
            predict, x = self.net.predict, self.x
            for i in range(steps):
                predict(x[i : i + 1])
            return
        rows = steps * self.job.batch
        seconds = self._fit(self.x[:rows], self.labels[:rows], seed)
        self.seconds = seconds if self.job.kind == "step" else None

    def values(self) -> list[float]:
        if self.job.kind == "predict":
            return [float(p) for p in self.net.predict(self.x[: steps_to_check(self.job)]).reshape(-1)]
        B = self.job.batch
        return [self.net.loss(self.x[:B], self.labels[:B])]

    def versions(self) -> dict[str, str]:
        return {"tinynn": tinynn.__version__, "numpy": np.__version__}

    def _fit(self, x: np.ndarray, labels: np.ndarray, seed: int) -> float:
        data = x, labels
        return fit(self.net, self.sgd, data, epochs=1, batch_size=self.job.batch, seed=seed, progress=False).seconds[0]
