"""Inference as the user calls it: rows in, the caller's own outputs out; for a few rows by recorded calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.checks import positive_integer
from tinynn.network.inputs import find_nan, receive
from tinynn.network.recorder import Recorder
from tinynn.network.replay import stand_in

__all__ = ["predict"]

FEW = 64  # rows: of more, the layers' Python takes no time worth saving


def predict(net: Any, xs: tuple[Any, ...], batch_size: int) -> Any:
    """What `Network.predict` returns.

    Errors: ShapeError, DataError.
    """
    if len(xs) == 1 and (y := again(net, xs[0], batch_size)) is not None:
        return y
    if type(batch_size) is not int or batch_size < 1:
        batch_size = positive_integer(batch_size, "batch_size", where=net.where, fix="leave it out, or 1024")
    xs = receive(net, xs)
    net._scratch.token = None
    parts = []
    with np.errstate(over="ignore", invalid="ignore"):  # what they would warn of is looked for below
        for start in range(0, max(len(xs[0]), 1), batch_size):
            y = run(net, tuple([x[start : start + batch_size] for x in xs]))
            parts.append([part.copy() for part in (y if isinstance(y, tuple) else (y,))])
    ys = parts[0] if len(parts) == 1 else [net.xp.concatenate(part) for part in zip(*parts, strict=True)]
    for y in ys:
        if net.ops.to_host(net.xp.isnan(y).any()):
            find_nan(net, xs)
    return ys[0] if len(ys) == 1 else tuple(ys)


def again(net: Any, x: Any, batch_size: Any) -> Any:
    """What comes of rows like those of the replay, by the shortest way; None where it is not sure to be right."""
    replay: Inference | None = net._scratch.__dict__.get(Inference)
    if replay is None or not replay.single or type(batch_size) is not int or type(x) is not np.ndarray:
        return None
    if x.dtype is not replay.x.dtype or x.shape != replay.x.shape or len(x) > batch_size:
        return None
    net._scratch.token = None
    try:
        if replay.quiet:
            y = replay(x).copy()
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                y = replay(x).copy()
    except Exception:  # the long way will raise it again and say where
        return None
    flat = y.reshape(-1)
    total = flat.dot(flat)  # NaN if there is one in it
    return y if total == total else None


def run(net: Any, xs: tuple[Any, ...]) -> Any:
    """`net.run_predict`, replayed where that is possible."""
    if net.replays and len(xs[0]) <= FEW:
        try:
            if (y := infer(net, xs)) is not None:
                return y
        except Exception:  # the layers' own code, below, will raise it again and say where
            net._scratch.__dict__.pop(Inference, None)
    return net.run_predict(xs)


def infer(net: Any, xs: tuple[Any, ...]) -> Any:
    """The outputs of a network at inference on a few rows, borrowed; None where they are not to be replayed.

    Rows of one shape that come a second time are recorded, from then on replayed; each thread has its own.
    """
    held = net._scratch.__dict__
    replay: Inference | None = held.get(Inference)
    kind = [(x.shape, x.dtype) for x in xs]
    if replay is not None and replay.kind == kind:
        return replay(*xs)
    if held.get(infer) != kind:
        held[infer] = kind
        return None
    replay = held[Inference] = Inference(net, xs)
    return replay.y


class Inference:
    """Inference on one number of rows, recorded while it is made: `y`, borrowed, is the output for the latest input."""

    def __init__(self, net: Any, xs: tuple[Any, ...]) -> None:
        self.kind = [(x.shape, x.dtype) for x in xs]
        self.xs = tuple([x.copy() for x in xs])
        self.x = self.xs[0]
        storage = net.storage
        recorder = Recorder(net.ops, [*self.xs, storage.params, storage.state], settings=False)
        self.y = stand_in(net, recorder).run_predict(self.xs)
        self.single = len(xs) == 1 and not isinstance(self.y, tuple)
        self.calls = tuple(net.ops.capture(recorder.calls))
        self.quiet = all(hasattr(call, "machine_code") for call in self.calls)  # NumPy warns of what overflows

    def __call__(self, *xs: Any) -> Any:
        for place, x in zip(self.xs, xs, strict=True):
            place[...] = x
        for call in self.calls:
            call()
        return self.y
