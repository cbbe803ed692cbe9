"""A step's forward and backward pass: by the layers' own code at first, then replayed."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tinynn.network import Network
from tinynn.network.inputs import receive
from tinynn.network.recorder import Recorder
from tinynn.network.replay import stand_in

__all__ = ["Step"]


class Step:
    """`step(batch)` writes the gradients; returns the loss, and what it was given: scores and targets; borrowed.

    `n`: rows of the whole batch, if this is a part of one. A batch that comes a second time, the same tuple of the same
    arrays with other numbers in them, is recorded; from the third time on it is replayed. `capture=False`: always by
    the layers' own code.
    """

    def __init__(self, net: Network, capture: bool = True) -> None:
        self.net = net
        self.capture = capture and net.replays
        self.seen: dict[int, Any] = {}  # by the number of rows: there are full batches, and the last one of an epoch
        self.replays: dict[int, Replay] = {}

    def __call__(self, batch: tuple[Any, ...], n: int = 0) -> tuple[Any, tuple[Any, ...]]:
        n = n or len(batch[0])
        if self.capture:
            replay = self.replays.get(n)
            try:
                if replay is not None and replay.batch is batch:
                    return replay()
                if self.seen.get(n) is batch:
                    return self.record(n, batch)
            except Exception:  # the layers' own code, below, will raise it again and say where
                self.capture = False
            self.seen[n] = batch
        loss, cache = self.net.forward(*batch)
        self.net.backward(1.0, cache)
        return loss, cache.given

    def record(self, n: int, batch: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        """The step made and recorded; where that fails the state is what it was, since the step will be made again."""
        state = self.net.storage.state
        before = state.copy()
        try:
            replay = self.replays[n] = Replay(self.net, batch)
        except Exception:
            state[...] = before
            raise
        return replay.loss, replay.given


class Replay:
    """One step as a list of calls, recorded while it is made; `loss` is that of the latest step."""

    def __init__(self, net: Network, batch: tuple[Any, ...]) -> None:
        self.batch = batch
        xs = receive(net, batch, targets=True)
        net._scratch.token = None  # caches from before this step are stale from now on
        storage = net.storage
        recorder = Recorder(net.ops, [*batch, *xs, storage.params, storage.grads], storage.state)
        for given, converted in zip(batch, xs, strict=True):
            if converted is not given:
                recorder.call(np.copyto, converted, given, casting="unsafe")
        twin = stand_in(net, recorder)
        self.loss, caches, self.given = twin.run_forward(xs)
        twin.run_backward(1.0, caches)
        self.ops, self.recorded = net.ops, recorder.calls

    @functools.cached_property
    def calls(self) -> tuple[Any, ...]:
        """The recorded calls as the backend makes them."""
        return tuple(self.ops.capture(self.recorded))

    def __call__(self) -> tuple[Any, tuple[Any, ...]]:
        for call in self.calls:
            call()
        return self.loss, self.given
