"""The solvers `sgd` and `adam`: scikit-learn's L2, its epsilon, and its velocity when the learning rate changes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinynn.backend import Ops
from tinynn.network import Network
from tinynn.network.storage import Storage
from tinynn.optim import Optimizer

__all__ = ["AdamSolver", "SGDSolver", "Solver", "squares"]


class Solver(Optimizer):
    """A step along K dW + alpha W / w, w being the number of the step's rows, or the sum of their weights.

    So the decay of a smaller last batch is stronger. K = `factor`: what the gradient of scikit-learn's loss is, as a
    multiple of that of tinynn's. `begin` says how much each batch of the coming epoch weighs.
    """

    def __init__(self, lr: float, alpha: float = 0.0, factor: float = 1.0) -> None:
        super().__init__(lr)
        self.alpha, self.factor = alpha, factor
        self.first, self.totals, self.shares, self.even = 0, [1.0], [1.0], True
        self.seen, self.sum, self.before = 0, 0.0, 0.0

    def begin(self, net: Network, sizes: np.ndarray, totals: np.ndarray) -> None:
        """A new epoch: how many rows its batches have, and how much they weigh."""
        self.first, self.totals = self.steps_taken, totals.tolist()
        self.even = bool((totals == sizes).all())
        self.shares = [n / w if w else 0.0 for n, w in zip(sizes.tolist(), self.totals, strict=True)]
        self.seen, self.sum, self.before = 0, 0.0, squares(net)

    @property
    def place(self) -> int:
        """Which step of the epoch comes next; the last one if none does."""
        return min(self.steps_taken - self.first, len(self.totals) - 1)

    @property
    def l2(self) -> float:
        """What the next step adds to dW, as a multiple of W."""
        total = self.totals[self.place]
        return self.alpha / (total * self.factor) if total else 0.0

    def ask(self, verb: Callable[..., Any], *args: Any) -> None:
        """Calls a verb of the backend, whose last argument is `work`.

        Where rows have weights l2 is another number in each step, which no graph of a GPU can hold. A call with a
        keyword is one that `fit` makes step by step.
        """
        if self.even:
            verb(*args)
        else:
            verb(*args[:-1], work=args[-1])

    def step(self, net: Network) -> None:
        if self.alpha:
            self.seen += 1
            self.sum += self.shares[self.place] * squares(net)
        super().step(net)

    def penalty(self, net: Network) -> float:
        """The mean over the epoch's steps of alpha |W|^2 / 2w, n times, n being the step's rows.

        Where a backend made many steps in one call, |W|^2 is the mean of those before and after the epoch.
        """
        if self.seen == len(self.totals):
            return self.alpha * self.sum / 2
        return self.alpha * sum(self.shares) * (self.before + squares(net)) / 4

    def change(self, lr: float) -> None:
        """Another learning rate from the next step on."""
        self.lr = lr


class SGDSolver(Solver):
    """v <- momentum v - lr g; W <- W + v, or with `nesterov` W <- W + momentum v - lr g; g = K dW + alpha W / w.

    The velocity kept here is -v / lr, as in tinynn's SGD, so it is rescaled where the learning rate changes.
    """

    straight = True
    vectors = ("velocity",)

    def __init__(
        self, lr: float, alpha: float = 0.0, factor: float = 1.0, momentum: float = 0.9, nesterov: bool = True
    ) -> None:
        super().__init__(lr, alpha, factor)
        self.momentum, self.nesterov = momentum, nesterov

    def update(self, ops: Ops, storage: Storage, lr: float) -> None:
        params, grads, decayed, work = storage.params, storage.grads, storage.decayed, storage.work
        rate = lr * self.factor
        if self.momentum:
            how = self.momentum, self.nesterov, self.l2
            self.ask(ops.momentum_update, params, grads, self.vector("velocity"), rate, *how, decayed, work)
        else:
            self.ask(ops.sgd_update, params, grads, rate, self.l2, decayed, work)

    def change(self, lr: float) -> None:
        for velocity in self._vectors.values():
            velocity *= self.lr / lr
        super().change(lr)


class AdamSolver(Solver):
    """W <- W - lr c m / (sqrt(v) + epsilon), c = sqrt(1 - beta_2^t) / (1 - beta_1^t), of g = K dW + alpha W / w.

    m <- beta_1 m + (1 - beta_1) g, v <- beta_2 v + (1 - beta_2) g^2. tinynn's Adam adds its eps to the corrected root,
    so that the same number means less in its first steps.
    """

    straight = True
    steady = False
    vectors = ("m", "v")

    def __init__(
        self,
        lr: float,
        alpha: float = 0.0,
        factor: float = 1.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(lr, alpha, factor)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def update(self, ops: Ops, storage: Storage, lr: float) -> None:
        t = self.steps_taken + 1
        rate, eps = lr * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t), self.epsilon / self.factor
        vectors = storage.params, storage.grads, self.vector("m"), self.vector("v")
        numbers = rate, self.beta_1, self.beta_2, eps, self.l2, 0.0
        self.ask(ops.adam_update, *vectors, *numbers, storage.decayed, storage.work)


def squares(net: Network) -> float:
    """|W|^2: the sum of the squares of all that decays."""
    storage, ops = net.storage, net.ops
    W: Any = storage.params[: storage.decayed]
    return float(ops.to_host(ops.square_sum(W, out=ops.xp.empty((), W.dtype)))) if W.size else 0.0
