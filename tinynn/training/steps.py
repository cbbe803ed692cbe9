"""The steps of an epoch: gather, forward, backward, update and count, one by one or many in one call."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinynn.network import Network
from tinynn.network.sources import Source
from tinynn.training.batches import Batches
from tinynn.training.finite import Watch
from tinynn.training.order import Order
from tinynn.training.run import Run
from tinynn.training.step import Step
from tinynn.training.streams import Streamed
from tinynn.training.tally import Tally

if TYPE_CHECKING:
    from tinynn.training.replicas import Replicas

__all__ = ["Steps", "steps_of"]


class Steps:
    """`steps(order, tally)` makes an epoch's steps, and says after each call how many it has made.

    `done`: how many were made before. `pause(done)`: at which number of them the caller wants to be told at the latest.
    `replicas`: who has the other parts of the batches, if they are shared.
    """

    replicas: Replicas | None = None

    def __init__(self, net: Network, optimizer: Any, batches: Batches, capture: bool) -> None:
        self.net, self.optimizer, self.batches = net, optimizer, batches
        self.step = Step(net, capture)
        self.begun = False
        self.run: Any = None
        self.asked = not (capture and batches.whole)  # whether there can be a run was found out
        self.settings: list[dict[str, Any]] = []
        self.watch: Any = None  # who looks at every step

    def __call__(
        self, order: np.ndarray | Order, tally: Tally, done: int = 0, pause: Callable[[int], int] | None = None
    ) -> Iterator[int]:
        size = self.batches.batch_size
        full = len(order) // size
        while done * size < len(order):
            if not self.asked and done < full and self.watch is None:
                self.ask(size)
            if self.run is not None and done < full and self.watch is None:
                until = min(full, done + self.run.count)  # an order may be computed: no more is asked of it
                until = until if pause is None else min(until, pause(done))
                count = self.run(order[done * size : until * size], tally)
                if count:
                    done += count
                    yield done
                    continue
                self.run = None
            rows = order[done * size : (done + 1) * size]
            whole, replicas = len(rows), self.replicas
            if replicas is not None:
                rows = replicas.own(rows)
            batch = self.batches.gather(rows)
            begun = self.begun if replicas is None else replicas.steps > 0  # as all ranks say it
            watch = self.watch if begun else Watch(self.net)  # what is wrong from the start is said at the start
            if watch is not None:
                watch.before()
            loss, given = self.step(batch, whole)
            if watch is not None:
                with replicas.watching(watch) if replicas is not None else contextlib.nullcontext():
                    if not begun and math.isfinite(self.net.ops.to_host(loss)):
                        self.net.storage.check_gradients_written()
                    watch.after(loss, batch, rows)
                self.begun = True
            # Before the optimizer, which may run the network again, into the same arrays.
            if replicas is None or replicas.counts:
                tally.add(loss, *given)
            if replicas is not None:
                replicas.join(tally.of.total_weight(*given[1:]))
            self.optimizer.step(self.net)
            if replicas is not None:
                replicas.look()
            done += 1
            yield done

    def ask(self, size: int) -> None:
        """Makes a run of the steps, as soon as what it is made of is there."""
        recorded = self.step.replays.get(size)
        if recorded is not None:
            self.asked, self.run = True, Run.of(self.net, self.optimizer, self.batches, recorded)
        elif self.begun and self.net.ops.captures:
            from tinynn.training.graph_run import GraphRun  # not at the top: only devices capture

            self.asked, self.run = True, GraphRun.of(self.net, self.optimizer, self.batches)


@contextlib.contextmanager
def steps_of(
    net: Network, optimizer: Any, data: Sequence[Any], batch_size: int, capture: bool, replicas: Replicas | None = None
) -> Iterator[Steps]:
    """The steps of a training run; `data`: what `checked` gives, arrays or one source.

    What was recorded is kept with the network, and serves the next run too if its batches are of the same kind and no
    layer was changed in between. The data are not kept.
    """
    held, share = net._scratch.__dict__, replicas.share if replicas is not None else batch_size
    make: Any = Streamed if isinstance(data[0], Source) else Batches
    batches: Batches = make(net.ops, data[0] if make is Streamed else data, batch_size, share)
    steps: Steps | None = held.pop(Steps, None)
    if capture and steps is not None and steps.batches.kind == batches.kind and unchanged(steps.settings, net):
        net._scratch.token = None  # caches from before this run are stale from now on
        steps.batches.read_from(batches)
        steps.asked = not batches.whole or (steps.run is not None and steps.optimizer is optimizer)
        steps.optimizer = optimizer
        if steps.run is not None:
            steps.run.optimizer = optimizer
    else:
        steps = Steps(net, optimizer, batches, capture)
    steps.replicas = replicas
    if replicas is not None:
        steps.asked, steps.run = True, None
    try:
        yield steps
    finally:
        steps.batches.read_from(None)
        steps.replicas = None
        if capture and steps.step.capture:
            steps.settings = settings(net)
            held[Steps] = steps


def settings(net: Network) -> list[dict[str, Any]]:
    """What the layers hold, all of them."""
    return [{"first_row": net.first_row}, *(dict(layer.__dict__) for _, layer in net.walk())]


def unchanged(before: list[dict[str, Any]], net: Network) -> bool:
    """Whether the layers hold what they held: the same objects, or equal numbers and texts."""
    now = settings(net)
    return len(before) == len(now) and all(
        a.keys() == b.keys() and all(a[name] is b[name] or equal(a[name], b[name]) for name in a)
        for a, b in zip(before, now, strict=True)
    )


def equal(a: Any, b: Any) -> bool:
    return type(a) is type(b) and isinstance(a, bool | int | float | str) and a == b
