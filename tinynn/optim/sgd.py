"""Stochastic gradient descent, with and without momentum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinynn.backend import Ops
from tinynn.errors import ConfigurationError
from tinynn.network.storage import Storage
from tinynn.optim.optimizer import Optimizer
from tinynn.optim.settings import Setting

__all__ = ["SGD"]


class SGD(Optimizer):
    """W <- W - lr (dW + l2 W); b <- b - lr db.

    `lr` > 0: the learning rate, eta in Nielsen's book. `l2` >= 0: the strength of weight decay, lambda / n there,
    alpha / N in scikit-learn; it acts on the parameters that their layers declare as decayed: weights, not biases.
    `momentum` in [0, 1): with g for the bracket, v <- momentum v + g and W <- W - lr v, v being 0 at first;
    `nesterov`: W <- W - lr (g + momentum v) with the new v. PyTorch and scikit-learn have the same form. Nesterov's own
    takes the gradient at W - lr momentum v, the place where the velocity leads; that place is what is called W here.
    All may be changed between steps. `lr` may be a schedule; `clip_norm`, `clip_value`: see `Optimizer`.
    Errors: ConfigurationError, also on a change.
    Source: Robbins, Monro, "A Stochastic Approximation Method", 1951; Nielsen, equation (95); Sutskever, Martens, Dahl,
    Hinton, "On the importance of initialization and momentum in deep learning", 2013.
    """

    straight = True
    vectors = ("velocity",)
    l2 = Setting("weight decay", "1e-4", least=0)
    momentum = Setting("momentum", "0.9", least=0, below=1)

    def __init__(
        self,
        lr: float | Callable[[int], float],
        l2: float = 0.0,
        momentum: float = 0.0,
        nesterov: bool = False,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(lr, clip_norm=clip_norm, clip_value=clip_value)
        self.l2 = l2
        self.momentum = momentum
        self.nesterov = nesterov

    @property
    def nesterov(self) -> bool:
        """Whether the step looks ahead by the momentum."""
        return self._nesterov

    @nesterov.setter
    def nesterov(self, nesterov: Any) -> None:
        if not isinstance(nesterov, bool) or (nesterov and not self.momentum):
            raise ConfigurationError(
                "nesterov is True or False, and True needs a momentum",
                where="SGD",
                expected="True with a momentum > 0, or False",
                got=f"{nesterov!r} with momentum={self.momentum:g}",
                fix="SGD(lr=0.1, momentum=0.9, nesterov=True)",
            )
        self._nesterov = nesterov

    def update(self, ops: Ops, storage: Storage, lr: float) -> None:
        """One pass without momentum; with it, or with a velocity from before it was set to 0, the velocity too."""
        params, grads, l2, decayed, work = storage.params, storage.grads, self.l2, storage.decayed, storage.work
        if self.momentum or self._vectors:
            velocity = self.vector("velocity")
            ops.momentum_update(params, grads, velocity, lr, self.momentum, self.nesterov, l2, decayed, work)
        else:
            ops.sgd_update(params, grads, lr, l2, decayed, work)
