"""Where a run of training stands: all that changes while it runs, and that it needs to go on from there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinynn.history import History
from tinynn.network import Network
from tinynn.training.order import Order
from tinynn.training.snapshot import Snapshot
from tinynn.training.tally import Tally

__all__ = ["Course"]


class Course:
    """`epoch` and `done`: whole epochs, and the steps of the one that runs; `steps`: all of them.

    `seconds`: that this epoch's training has taken. `before`: as it was when the epoch began. `best`: as it was after
    epoch `best_epoch`, which had the `lowest` validation loss. `order`: of the rows in the latest whole epoch, None
    before one.
    """

    def __init__(self, net: Network, optimizer: Any) -> None:
        self.net, self.optimizer = net, optimizer
        self.history = History()
        self.epoch = self.steps = 0
        self.lowest, self.best_epoch = math.inf, 0
        self.best: Snapshot | None = None
        self.order: np.ndarray | Order | None = None
        self.begin()

    def begin(self) -> None:
        """A new epoch."""
        self.done, self.seconds = 0, 0.0
        self.before = Snapshot(self.net, self.optimizer)
        self.tally = Tally(self.net)

    def end(self, order: np.ndarray | Order) -> None:
        """The epoch, whose rows came in this order, is over; its training is counted."""
        self.order = order
        self.history.loss.append(self.tally.loss())
        self.history.accuracy.append(self.tally.accuracy())
        self.history.seconds.append(self.seconds)
        self.epoch += 1

    def judge(self, loss: float, accuracy: float, patience: int | None) -> None:
        """The validation after an epoch; with none better for `patience` epochs the run has stopped early."""
        self.history.validation_loss.append(loss)
        self.history.validation_accuracy.append(accuracy)
        if patience is None:
            return
        if loss < self.lowest:
            self.lowest, self.best_epoch = loss, self.epoch
            self.best = Snapshot(self.net, self.optimizer)
        if self.best is not None and self.epoch - self.best_epoch >= patience:
            self.history.stopped = "early"

    def tell(self, callbacks: Iterable[Callable[[History], Any]]) -> None:
        """All of them are called with the history; where one returns True, the run has stopped."""
        answers = [callback(self.history) for callback in callbacks]
        if any(answer is True for answer in answers) and self.history.stopped == "finished":
            self.history.stopped = "callback"
