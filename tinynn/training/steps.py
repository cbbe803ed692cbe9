"""The steps of an epoch: gather, forward, backward, update and count, one by one or many in one call."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinynn.losses import Loss, SoftmaxCrossEntropy
from tinynn.network import Network
from tinynn.training.batches import Batches
from tinynn.training.step import Step
from tinynn.training.tally import Tally

__all__ = ["Steps", "steps_of"]

PATIENCE = 0.02  # seconds that a call of many steps may take: until it returns nobody hears Ctrl-C


class Steps:
    """`steps(order, tally)` makes an epoch's steps, and says after each call how many it has made."""

    def __init__(self, net: Network, optimizer: Any, batches: Batches, capture: bool) -> None:
        self.net, self.optimizer, self.batches = net, optimizer, batches
        self.step = Step(net, capture)
        self.begun = False
        self.run: Run | None = None
        self.asked = not capture  # whether there can be a run was found out
        self.settings: list[dict[str, Any]] = []

    def __call__(self, order: np.ndarray, tally: Tally) -> Iterator[int]:
        size, done = self.batches.batch_size, 0
        full = len(order) // size
        while done * size < len(order):
            if self.run is None and not self.asked and (recorded := self.step.replays.get(size)) is not None:
                self.asked = True
                self.run = Run.of(self.net, self.optimizer, self.batches, recorded)
            if self.run is not None and done < full:
                count = self.run(order[done * size : full * size], tally)
                if count:
                    done += count
                    yield done
                    continue
                self.run = None
            batch = self.batches.gather(order[done * size : (done + 1) * size])
            loss, given = self.step(batch)
            if not self.begun:
                self.begun = True
                self.net.storage.check_gradients_written()
            self.optimizer.step(self.net)
            tally.add(loss, *given)
            done += 1
            yield done


@contextlib.contextmanager
def steps_of(net: Network, optimizer: Any, data: Sequence[Any], batch_size: int, capture: bool) -> Iterator[Steps]:
    """The steps of a training run.

    What was recorded is kept with the network, and serves the next run too if its batches are of the same kind and no
    layer was changed in between. The data are not kept.
    """
    held = net._scratch.__dict__
    batches = Batches(net.ops, data, batch_size)
    steps: Steps | None = held.pop(Steps, None)
    if capture and steps is not None and steps.batches.kind == batches.kind and unchanged(steps.settings, net):
        net._scratch.token = None  # caches from before this run are stale from now on
        steps.batches.arrays = batches.arrays
        steps.asked = steps.run is not None and steps.optimizer is optimizer
        steps.optimizer = optimizer
        if steps.run is not None:
            steps.run.optimizer = optimizer
    else:
        steps = Steps(net, optimizer, batches, capture)
    try:
        yield steps
    finally:
        steps.batches.arrays = ()
        if capture and steps.step.capture:
            steps.settings = settings(net)
            held[Steps] = steps


def settings(net: Network) -> list[dict[str, Any]]:
    """What the layers hold, all of them."""
    return [dict(layer.__dict__) for _, layer in net.walk()]


def unchanged(before: list[dict[str, Any]], net: Network) -> bool:
    """Whether the layers hold what they held: the same objects, or equal numbers and texts."""
    now = settings(net)
    return len(before) == len(now) and all(
        a.keys() == b.keys() and all(a[name] is b[name] or equal(a[name], b[name]) for name in a)
        for a, b in zip(before, now, strict=True)
    )


def equal(a: Any, b: Any) -> bool:
    return type(a) is type(b) and isinstance(a, bool | int | float | str) and a == b


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
        numbers = self.numbers(most if self.optimizer.moves else 1)
        if not numbers:
            return 0
        count = len(numbers) if self.optimizer.moves else most
        self.total[...] = tally.total
        started = time.perf_counter()
        self.call(self.batches.arrays, order[: count * batch], np.array(numbers))
        seconds = time.perf_counter() - started
        self.optimizer.steps_taken += count
        tally.add_run(self.total, count * batch, self.hits)
        self.count = min(max(1, int(count * PATIENCE / max(seconds, 1e-6))), 4 * self.count)
        return count

    def numbers(self, most: int) -> list[tuple[float, ...]]:
        """Those of the next updates, up to one that cannot be had."""
        found: list[tuple[float, ...]] = []
        start = self.optimizer.steps_taken
        try:
            while len(found) < most:
                self.optimizer.steps_taken = start + len(found)
                update = update_of(self.optimizer, self.net)
                if update is None or (numbers := self.call.numbers(*update)) is None:
                    break
                found.append(numbers)
        except Exception:  # of a schedule: it is raised again when its step comes
            if not found:
                raise
        finally:
            self.optimizer.steps_taken = start
        return found


def update_of(optimizer: Any, net: Network) -> tuple[str, tuple[Any, ...]] | None:
    """The verb that the optimizer's next step calls, and its arguments, without calling it; None if that is not all."""
    storage, witness = optimizer.joined(net), Witness()
    optimizer.update(witness, storage, optimizer.lr)
    if len(witness.calls) != 1:
        return None
    ((name, args, named),) = witness.calls
    return None if named else (name, args)


class Witness:
    """Stands in for a backend, and remembers which verbs were called with what."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: self.calls.append((name, args, named))


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
