"""The same mathematics in NumPy, written out flat: no layers, no checks, `out=` everywhere. What a framework costs.

All arrays have their places before the first step, so a step is a list of calls with their arguments bound; only the
batch changes. The loss is computed too, as tinynn does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.contenders import one_hot
from benchmarks.jobs import Job
from benchmarks.material import Material
from benchmarks.reference import steps_to_check

__all__ = ["Contender"]

GATHERED = 120  # rows gathered in one call, at most, in the form that gathers for several batches
BLOCK = 16_384  # parameters updated at a time, which the cache holds

Calls = list[Callable[[], object]]

total: Any = np.add.reduce
largest: Any = np.maximum.reduce


class Contender:
    """A dense network by hand, its parameters and gradients views of two flat vectors."""

    def __init__(self, job: Job, what: Material, form: str) -> None:
        self.job, self.x, self.t = job, what.x, one_hot(what.labels, job.classes)
        self.batches = max(1, GATHERED // job.batch) if "several" in form else 1
        self.start = np.concatenate([p.reshape(-1) for p in what.params])
        self.flat, self.dflat = self.start.copy(), np.empty_like(self.start)
        self.params = views(self.flat, what.params)
        grads = views(self.dflat, what.params)
        self.a = [np.empty((job.batch, width), np.float32) for width in job.widths[1:]]
        self.da = [np.empty_like(a) for a in self.a]
        self.dW1 = grads[0]
        self.sums, self.largest = (np.empty((job.batch, 1), np.float32) for _ in range(2))
        self.squares = self.da[-1].reshape(-1)
        self.forward = self._forward()
        self.backward = self._backward(grads)
        self.total = np.float32(0)

    def reset(self) -> None:
        self.flat[...] = self.start

    def train(self, steps: int) -> None:
        B, x, t, step = self.job.batch, self.x, self.t, self._step
        with np.errstate(over="ignore"):
            for i in range(0, steps * B, B):
                step(x[i : i + B], t[i : i + B])

    def run(self, seed: int, steps: int) -> None:
        if self.job.kind == "step":
            self.train(steps)
        elif self.job.kind == "epoch":
            self._epoch(np.random.default_rng(seed).permutation(steps * self.job.batch))
        else:
            for i in range(steps):
                self._predict(self.x[i : i + 1])

    def values(self) -> list[float]:
        B = self.job.batch
        with np.errstate(over="ignore"):
            if self.job.kind == "predict":
                rows = range(steps_to_check(self.job))
                return [float(p) for i in rows for p in self._predict(self.x[i : i + 1])[0]]
            y, t = self._predict(self.x[:B]), self.t[:B]
        if self.job.loss == "softmax":
            return [float(-np.log((y * t).sum(axis=1)).mean())]
        return [float(np.sum((y - t) ** 2)) / (2 * B)]

    def versions(self) -> dict[str, str]:
        return {"numpy": np.__version__}

    def _predict(self, x: np.ndarray) -> np.ndarray:
        y = self.a[-1]
        np.dot(x, self.params[0], self.a[0])
        for call in self.forward:
            call()
        if self.job.loss == "quadratic":
            return y
        np.divide(y, self.sums, y)
        return y

    def _epoch(self, order: np.ndarray) -> None:
        B, step = self.job.batch, self._step
        rows = self.batches * B
        xs = np.empty((rows, *self.x.shape[1:]), np.float32)
        ts = np.empty((rows, self.job.classes), np.float32)
        with np.errstate(over="ignore"):
            for first in range(0, len(order), rows):
                some = order[first : first + rows]
                self.x.take(some, axis=0, out=xs[: len(some)], mode="clip")
                self.t.take(some, axis=0, out=ts[: len(some)], mode="clip")
                for i in range(0, len(some), B):
                    step(xs[i : i + B], ts[i : i + B])

    def _step(self, x: np.ndarray, t: np.ndarray) -> None:
        y, dy = self.a[-1], self.da[-1]
        np.dot(x, self.params[0], self.a[0])
        for call in self.forward:
            call()
        if self.job.loss == "quadratic":
            np.subtract(y, t, dy)
            self.total = np.dot(self.squares, self.squares)
        else:
            np.divide(y, self.sums, y)  # y held exp(z)
            self.total = -np.log(np.einsum("nc,nc->n", y, t)).sum()
            np.subtract(y, t, dy)
        for call in self.backward:
            call()
        np.dot(x.T, self.da[0], self.dW1)
        for call in self.update:
            call()

    def _forward(self) -> Calls:
        """All but the first product: bias and activation of each layer; before a softmax, exp(z) and its sums."""
        calls: Calls = []
        last = len(self.a) - 1
        for layer, a in enumerate(self.a):
            W, b = self.params[2 * layer : 2 * layer + 2]
            if layer:
                calls.append(partial(np.dot, self.a[layer - 1], W, a))
            calls.append(partial(np.add, a, b, a))
            if layer == last and self.job.loss == "softmax":
                calls += [
                    partial(largest, a, axis=1, out=self.largest, keepdims=True),
                    partial(np.subtract, a, self.largest, a),
                    partial(np.exp, a, a),
                    partial(total, a, axis=1, out=self.sums, keepdims=True),
                ]
            elif layer < last and self.job.activation == "relu":
                calls.append(partial(np.maximum, a, np.zeros_like(a), out=a))
            else:  # 1 / (1 + exp(-z)); where exp overflows that is 0, as it should be; callers silence it
                calls += [partial(np.negative, a, a), partial(np.exp, a, a)]
                calls += [partial(np.add, a, np.float32(1), a), partial(np.divide, np.float32(1), a, a)]
        return calls

    def _backward(self, grads: list[np.ndarray]) -> Calls:
        """From dy = y - t to all gradients but dW of the first layer; and the update in blocks, apart."""
        calls: Calls = [partial(np.multiply, self.da[-1], np.float32(1 / self.job.batch), self.da[-1])]
        last = len(self.a) - 1
        for layer in reversed(range(last + 1)):
            a, da = self.a[layer], self.da[layer]
            work = np.empty_like(a)
            if layer < last and self.job.activation == "relu":
                calls.append(partial(np.greater, a, np.float32(0), work, casting="unsafe"))
                calls.append(partial(np.multiply, da, work, da))
            elif layer < last or self.job.loss == "quadratic":
                calls += [partial(np.subtract, np.float32(1), a, work), partial(np.multiply, work, a, work)]
                calls.append(partial(np.multiply, da, work, da))
            calls.append(partial(total, da, axis=0, out=grads[2 * layer + 1]))
            if layer:
                calls.append(partial(np.dot, self.a[layer - 1].T, da, grads[2 * layer]))
                calls.append(partial(np.dot, da, self.params[2 * layer].T, self.da[layer - 1]))
        self.update: Calls = []
        work = np.empty(BLOCK, np.float32)
        for first in range(0, len(self.flat), BLOCK):
            p, g = self.flat[first : first + BLOCK], self.dflat[first : first + BLOCK]
            self.update.append(partial(np.multiply, g, np.float32(self.job.lr), work[: len(p)]))
            self.update.append(partial(np.subtract, p, work[: len(p)], p))
        return calls


def views(flat: np.ndarray, params: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Parts of a vector, in the shapes of `params`."""
    ends = np.cumsum([p.size for p in params])[:-1]
    return [part.reshape(p.shape) for part, p in zip(np.split(flat, ends), params, strict=True)]
