"""The same mathematics in NumPy, written out flat: no layers, no checks, `out=` everywhere. What a framework costs."""

from __future__ import annotations

import numpy as np

from benchmarks.contenders import BATCH, ETA, one_hot

__all__ = ["Contender"]

GATHER = 12  # batches gathered in one call


class Contender:
    """784-30-10 by hand, its parameters and gradients views of two flat vectors."""

    def __init__(self, x: np.ndarray, labels: np.ndarray, params: list[np.ndarray], form: str) -> None:
        self.x, self.t = x, one_hot(labels)
        size = sum(p.size for p in params)
        self.flat, self.dflat, self.work = (np.empty(size, np.float32) for _ in range(3))
        self.params, self.grads = [], []
        start = 0
        for p in params:
            stop = start + p.size
            self.params.append(self.flat[start:stop].reshape(p.shape))
            self.grads.append(self.dflat[start:stop].reshape(p.shape))
            self.params[-1][...] = p
            start = stop

    def epoch(self, seed: int) -> float:
        return self.train(np.random.default_rng(seed).permutation(len(self.x)).reshape(-1, BATCH))

    @np.errstate(over="ignore")
    def train(self, rows: np.ndarray) -> float:
        W1, b1, W2, b2 = self.params
        dW1, db1, dW2, db2 = self.grads
        flat, dflat, work = self.flat, self.dflat, self.work
        a, da, work_a = (np.empty((BATCH, 30), np.float32) for _ in range(3))
        y, diff, dy, work_y = (np.empty((BATCH, 10), np.float32) for _ in range(4))
        squares = diff.reshape(-1)
        xs = np.empty((GATHER * BATCH, self.x.shape[1]), np.float32)
        ts = np.empty((GATHER * BATCH, 10), np.float32)
        total = 0.0
        for first in range(0, len(rows), GATHER):
            some = rows[first : first + GATHER].reshape(-1)
            self.x.take(some, axis=0, out=xs[: len(some)], mode="clip")
            self.t.take(some, axis=0, out=ts[: len(some)], mode="clip")
            for i in range(0, len(some), BATCH):
                x, t = xs[i : i + BATCH], ts[i : i + BATCH]
                # a = sigmoid(x W1 + b1), y = sigmoid(a W2 + b2), the sigmoid as 1 / (1 + exp(-z))
                np.matmul(x, W1, out=a)
                np.add(a, b1, out=a)
                sigmoid(a)
                np.matmul(a, W2, out=y)
                np.add(y, b2, out=y)
                sigmoid(y)
                np.subtract(y, t, out=diff)
                total += np.dot(squares, squares)
                # dy = (y - t) / n * y (1 - y)
                np.subtract(1, y, out=work_y)
                np.multiply(work_y, y, out=work_y)
                np.multiply(diff, 1 / BATCH, out=dy)
                np.multiply(dy, work_y, out=dy)
                np.matmul(a.T, dy, out=dW2)
                dy.sum(axis=0, out=db2)
                np.matmul(dy, W2.T, out=da)
                np.subtract(1, a, out=work_a)
                np.multiply(work_a, a, out=work_a)
                np.multiply(da, work_a, out=da)
                np.matmul(x.T, da, out=dW1)
                da.sum(axis=0, out=db1)
                np.multiply(dflat, ETA, out=work)
                np.subtract(flat, work, out=flat)
        return float(total) / (2 * BATCH * len(rows))

    @np.errstate(over="ignore")
    def loss(self, rows: np.ndarray) -> float:
        W1, b1, W2, b2 = self.params
        y = sigmoid(sigmoid(self.x[rows] @ W1 + b1) @ W2 + b2)
        return float(np.sum((y - self.t[rows]) ** 2)) / (2 * len(rows))

    def versions(self) -> dict[str, str]:
        return {"numpy": np.__version__}


def sigmoid(z: np.ndarray) -> np.ndarray:
    """Z becomes 1 / (1 + exp(-z)), in place. Where exp overflows that is 0, as it should be; callers silence it."""
    np.negative(z, out=z)
    np.exp(z, out=z)
    np.add(z, 1, out=z)
    return np.divide(1, z, out=z)
