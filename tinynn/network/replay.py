"""A network's passes as recorded calls.

The layers are what a pass means; a replay makes the same array calls in the same order, and so gives the same bits. A
layer says `straight = True` where its passes are made of such calls alone. Any other is called as it is, in its place
among the recorded calls.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn.layer import Layer
from tinynn.network.recorder import Recorder, Unrecordable, owner

__all__ = ["Pass", "deliver", "settle"]


class Pass:
    """A layer's passes within a replay: `y` and `dx` lie where they lay when they were recorded.

    With `inference` there is no way back, and `predict` in the place of `forward`.
    """

    def __init__(self, layer: Layer, x: Any, recorder: Recorder, inference: bool = False) -> None:
        self.layer, self.x, self.recorder, self.inference = layer, x, recorder, inference
        self.twin: Any = None
        mark = recorder.mark()
        try:
            self.twin = stand_in(layer, recorder)
            self.y, self.cache = (self.twin.predict(x), None) if inference else self.twin.forward(x)
            if not recorder.knows((self.y, self.cache)):
                raise Unrecordable(repr(layer))
        except Unrecordable:
            recorder.back_to(mark)
            self.twin = None
            y, self.cache = (layer.predict(x), None) if inference else layer.forward(x)
            self.y = settle(y, layer, recorder)
            recorder.calls.append(self.predict if inference else self.forward)

    def record_backward(self, dy: Any) -> Any:
        """Records the way back; returns dx."""
        self.dy, recorder = dy, self.recorder
        mark = recorder.mark()
        try:
            if self.twin is None:
                raise Unrecordable(repr(self.layer))
            self.dx = self.twin.backward(dy, self.cache)
            if not recorder.knows(self.dx):
                raise Unrecordable(repr(self.layer))
        except Unrecordable:
            recorder.back_to(mark)
            self.dx = settle(self.layer.backward(dy, self.cache), self.layer, recorder)
            recorder.calls.append(self.backward)
        return self.dx

    def forward(self) -> None:
        """The layer's own forward pass."""
        y, self.cache = self.layer.forward(self.x)
        deliver(y, self.y)

    def predict(self) -> None:
        """The layer's own inference."""
        deliver(self.layer.predict(self.x), self.y)

    def backward(self) -> None:
        """The layer's own backward pass."""
        deliver(self.layer.backward(self.dy, self.cache), self.dx)


def stand_in(layer: Layer, recorder: Recorder) -> Any:
    """The layer with the recorder's `xp` and `ops`: another object, since others may be calling the layer itself."""
    if not type(layer).__dict__.get("straight", False):  # of the class itself: a subclass may do more
        raise Unrecordable(repr(layer))
    twin = object.__new__(type(layer))
    twin.__dict__.update(layer.__dict__, xp=recorder.xp, ops=recorder.ops)
    kept = (*layer._scratch.__dict__.values(), *(layer.__dict__.values() if recorder.settings else ()))
    for array in kept:
        if isinstance(array, np.ndarray):
            recorder.know(array)
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
