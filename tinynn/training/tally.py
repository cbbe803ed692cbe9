"""Loss and accuracy of an epoch, counted while it runs, at about one microsecond a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.network import Network

__all__ = ["Tally"]

ROWS = 1024


class Tally:
    """Sums losses on the device, and keeps scores until there are enough rows to judge them in one call."""

    def __init__(self, net: Network) -> None:
        assert net.final_loss is not None
        self.of, self.xp = net.final_loss, net.xp
        self.total: Any = self.xp.zeros((), self.xp.float64)
        self.right: Any = self.xp.zeros((), self.xp.int64)
        self.counted: Any = self.xp.zeros((), self.xp.int64)
        self.weight: Any = self.xp.zeros((), self.xp.float64)
        self.waiting = 0
        self.scores: Any = None
        self.targets: Any = None
        self.judged: bool | None = None  # whether the targets name classes: known from the first batch on

    def add(self, loss: Any, scores: Any, *targets: Any) -> None:
        """One batch: its mean loss, and what the loss was given."""
        n = len(scores)
        weight = self.of.total_weight(*targets)
        self.total = self.total + self.xp.multiply(loss, weight, dtype=self.xp.float64)  # not rounded to float32 again
        self.weight = self.weight + weight
        if self.judged is None:
            self.judged = self.of.verdict(scores, targets[0]) is not None
        if not self.judged:
            return
        if self.scores is None or self.waiting + n > len(self.scores):
            self.count()
            if self.scores is None or n > len(self.scores):
                self.scores = self.xp.empty((max(ROWS, n), *scores.shape[1:]), scores.dtype)
                self.targets = self.xp.empty((max(ROWS, n), *targets[0].shape[1:]), targets[0].dtype)
        end = self.waiting + n
        self.scores[self.waiting : end] = scores
        self.targets[self.waiting : end] = targets[0]
        self.waiting = end

    def add_run(self, total: Any, rows: int, right: Any) -> None:
        """Several batches: `total` with their losses times their rows added to it, and how many are right, or None.

        It was added up one by one, from where it stood: so the sum does not depend on how many steps one call makes.
        """
        self.total, self.weight = total.copy(), self.weight + rows
        if right is not None:
            self.right, self.counted = self.right + right[0], self.counted + rows
            right[...] = 0

    def add_sums(self, sums: Any, counts: Any) -> None:
        """Several batches: `sums` of losses and of weights, begun at the tally's own; rows right, and rows counted."""
        self.total, self.weight = sums[0], sums[1]
        self.right, self.counted = self.right + counts[0], self.counted + counts[1]

    def count(self) -> None:
        """Judges the rows that wait."""
        if self.waiting:
            verdict: Any = self.of.verdict(self.scores[: self.waiting], self.targets[: self.waiting])
            self.right = self.right + (verdict == 1).sum()
            self.counted = self.counted + (verdict >= 0).sum()
            self.waiting = 0

    def loss(self) -> float:
        """The mean loss over all rows so far."""
        return self.number(self.total) / (self.number(self.weight) or 1.0)

    def accuracy(self) -> float:
        """The share of rows so far that the loss calls right; NaN if the targets named no class."""
        self.count()
        counted = self.number(self.counted)
        return self.number(self.right) / counted if counted else float("nan")

    def numbers(self) -> np.ndarray:
        """The sum of losses, that of weights, how many rows are right, and how many were judged."""
        self.count()
        return np.array([self.number(x) for x in (self.total, self.weight, self.right, self.counted)])

    def assign(self, numbers: np.ndarray) -> None:
        """What `numbers` returned, in the place of what was counted."""
        xp = self.xp
        self.total, self.weight = xp.asarray(numbers[0]), xp.asarray(numbers[1])
        self.right, self.counted = xp.asarray(int(numbers[2])), xp.asarray(int(numbers[3]))

    def number(self, x: Any) -> float:
        """A sum as the host knows it."""
        return float(self.of.ops.to_host(x))
