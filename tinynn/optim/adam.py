"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

import math
from collections.abc import Callable

from tinynn.backend import Ops
from tinynn.network.storage import Storage
from tinynn.optim.optimizer import Optimizer
from tinynn.optim.settings import Setting

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """W <- W - lr m^ / (sqrt(v^) + eps), with m^ and v^ the running means of g and g^2.

    g = dW + l2 W; m <- beta1 m + (1 - beta1) g and m^ = m / (1 - beta1^t); v <- beta2 v + (1 - beta2) g^2 and
    v^ = v / (1 - beta2^t); t = 1, 2, ... counts the steps. L2 acts on weights, not on biases.
    `lr` > 0 may be a schedule; `beta1`, `beta2` in [0, 1); `eps` >= 1e-30; `l2` >= 0. All may be changed between steps.
    `clip_norm`, `clip_value`: see `Optimizer`. scikit-learn, and the paper's faster form, add eps to sqrt(v) instead of
    sqrt(v^): theirs is larger by 1 / sqrt(1 - beta2^t) than the same eps here.
    Errors: ConfigurationError, also on a change.
    Source: Kingma, Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1.
    """

    straight = True
    steady = False  # the corrections for the bias change from step to step
    vectors = ("m", "v")
    beta1 = Setting("decay of the mean", "0.9", least=0, below=1)
    beta2 = Setting("decay of the mean square", "0.999", least=0, below=1)
    eps = Setting("summand", "1e-8", least=1e-30)  # float32 takes 1e-50 for 0
    l2 = Setting("weight decay", "1e-4", least=0)

    def __init__(
        self,
        lr: float | Callable[[int], float] = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        l2: float = 0.0,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(lr, clip_norm=clip_norm, clip_value=clip_value)
        self.beta1, self.beta2, self.eps, self.l2 = beta1, beta2, eps, l2

    def update(self, ops: Ops, storage: Storage, lr: float) -> None:
        """The two corrections, which are numbers, are taken into lr and eps: one division an element, not three."""
        adam(self, ops, storage, lr, self.l2, 0.0)


class AdamW(Optimizer):
    """W <- W - lr (m^ / (sqrt(v^) + eps) + weight_decay W), with m^ and v^ as in Adam but without L2.

    The decay is that of the weights themselves and not divided by sqrt(v^), as L2 in Adam is. It acts on the parameters
    that their layers declare as decayed: weights, not biases. PyTorch's AdamW is the same, but decays biases too.
    `weight_decay` >= 0; the others as in Adam.
    Errors: ConfigurationError, also on a change.
    Source: Loshchilov, Hutter, "Decoupled Weight Decay Regularization", 2019; its alpha = lr, lambda eta = lr
    weight_decay.
    """

    straight = True
    steady = False  # the corrections for the bias change from step to step
    vectors = ("m", "v")
    beta1, beta2, eps = Adam.beta1, Adam.beta2, Adam.eps
    weight_decay = Setting("decay of the weights", "0.01", least=0)

    def __init__(
        self,
        lr: float | Callable[[int], float] = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(lr, clip_norm=clip_norm, clip_value=clip_value)
        self.beta1, self.beta2, self.eps, self.weight_decay = beta1, beta2, eps, weight_decay

    def update(self, ops: Ops, storage: Storage, lr: float) -> None:
        """As in Adam, and lr * weight_decay of every decayed parameter is taken away."""
        adam(self, ops, storage, lr, 0.0, lr * self.weight_decay)


def adam(self: Adam | AdamW, ops: Ops, storage: Storage, lr: float, l2: float, shrink: float) -> None:
    """One step of either: lr m^ / (sqrt(v^) + eps) = rate m / (sqrt(v) + small)."""
    t = self.steps_taken + 1
    root = math.sqrt(1 - self.beta2**t)
    rate, small = lr * root / (1 - self.beta1**t), self.eps * root
    m, v, decayed, work = self.vector("m"), self.vector("v"), storage.decayed, storage.work
    ops.adam_update(storage.params, storage.grads, m, v, rate, self.beta1, self.beta2, small, l2, shrink, decayed, work)
