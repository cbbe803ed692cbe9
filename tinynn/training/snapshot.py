"""All that a step of training changes, as it was at one moment."""

from __future__ import annotations

from typing import Any

from tinynn.network import Network

__all__ = ["Snapshot"]


class Snapshot:
    """`restore()` puts back parameters, states and what the optimizer remembers: whoever trains on goes on from there.

    `network`: host copies by name. `optimizer`: what its `state()` returned; None for one that has no such method, and
    is then left as it is.
    """

    def __init__(self, net: Network, optimizer: Any, network: Any = None, remembered: Any = None) -> None:
        self.net, self.to = net, optimizer
        self.network = net.storage.arrays() if network is None else network
        self.optimizer = remembered
        if network is None and callable(getattr(optimizer, "load_state", None)):
            self.optimizer = optimizer.state()

    def restore(self) -> None:
        """In place, so that what was recorded of a step is still true."""
        self.net.storage.assign(self.network, where="fit")
        if self.optimizer is not None:
            self.to.load_state(self.optimizer)
