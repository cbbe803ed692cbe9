"""tinynn by its public interface: `fit`, with all that it does for a user, its checks and its history included."""

from __future__ import annotations

import numpy as np

import tinynn
from benchmarks.contenders import BATCH, ETA
from tinynn import SGD, Affine, QuadraticCost, Sequential, Sigmoid, fit
from tinynn.random import generator

__all__ = ["Contender"]


class Contender:
    """One call of `fit(..., epochs=1)` for an epoch. `details`: the seconds that its history has for it."""

    def __init__(self, x: np.ndarray, labels: np.ndarray, params: list[np.ndarray], form: str) -> None:
        W1, b1, W2, b2 = params
        self.x, self.labels = x, labels
        layers = Affine(30, W=W1, b=b1), Sigmoid(), Affine(10, W=W2, b=b2), Sigmoid(), QuadraticCost()
        self.net = Sequential(*layers).build((784,), dtype="float32")
        self.sgd = SGD(ETA)
        self.details: dict[str, float] = {}

    def epoch(self, seed: int) -> float:
        return self._fit(self.x, self.labels, seed)

    def train(self, rows: np.ndarray) -> float:
        # `fit` chooses the order; so the rows are laid out such that it meets them in the order that is wanted.
        wanted = rows.reshape(-1)
        order = generator(0, "shuffle", 0).permutation(len(wanted))
        laid_out = np.empty_like(wanted)
        laid_out[order] = wanted
        return self._fit(self.x[laid_out], self.labels[laid_out], 0)

    def loss(self, rows: np.ndarray) -> float:
        return self.net.loss(self.x[rows], self.labels[rows])

    def versions(self) -> dict[str, str]:
        return {"tinynn": tinynn.__version__, "numpy": np.__version__}

    def _fit(self, x: np.ndarray, labels: np.ndarray, seed: int) -> float:
        history = fit(self.net, self.sgd, (x, labels), epochs=1, batch_size=BATCH, seed=seed, progress=False)
        self.details = {"history_seconds": history.seconds[0]}
        return history.loss[0]
