"""RMSProp and Adagrad: each step divided, element by element, by how large the gradients have been."""

from __future__ import annotations

from collections.abc import Callable

from tinynn.backend import Ops
from tinynn.network.storage import Storage
from tinynn.optim.optimizer import Optimizer
from tinynn.optim.settings import Setting

__all__ = ["Adagrad", "RMSProp"]


class RMSProp(Optimizer):
    """W <- W - lr g / (sqrt(s) + eps), with s the running mean of g^2 and g = dW + l2 W.

    s <- rho s + (1 - rho) g^2, s being 0 at first. `lr` > 0 may be a schedule; `rho` in [0, 1); `eps` >= 1e-30;
    `l2` >= 0 acts on weights, not on biases. All may be changed between steps. `clip_norm`, `clip_value`: see
    `Optimizer`. PyTorch has the same form.
    Errors: ConfigurationError, also on a change.
    Source: Tieleman, Hinton, "Neural Networks for Machine Learning", lecture 6.5, 2012.
    """

    straight = True
    vectors = ("squares",)
    rho = Setting("decay of the mean square", "0.9", least=0, below=1)
    eps = Setting("summand", "1e-8", least=1e-30)  # float32 takes 1e-50 for 0
    l2 = Setting("weight decay", "1e-4", least=0)

    def __init__(
        self,
        lr: float | Callable[[int], float] = 1e-3,
        rho: float = 0.9,
        eps: float = 1e-8,
        l2: float = 0.0,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(lr, clip_norm=clip_norm, clip_value=clip_value)
        self.rho, self.eps, self.l2 = rho, eps, l2

    def update(self, ops: Ops, storage: Storage, lr: float) -> None:
        """The mean of the squares moves by 1 - rho of the way to the newest."""
        params, grads, decayed, work = storage.params, storage.grads, storage.decayed, storage.work
        squares = self.vector("squares")
        ops.scaled_update(params, grads, squares, lr, self.rho, 1 - self.rho, self.eps, self.l2, decayed, work)


class Adagrad(Optimizer):
    """W <- W - lr g / (sqrt(s) + eps), with s the sum of g^2 over all steps so far and g = dW + l2 W.

    `lr` > 0 may be a schedule; `eps` >= 1e-30; `l2` >= 0 acts on weights, not on biases. All may be changed between
    steps. `clip_norm`, `clip_value`: see `Optimizer`.
    Errors: ConfigurationError, also on a change.
    Source: Duchi, Hazan, Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", 2011.
    """

    straight = True
    vectors = ("squares",)
    eps = Setting("summand", "1e-8", least=1e-30)  # float32 takes 1e-50 for 0
    l2 = Setting("weight decay", "1e-4", least=0)

    def __init__(
        self,
        lr: float | Callable[[int], float] = 1e-2,
        eps: float = 1e-8,
        l2: float = 0.0,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(lr, clip_norm=clip_norm, clip_value=clip_value)
        self.eps, self.l2 = eps, l2

    def update(self, ops: Ops, storage: Storage, lr: float) -> None:
        """The sum of the squares grows by the newest, and is never forgotten."""
        params, grads, decayed, work = storage.params, storage.grads, storage.decayed, storage.work
        ops.scaled_update(params, grads, self.vector("squares"), lr, 1.0, 1.0, self.eps, self.l2, decayed, work)
