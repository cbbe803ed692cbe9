"""The algorithm of network.py in Nielsen's book: one example at a time, column vectors, gradients added up in lists.

Written anew after chapter 1 of "Neural Networks and Deep Learning"; in float32, as the others.
"""

from __future__ import annotations

import numpy as np

from benchmarks.contenders import one_hot
from benchmarks.jobs import Job
from benchmarks.material import Material

__all__ = ["Contender"]


class Contender:
    """Weights (M, D) and biases (M, 1); an example is a pair of columns (784, 1) and (10, 1)."""

    def __init__(self, job: Job, what: Material, form: str) -> None:
        self.job, self.params = job, what.params
        columns = one_hot(what.labels, job.classes)[:, :, None]
        self.examples = list(zip(what.x[:, :, None], columns, strict=True))
        self.reset()

    def reset(self) -> None:
        self.weights = [np.ascontiguousarray(W.T) for W in self.params[::2]]
        self.biases = [b[:, None].copy() for b in self.params[1::2]]

    @np.errstate(over="ignore")
    def train(self, steps: int) -> None:
        for first in range(0, steps * self.job.batch, self.job.batch):
            self.step(self.examples[first : first + self.job.batch])

    @np.errstate(over="ignore")
    def run(self, seed: int, steps: int) -> None:
        order = np.random.default_rng(seed).permutation(steps * self.job.batch)
        for rows in order.reshape(-1, self.job.batch):
            self.step([self.examples[row] for row in rows])

    @np.errstate(over="ignore")
    def values(self) -> list[float]:
        batch = self.examples[: self.job.batch]
        costs = [float(((self.feedforward(x)[-1] - t) ** 2).sum()) for x, t in batch]
        return [sum(costs) / (2 * len(batch))]

    def versions(self) -> dict[str, str]:
        return {"numpy": np.__version__}

    def feedforward(self, x: np.ndarray) -> list[np.ndarray]:
        """The input and every layer's output."""
        activations = [x]
        for W, b in zip(self.weights, self.biases, strict=True):
            activations.append(sigmoid(np.dot(W, activations[-1]) + b))
        return activations

    def step(self, batch: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """Gradient descent on the sum over the examples."""
        dW = [np.zeros_like(W) for W in self.weights]
        db = [np.zeros_like(b) for b in self.biases]
        for x, t in batch:
            own_db, own_dW = self.backprop(x, t)
            db = [total + own for total, own in zip(db, own_db, strict=True)]
            dW = [total + own for total, own in zip(dW, own_dW, strict=True)]
        rate = np.float32(self.job.lr / len(batch))
        self.weights = [W - rate * g for W, g in zip(self.weights, dW, strict=True)]
        self.biases = [b - rate * g for b, g in zip(self.biases, db, strict=True)]

    def backprop(self, x: np.ndarray, t: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """One example's gradients, of the biases and of the weights."""
        activations = self.feedforward(x)
        y = activations[-1]
        delta = (y - t) * y * (1 - y)
        db, dW = [delta], [np.dot(delta, activations[-2].T)]
        for W, a, before in zip(self.weights[:0:-1], activations[-2:0:-1], activations[-3::-1], strict=True):
            delta = np.dot(W.T, delta) * a * (1 - a)
            db.insert(0, delta)
            dW.insert(0, np.dot(delta, before.T))
        return db, dW


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))
