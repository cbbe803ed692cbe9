"""Loss and accuracy of an epoch, counted while it runs, at about one microsecond a step."""

from __future__ import annotations

from typing import Any

from tinynn.network import Network

__all__ = ["Tally"]

ROWS = 1024


class Tally:
    """Sums losses on the device, and keeps scores until there are enough rows to take their arg-max in one call."""

    def __init__(self, net: Network) -> None:
        self.net, self.xp = net, net.xp
        self.total: Any = self.xp.zeros((), self.xp.float64)
        self.right: Any = self.xp.zeros((), self.xp.int64)
        self.weight: Any = self.xp.zeros((), self.xp.float64)
        self.counted = self.waiting = 0
        self.scores: Any = None
        self.labels: Any = None

    def add(self, loss: Any, scores: Any, *targets: Any) -> None:
        """One batch: its mean loss, and what the loss was given."""
        n, of = len(scores), self.net.final_loss
        assert of is not None
        weight = self.xp.float64(of.total_weight(*targets))  # times an int it would be rounded to float32 once more
        self.total = self.total + loss * weight
        self.weight = self.weight + weight
        if (labels := of.labels(targets[0])) is None:
            return
        if self.scores is None or self.waiting + n > len(self.scores):
            self.count()
            if self.scores is None or n > len(self.scores):
                self.scores = self.xp.empty((max(ROWS, n), *scores.shape[1:]), scores.dtype)
                self.labels = self.xp.empty(max(ROWS, n), labels.dtype)
        end = self.waiting + n
        self.scores[self.waiting : end] = scores
        self.labels[self.waiting : end] = labels
        self.waiting = end

    def count(self) -> None:
        """Takes the arg-max of the scores that wait."""
        if self.waiting:
            best = self.scores[: self.waiting].argmax(axis=1)
            self.right = self.right + (best == self.labels[: self.waiting]).sum()
            self.counted += self.waiting
            self.waiting = 0

    def loss(self) -> float:
        """The mean loss over all rows so far."""
        return float(self.total) / (float(self.weight) or 1.0)

    def accuracy(self) -> float:
        """The share of rows so far whose highest score was the right one; NaN if the targets were no labels."""
        self.count()
        return int(self.right) / self.counted if self.counted else float("nan")
