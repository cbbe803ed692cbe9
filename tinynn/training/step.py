"""A step's forward and backward pass: by the layers' own code at first, then replayed.

The layers are what a step means; a replay makes the same array calls in the same order, and so gives the same bits. A
layer says `straight = True` where its passes are made of such calls alone. Any other is called as it is, in its place
among the recorded calls.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.layer import Layer
from tinynn.network import Network, Sequential
from tinynn.network.inputs import receive
from tinynn.training.recorder import Recorder, Unrecordable, owner

__all__ = ["Step"]


class Step:
    """`step(batch)` writes the gradients; returns the loss, and what the loss was given: scores and targets.

    A batch that comes a second time, the same tuple of the same arrays with other numbers in them, is recorded; from
    the third time on it is replayed. `capture=False`: always by the layers' own code.
    """

    def __init__(self, net: Network, capture: bool = True) -> None:
        self.net = net
        self.capture = capture and type(net) is Sequential and net.ops.name == "numpy"
        self.seen: dict[int, Any] = {}  # by the number of rows: there are full batches, and the last one of an epoch
        self.replays: dict[int, Replay] = {}

    def __call__(self, batch: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        if self.capture:
            n = len(batch[0])
            replay = self.replays.get(n)
            try:
                if replay is not None and replay.batch is batch:
                    return replay()
                if self.seen.get(n) is batch:
                    replay = self.replays[n] = Replay(self.net, batch)
                    return replay.loss, replay.given
            except Exception:  # the layers' own code, below, will raise it again and say where
                self.capture = False
            self.seen[n] = batch
        loss, cache = self.net.forward(*batch)
        self.net.backward(1.0, cache)
        return loss, cache.given


class Replay:
    """One step as a list of calls, recorded while it is made; `loss` is that of the latest step."""

    def __init__(self, net: Any, batch: tuple[Any, ...]) -> None:
        self.batch = batch
        x, *targets = xs = receive(net, batch, targets=True)
        net._scratch.token = None  # caches from before this step are stale from now on
        storage = net.storage
        recorder = Recorder(net.ops, [*batch, *xs, storage.params, storage.grads, storage.state])
        for given, converted in zip(batch, xs, strict=True):
            if converted is not given:
                recorder.call(np.copyto, converted, given, casting="unsafe")
        passes = []
        for layer in net.chain:
            passes.append(Pass(layer, x, recorder))
            x = passes[-1].y
        self.end = LossPass(net.final_loss, (x, *targets), recorder)
        dy = self.end.dx
        for each in reversed(passes[net.lowest :]):
            dy = each.record_backward(dy)
        self.given = self.end.xs
        self.calls = tuple(recorder.calls)

    @property
    def loss(self) -> Any:
        return self.end.loss

    def __call__(self) -> tuple[Any, tuple[Any, ...]]:
        for call in self.calls:
            call()
        return self.end.loss, self.given


class Pass:
    """A layer's passes within a replay: `y` and `dx` lie where they lay when they were recorded."""

    def __init__(self, layer: Layer, x: Any, recorder: Recorder) -> None:
        self.layer, self.x, self.recorder = layer, x, recorder
        self.twin: Any = None
        start = len(recorder.calls)
        try:
            if not type(layer).__dict__.get("straight", False):  # of the class itself: a subclass may do more
                raise Unrecordable(repr(layer))
            self.twin = stand_in(layer, recorder)
            self.y, self.cache = self.twin.forward(x)
            if not recorder.knows((self.y, self.cache)):
                raise Unrecordable(repr(layer))
        except Unrecordable:
            del recorder.calls[start:]
            self.twin = None
            y, self.cache = layer.forward(x)
            self.y = settle(y, layer, recorder)
            recorder.calls.append(self.forward)

    def record_backward(self, dy: Any) -> Any:
        """Records the way back; returns dx."""
        self.dy, recorder = dy, self.recorder
        start = len(recorder.calls)
        try:
            if self.twin is None:
                raise Unrecordable(repr(self.layer))
            self.dx = self.twin.backward(dy, self.cache)
            if not recorder.knows(self.dx):
                raise Unrecordable(repr(self.layer))
        except Unrecordable:
            del recorder.calls[start:]
            self.dx = settle(self.layer.backward(dy, self.cache), self.layer, recorder)
            recorder.calls.append(self.backward)
        return self.dx

    def forward(self) -> None:
        """The layer's own forward pass."""
        y, self.cache = self.layer.forward(self.x)
        deliver(y, self.y)

    def backward(self) -> None:
        """The layer's own backward pass."""
        deliver(self.layer.backward(self.dy, self.cache), self.dx)


class LossPass:
    """The loss at the end, called as it is; its gradient lies where it lay."""

    def __init__(self, layer: Layer, xs: tuple[Any, ...], recorder: Recorder) -> None:
        self.layer, self.xs = layer, xs
        self.dx: Any = None
        dx = self.run()
        self.dx = settle(dx, layer, recorder)
        recorder.calls.append(lambda: deliver(self.run(), self.dx))

    def run(self) -> Any:
        self.loss, cache = self.layer.forward(*self.xs)
        dx, *_ = self.layer.backward(1.0, cache)
        return dx


def stand_in(layer: Layer, recorder: Recorder) -> Any:
    """The layer with the recorder's `xp` and `ops`: another object, since others may be calling the layer itself."""
    twin = object.__new__(type(layer))
    twin.__dict__.update(layer.__dict__, xp=recorder.xp, ops=recorder.ops)
    for held in layer._scratch.__dict__.values():
        if isinstance(held, np.ndarray):
            recorder.know(held)
    return twin


def settle(y: Any, layer: Layer, recorder: Recorder) -> Any:
    """An array that has y's numbers and keeps its place: y itself if that is memory that is used each time."""
    if y is None:
        return None
    lasting = {id(owner(held)) for held in layer._scratch.__dict__.values() if isinstance(held, np.ndarray)}
    if id(owner(y)) not in lasting and not recorder.knows(y):
        y = y.copy(order="K")
    recorder.know(y)
    return y


def deliver(y: Any, place: Any) -> None:
    """Brings a result to where the calls behind it read it."""
    if y is not place:
        if y.shape != place.shape:
            raise ValueError(f"shape {y.shape}, where a step before had {place.shape}")
        np.copyto(place, y)
