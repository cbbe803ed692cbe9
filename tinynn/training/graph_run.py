"""Steps on a device: gather, forward, backward, update and count as one CUDA graph, launched once a step.

Everything that changes from step to step lies on the device: the rows, the numbers of the update, the sums of the
tally, and whose turn it is. The data stay there too, as they are, so a step copies nothing.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynn.errors import TinynnError
from tinynn.network import Network
from tinynn.network.inputs import receive
from tinynn.training.batches import Batches
from tinynn.training.run import counts_rows, names_the_largest, paced
from tinynn.training.tally import Tally
from tinynn.training.update import Update

__all__ = ["GraphRun"]

ROOM = 1024  # steps whose rows and numbers are brought to the device in one go
SEVERAL = 8  # steps of one graph


class GraphRun:
    """Several steps in one call, all of them replayed.

    Where the optimizer's step is more than one verb of the backend, or somebody else's, it is not part of the graph:
    then forward and backward are replayed, and the optimizer's own code runs between them.
    """

    def __init__(self, net: Network, optimizer: Any, batches: Batches) -> None:
        self.net, self.optimizer, self.batches = net, optimizer, batches
        xp, ops, size = net.xp, net.ops, batches.batch_size
        self.update = Update.of(optimizer, net)
        self.room = min(ROOM, len(batches.arrays[0]) // size)
        self.order = xp.zeros((self.room, size), xp.int64)
        self.numbers = xp.zeros((self.room, max(1, len(self.update.moving) if self.update else 0)), net.dtype)
        self.sums = xp.zeros(2, xp.float64)  # of the losses, each times its weight, and of the weights
        self.counts = xp.zeros(3, xp.int64)  # of the rows that are right, of those that count, and of the steps
        self.turn = self.counts[2:]
        names = (*net.input_names, *(None for _ in batches.rooms))
        self.batch = tuple(self.empty(room, name) for room, name in zip(batches.rooms, names, strict=False))
        self.named: bool | None = None  # whether the targets name classes
        self.count = 8
        # A first step is made by the layers' own code, which is then what the graph is compared with.
        before, found = self.memory(), []
        try:
            several = SEVERAL if self.update is not None else 1
            self.graph = ops.capture_step(self.step, lambda: found.append(self.put_back(before)), several)
            self.graph.launch()
        finally:
            found.append(self.put_back(before))
        if not same(ops, *found):
            raise NotTheSame("a replayed step gives other numbers than the layers' own code")

    @classmethod
    def of(cls, net: Network, optimizer: Any, batches: Batches) -> GraphRun | None:
        """The run; None, and one warning that says why, where the device cannot capture such a step."""
        try:
            return cls(net, optimizer, batches)
        except Exception as error:
            what = error.what if isinstance(error, TinynnError) else f"{type(error).__name__}: {error}"
            message = f"fit goes on without a CUDA graph, step by step: {what}; capture=False leaves this warning out"
            warnings.warn(message, RuntimeWarning, stacklevel=6)
            return None

    def empty(self, room: Any, name: str | None) -> Any:
        """A batch of an input, of the dtype in which the network would turn it: then the gather does that too."""
        keep = name is None or (room.dtype.kind in "iu" and self.net.reads_integers(name))
        return self.net.xp.empty(room.shape, room.dtype if keep else self.net.dtype)

    def memory(self) -> list[tuple[Any, Any]]:
        """Every array that a step changes and a later one reads, and a copy of it."""
        storage = self.net.storage
        arrays = [storage.params, storage.grads, storage.state, self.sums, self.counts]
        arrays += self.optimizer._vectors.values() if self.update else ()
        return [(array, array.copy()) for array in arrays]

    def put_back(self, before: Sequence[tuple[Any, Any]]) -> list[Any]:
        """Copies of what the arrays hold; they then hold what they did before."""
        found = []
        for array, held in before:
            found.append(array.copy())
            array[...] = held
        return found

    def step(self) -> None:
        """What is captured."""
        net, xp, ops = self.net, self.net.xp, self.net.ops
        ops.take_turns(self.batches.arrays, self.order, self.turn, self.batch)
        xs = receive(net, self.batch, targets=True)
        self.loss, caches, self.given = net.run_forward(xs)
        net.run_backward(1.0, caches)
        if self.update is not None:
            numbers = xp.take(self.numbers, self.turn, axis=0)[0] if self.update.moving else None
            self.update(self.optimizer, net, numbers)
            self.tally(self.loss, *self.given)
        else:
            xp.add(self.turn, 1, out=self.turn)

    def tally(self, loss: Any, scores: Any, *targets: Any) -> None:
        """Adds the step to the sums, as `Tally` would, and says that the next one has its turn."""
        xp, judge = self.net.xp, self.net.final_loss
        assert judge is not None
        if self.named is None:  # asked once, not in the record
            self.named = judge.verdict(scores, targets[0]) is not None
        labels = targets[0] if self.named else None
        plain = labels is None or (labels.ndim == 1 and names_the_largest(judge))
        if plain and counts_rows(judge) and len(targets) == 1:
            self.net.ops.tally(loss, scores, labels, self.sums, self.counts)
            return
        xp.add(self.turn, 1, out=self.turn)
        weight, total = judge.total_weight(*targets), self.sums[0]
        xp.add(total, xp.multiply(loss, weight, dtype=xp.float64), out=total)
        xp.add(self.sums[1], weight, out=self.sums[1])
        if self.named:
            verdict: Any = judge.verdict(scores, targets[0])
            xp.add(self.counts[0], (verdict == 1).sum(), out=self.counts[0])
            xp.add(self.counts[1], (verdict >= 0).sum(), out=self.counts[1])

    def __call__(self, order: np.ndarray, tally: Tally) -> int:
        """As many steps as fit into the time, of those whose rows are given; 0 where an update is not what it was."""
        size = self.batches.batch_size
        most = min(self.count, self.room, len(order) // size)
        if self.update is not None:
            numbers = self.update.table(self.optimizer, self.net, most)
            most = len(numbers)
            if self.update.moving and most:
                self.numbers[:most] = self.net.ops.asarray(np.array(numbers), self.net.dtype)
        if not most:
            return 0
        self.order[:most] = self.net.ops.asarray(order[: most * size].reshape(most, size).astype(np.int64))
        self.turn[...] = 0
        started = time.perf_counter()
        if self.update is not None:
            self.sums[0], self.sums[1], self.counts[...] = tally.total, tally.weight, 0
            self.graph.launch(most)
            self.optimizer.steps_taken += most
            tally.add_sums(self.sums.copy(), self.counts.copy())
        else:
            for _ in range(most):
                self.graph.launch()
                tally.add(self.loss, *self.given)
                self.optimizer.step(self.net)
        self.net.ops.wait()
        seconds = time.perf_counter() - started
        self.count = paced(self.count, most, seconds)
        return most


class NotTheSame(Exception):
    """A graph that does not make the step it was captured from."""


def same(ops: Any, a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether the arrays are equal bit by bit."""
    pairs = [(x.view("uint8"), y.view("uint8")) for x, y in zip(a, b, strict=True) if x.size]
    return all(bool(ops.to_host((x == y).all())) for x, y in pairs)
