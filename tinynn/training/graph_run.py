"""Steps on a device: gather, forward, backward, update and count as one CUDA graph, launched once a step.

Everything that changes from step to step lies on the device: the rows, the numbers of the update, the sums of the
tally, and `position`, which says whose turn it is. The data stay there too, as they are, so a step copies nothing.
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
from tinynn.training.run import PATIENCE, update_of
from tinynn.training.tally import Tally

__all__ = ["GraphRun"]

ROOM = 1024  # steps whose rows and numbers are brought to the device in one go


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
        self.position = xp.zeros(1, xp.int64)
        self.order = xp.zeros((self.room, size), xp.int64)
        self.numbers = xp.zeros((self.room, max(1, len(self.update.moving) if self.update else 0)), net.dtype)
        self.sums = xp.zeros(2, xp.float64)  # of the losses, each times its weight, and of the weights
        self.counts = xp.zeros(2, xp.int64)  # of the rows that are right, and of those that count
        names = (*net.input_names, *(None for _ in batches.rooms))
        self.batch = tuple(self.empty(room, name) for room, name in zip(batches.rooms, names, strict=False))
        self.count = 8
        # A first step is made by the layers' own code, which is then what the graph is compared with.
        before, found = self.memory(), []
        try:
            self.graph = ops.capture_step(self.step, lambda: found.append(self.put_back(before)))
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
            warnings.warn(message, RuntimeWarning, stacklevel=5)
            return None

    def empty(self, room: Any, name: str | None) -> Any:
        """A batch of an input, of the dtype in which the network would turn it: then the gather does that too."""
        keep = name is None or (room.dtype.kind in "iu" and self.net.reads_integers(name))
        return self.net.xp.empty(room.shape, room.dtype if keep else self.net.dtype)

    def memory(self) -> list[tuple[Any, Any]]:
        """Every array that a step changes and a later one reads, and a copy of it."""
        storage = self.net.storage
        arrays = [storage.params, storage.grads, storage.state, self.position, self.sums, self.counts]
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
        rows = xp.take(self.order, self.position, axis=0).reshape(-1)
        for array, part in zip(self.batches.arrays, self.batch, strict=True):
            ops.take(array, rows, out=part)
        xs = receive(net, self.batch, targets=True)
        self.loss, caches, self.given = net.run_forward(xs)
        net.run_backward(1.0, caches)
        if self.update is not None:
            self.update(self.optimizer, net, xp.take(self.numbers, self.position, axis=0)[0])
            self.tally(self.loss, *self.given)
        xp.add(self.position, 1, out=self.position)

    def tally(self, loss: Any, scores: Any, *targets: Any) -> None:
        """Adds the step to the sums, as `Tally` would."""
        xp, judge = self.net.xp, self.net.final_loss
        assert judge is not None
        weight, total = judge.total_weight(*targets), self.sums[0]
        xp.add(total, xp.multiply(loss, weight, dtype=xp.float64), out=total)
        xp.add(self.sums[1], weight, out=self.sums[1])
        if (verdict := judge.verdict(scores, targets[0])) is not None:
            xp.add(self.counts[0], (verdict == 1).sum(), out=self.counts[0])
            xp.add(self.counts[1], (verdict >= 0).sum(), out=self.counts[1])

    def __call__(self, order: np.ndarray, tally: Tally) -> int:
        """As many steps as fit into the time, of those whose rows are given; 0 where an update is not what it was."""
        size, xp = self.batches.batch_size, self.net.xp
        most = min(self.count, self.room, len(order) // size)
        if self.update is not None:
            numbers = self.update.table(self.optimizer, self.net, most)
            most = len(numbers)
            if self.update.moving and most:
                self.numbers[:most] = self.net.ops.asarray(np.array(numbers), self.net.dtype)
        if not most:
            return 0
        self.order[:most] = self.net.ops.asarray(order[: most * size].reshape(most, size).astype(np.int64))
        self.position[...] = 0
        started = time.perf_counter()
        if self.update is not None:
            self.sums[0], self.sums[1], self.counts[...] = tally.total, tally.weight, 0
            for _ in range(most):
                self.graph.launch()
            self.optimizer.steps_taken += most
            tally.add_sums(self.sums.copy(), self.counts.copy())
        else:
            for _ in range(most):
                self.graph.launch()
                tally.add(self.loss, *self.given)
                self.optimizer.step(self.net)
        xp.cuda.get_current_stream().synchronize()
        seconds = time.perf_counter() - started
        self.count = min(max(1, int(most * PATIENCE / max(seconds, 1e-6))), 4 * self.count)
        return most


class Update:
    """The one verb that a step of the optimizer calls; arguments that move from step to step come from the device."""

    def __init__(self, verb: str, args: tuple[Any, ...], moving: tuple[int, ...]) -> None:
        self.verb, self.args, self.moving = verb, args, moving

    @classmethod
    def of(cls, optimizer: Any, net: Network) -> Update | None:
        """None for an optimizer whose step is more than that."""
        if not type(optimizer).__dict__.get("straight", False) or (now := update_of(optimizer, net)) is None:
            return None
        if not optimizer.moves:
            return cls(*now, ())
        taken = optimizer.steps_taken
        try:  # what is another number at another rate, one step later, may be another one in any step
            optimizer.steps_taken = taken + 1
            then = update_of(optimizer, net, 1.5 * optimizer.lr + 1e-3)
        finally:
            optimizer.steps_taken = taken
        assert then is not None
        pairs = enumerate(zip(now[1], then[1], strict=True))
        return cls(*now, tuple(i for i, (a, b) in pairs if isinstance(a, float) and a != b))

    def __call__(self, optimizer: Any, net: Network, numbers: Any) -> None:
        """Clips where that is asked for, and updates."""
        if optimizer.clips:
            optimizer.clip(net.storage)
        args = list(self.args)
        for place, i in enumerate(self.moving):
            args[i] = numbers[place]
        getattr(net.ops, self.verb)(*args)

    def table(self, optimizer: Any, net: Network, most: int) -> list[tuple[float, ...]]:
        """The moving numbers of the next steps, up to one that is more than other numbers."""
        if not self.moving:
            return [()] * most
        rows: list[tuple[float, ...]] = []
        start = optimizer.steps_taken
        try:
            while len(rows) < most:
                optimizer.steps_taken = start + len(rows)
                now = update_of(optimizer, net)
                if now is None or not self.fits(*now):
                    break
                rows.append(tuple(now[1][i] for i in self.moving))
        except Exception:  # of a schedule: it is raised again when its step comes
            if not rows:
                raise
        finally:
            optimizer.steps_taken = start
        return rows

    def fits(self, verb: str, args: tuple[Any, ...]) -> bool:
        """Whether this is the captured update but for the numbers that move."""
        return verb == self.verb and all(
            i in self.moving or now is then or (not hasattr(now, "shape") and now == then)
            for i, (now, then) in enumerate(zip(args, self.args, strict=True))
        )


class NotTheSame(Exception):
    """A graph that does not make the step it was captured from."""


def same(ops: Any, a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether the arrays are equal bit by bit."""
    return all(bool(ops.to_host((x.view("uint8") == y.view("uint8")).all())) for x, y in zip(a, b, strict=True))
