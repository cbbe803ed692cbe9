"""Many steps in one call of the backend, as machine code."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from tinynn.losses import Loss, SoftmaxCrossEntropy
from tinynn.network import Network
from tinynn.training.batches import Batches
from tinynn.training.tally import Tally
from tinynn.training.update import upcoming, update_of

__all__ = ["Run", "counts_rows", "names_the_largest", "paced"]

PATIENCE = 0.02  # seconds that a call of many steps may take: until it returns nobody hears Ctrl-C


class Run:
    """Several steps in one call of the backend."""

    def __init__(self, net: Network, optimizer: Any, call: Any, batches: Batches, total: Any, hits: Any) -> None:
        self.net, self.optimizer, self.call, self.batches = net, optimizer, call, batches
        self.total, self.hits = total, hits
        self.count = 8

    @classmethod
    def of(cls, net: Network, optimizer: Any, batches: Batches, recorded: Any) -> Run | None:
        """The run of the steps that were recorded; None where a step is more than the backend can be told."""
        if not plain(optimizer) or len(recorded.given) != 2 or not isinstance(recorded.loss, np.ndarray):
            return None
        xp, (scores, targets) = net.xp, recorded.given
        total, hits = xp.zeros((), xp.float64), xp.zeros(1, xp.int64)
        judged, loss = None, net.final_loss
        assert loss is not None
        if loss.verdict(scores, targets) is not None:
            judged = scores, targets, hits
        if not counts_rows(loss) or (judged and not names_the_largest(loss)):
            return None
        gathers = list(zip(batches.arrays, recorded.batch, strict=True))
        update = update_of(optimizer, net)
        if update is None:
            return None
        call = net.ops.capture_run(gathers, recorded.recorded, update, (recorded.loss, total), judged)
        return None if call is None else cls(net, optimizer, call, batches, total, hits if judged else None)

    def __call__(self, order: np.ndarray, tally: Tally) -> int:
        """As many steps as fit into the time, of those whose rows are given; 0 if that is not what was recorded."""
        if not plain(self.optimizer) or not all(x.flags.c_contiguous and x.flags.aligned for x in self.batches.arrays):
            return 0
        batch = self.batches.batch_size
        most = min(self.count, len(order) // batch)
        numbers = upcoming(self.optimizer, self.net, most if self.optimizer.moves else 1, self.call.numbers)
        if not numbers:
            return 0
        count = len(numbers) if self.optimizer.moves else most
        self.total[...] = tally.total
        started = time.perf_counter()
        self.call(self.batches.arrays, order[: count * batch], np.array(numbers))
        seconds = time.perf_counter() - started
        self.optimizer.steps_taken += count
        tally.add_run(self.total, count * batch, self.hits)
        self.count = paced(self.count, count, seconds)
        return count


def paced(count: int, made: int, seconds: float) -> int:
    """How many steps the next call makes, after one that made so many in that time; at first it cannot know."""
    return min(max(1, int(made * PATIENCE / max(seconds, 1e-6))), 4 * count)


def plain(optimizer: Any) -> bool:
    """Whether a step is the optimizer's update, and that is one call of a verb."""
    return type(optimizer).__dict__.get("straight", False) and not optimizer.clips


def counts_rows(loss: Any) -> bool:
    """Whether each row weighs 1 in the mean over an epoch."""
    usual = type(loss).total_weight in (Loss.total_weight, SoftmaxCrossEntropy.total_weight)
    return usual and getattr(loss, "plain", True)


def names_the_largest(loss: Any) -> bool:
    """Whether the loss calls a row right whose largest score is at the label, and counts every row."""
    plain = type(loss).verdict in (Loss.verdict, SoftmaxCrossEntropy.verdict)
    return plain and getattr(loss, "ignore", None) is None
