"""Stochastic gradient descent."""

from __future__ import annotations

from tinynn.checks import finite_number
from tinynn.network import Network

__all__ = ["SGD"]


class SGD:
    """W <- W - lr (dW + l2 W); b <- b - lr db.

    `lr` > 0: the learning rate, eta in Nielsen's book. `l2` >= 0: the strength of weight decay, lambda / n there,
    alpha / N in scikit-learn; it acts on the parameters that their layers declare as decayed: weights, not biases.
    Both may be changed between steps.
    Errors: ConfigurationError, also on a change.
    Source: Robbins, Monro, "A Stochastic Approximation Method", 1951; Nielsen, equation (95).
    """

    def __init__(self, lr: float, l2: float = 0.0) -> None:
        self.lr = lr
        self.l2 = l2

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self._lr = finite_number(lr, "the learning rate lr", where="SGD", fix="SGD(lr=0.1)", above=0)

    @property
    def l2(self) -> float:
        """The strength of weight decay."""
        return self._l2

    @l2.setter
    def l2(self, l2: float) -> None:
        self._l2 = finite_number(l2, "the weight decay l2", where="SGD", fix="SGD(lr=0.1, l2=1e-4)", least=0)

    def step(self, net: Network) -> None:
        """Updates every parameter of the network from its gradient."""
        storage = net.storage
        net.ops.sgd_update(storage.params, storage.grads, self.lr, self.l2, storage.decayed, storage.work)

    def __repr__(self) -> str:
        return f"SGD(lr={self.lr:g}, l2={self.l2:g})"
