"""A network's passes as recorded calls.

The layers are what a pass means; a replay makes the same array calls in the same order, and so gives the same bits. A
layer says `straight = True` where its passes are made of such calls alone, and calls of layers within it. Any other is
called as it is, in its place among the recorded calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinynn.layer import Layer
from tinynn.network.recorder import Recorder, Unrecordable, owner

__all__ = ["Part", "stand_in"]


def stand_in(layer: Layer, recorder: Recorder) -> Any:
    """The layer with the recorder's `xp` and `ops`, and with parts in the place of the layers within it.

    Its own code then records itself, that of a network too. Another object, since others may be calling the layer.
    """
    if not type(layer).__dict__.get("straight", False):  # of the class itself: a subclass may do more
        raise Unrecordable(repr(layer))
    twin = object.__new__(type(layer))
    parts = {id(child): Part(child, recorder) for child in layer._built().children.values()}
    held = {name: swapped(value, parts) for name, value in layer.__dict__.items()} if parts else layer.__dict__
    twin.__dict__.update(held, xp=recorder.xp, ops=recorder.ops)
    kept = (*layer._scratch.__dict__.values(), *(layer.__dict__.values() if recorder.settings else ()))
    for array in kept:
        if isinstance(array, np.ndarray):
            recorder.know(array)
    return twin


def swapped(value: Any, parts: dict[int, Part]) -> Any:
    """The value, the layers in it replaced by their parts."""
    if isinstance(value, Layer):
        return parts.get(id(value), value)
    if type(value) in (tuple, list):
        return type(value)([swapped(each, parts) for each in value])
    return {name: swapped(each, parts) for name, each in value.items()} if type(value) is dict else value


class Part:
    """A layer of a network that is being recorded: each of its passes is made, once, and kept among the calls.

    What it returns lies where it lay when it was recorded. The cache stays here.
    """

    def __init__(self, layer: Layer, recorder: Recorder) -> None:
        self.layer, self.recorder = layer, recorder

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.layer, name)  # its settings

    def forward(self, *xs: Any) -> tuple[Any, None]:
        """Records the training pass."""
        self.xs, mark = xs, self.recorder.mark()
        try:
            self.twin: Any = stand_in(self.layer, self.recorder)
            self.y, self.cache = self.twin.forward(*xs)
            self.check((self.y, self.cache))
        except Unrecordable:
            self.recorder.back_to(mark)
            self.twin = None
            y, self.cache = self.layer.forward(*xs)
            self.y = self.called(self.forward_again, y)
        return self.y, None

    def backward(self, dy: Any, cache: None) -> Any:
        """Records the way back."""
        self.dy, mark = dy, self.recorder.mark()
        try:
            if self.twin is None:
                raise Unrecordable(repr(self.layer))
            self.dx = self.twin.backward(dy, self.cache)
            self.check(self.dx)
        except Unrecordable:
            if self.twin is not None and self.layer._built().children:
                raise  # their caches are not the layer's own
            self.recorder.back_to(mark)
            self.dx = self.called(self.backward_again, self.layer.backward(dy, self.cache))
        return self.dx

    def predict(self, *xs: Any) -> Any:
        """Records inference."""
        self.xs, mark = xs, self.recorder.mark()
        try:
            self.y = stand_in(self.layer, self.recorder).predict(*xs)
            self.check(self.y)
        except Unrecordable:
            self.recorder.back_to(mark)
            self.y = self.called(self.predict_again, self.layer.predict(*xs))
        return self.y

    def check(self, result: Any) -> None:
        """Errors: Unrecordable for what did not come by recorded calls."""
        if not self.recorder.knows(result):
            raise Unrecordable(repr(self.layer))

    def called(self, again: Callable[[], None], result: Any) -> Any:
        """Keeps the layer's own pass among the calls; returns the places to which it will bring what came now."""
        self.recorder.calls.append(again)
        return settle(result, self.layer, self.recorder)

    def forward_again(self) -> None:
        """The layer's own forward pass."""
        y, self.cache = self.layer.forward(*self.xs)
        deliver(y, self.y)

    def backward_again(self) -> None:
        """The layer's own backward pass."""
        deliver(self.layer.backward(self.dy, self.cache), self.dx)

    def predict_again(self) -> None:
        """The layer's own inference."""
        deliver(self.layer.predict(*self.xs), self.y)


def settle(y: Any, layer: Layer, recorder: Recorder) -> Any:
    """An array that has y's numbers and keeps its place: y itself if that is the layer's own memory."""
    if y is None:
        return None
    if isinstance(y, tuple):
        return tuple(settle(part, layer, recorder) for part in y)
    lasting = {id(owner(held)) for held in layer._scratch.__dict__.values() if isinstance(held, np.ndarray)}
    if not isinstance(y, np.ndarray) or id(owner(y)) not in lasting:
        y = np.array(y)  # even where y is what the layer read: next time it may be something else
    recorder.know(y)
    return y


def deliver(y: Any, place: Any) -> None:
    """Brings a result to where the calls behind it read it."""
    if isinstance(y, tuple) and isinstance(place, tuple):
        for part, its_place in zip(y, place, strict=True):
            deliver(part, its_place)
    elif y is not place:
        if np.shape(y) != place.shape:
            raise ValueError(f"shape {np.shape(y)}, where a step before had {place.shape}")
        np.copyto(place, y)
