"""Layers whose passes are watched for a while: a watcher stands around each `forward`, `backward` and `predict`.

For that while the layer is of a subclass made for it, which asks in each pass whether the calling thread watches. What
the layer itself holds stays as it is: another thread may just be copying the layer, saving it, or recording its calls,
and would take along whatever it found there. Several threads may watch one layer; the last to leave turns it back.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any, Protocol

from tinynn.layer import Layer

__all__ = ["WATCHER", "Watcher", "watching"]


class Watcher(Protocol):
    """Whoever is asked for every pass of the layers that are watched: it makes the call, and may look before and after.

    `plain`: the pass as it would be without a watcher. `method`: "forward", "backward" or "predict".
    """

    def watches(self, layer: Layer) -> bool: ...

    def call(self, layer: Layer, method: str, plain: Any, *args: Any, **options: Any) -> Any: ...


WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)
"""Who watches in this thread, or task."""

LOCK = threading.Lock()
HELD: dict[int, Held] = {}  # by the id of the layer
KINDS: weakref.WeakValueDictionary[type, type] = weakref.WeakValueDictionary()
TURN = vars(object)["__class__"].__set__  # layer.__class__ = ... would be an attribute of the layer's own


class Held:
    """A layer that is watched, the class that it is of, and by how many calls."""

    def __init__(self, layer: Layer) -> None:
        self.layer, self.kind, self.count = layer, type(layer), 0


@contextlib.contextmanager
def watching(layers: Iterable[Layer], watcher: Watcher) -> Iterator[None]:
    """While this lasts, the passes of these layers that begin in this thread are the watcher's."""
    with contextlib.ExitStack() as undo:
        for layer in layers:
            hold(layer)
            undo.callback(release, layer)
        undo.callback(WATCHER.reset, WATCHER.set(watcher))
        yield


def hold(layer: Layer) -> None:
    """One call more that watches the layer."""
    with LOCK:
        held = HELD.get(id(layer)) or Held(layer)
        if held.count == 0:
            TURN(layer, watched_kind(held.kind))
            HELD[id(layer)] = held
        held.count += 1


def release(layer: Layer) -> None:
    """One call less that watches the layer: without any it is of its own class again."""
    with LOCK:
        held = HELD[id(layer)]
        held.count -= 1
        if held.count == 0:
            TURN(layer, held.kind)
            del HELD[id(layer)]


def watched_kind(kind: type) -> type:
    """The subclass of a kind of layer whose passes ask for a watcher; in all else the same."""
    found = KINDS.get(kind)
    if found is None:
        names = ("__name__", "__qualname__", "__module__", "__doc__")
        same: dict[str, Any] = {name: getattr(kind, name) for name in names[1:]}
        passes = {name: Pass(kind, name) for name in ("forward", "backward", "predict")}
        own = {"__class__": property(lambda layer: kind), "__reduce_ex__": reduce_as(kind), "__slots__": ()}
        # What a recorder asks of the class itself, and not of those above it.
        straight = {"straight": vars(kind).get("straight", False)}
        body = {**same, **passes, **own, **straight}
        try:
            # The base is set afterwards, so that a kind that keeps a list of its subclasses does not hear of this one.
            found = type(kind)(kind.__name__, (Layer,), dict(body))
            found.__bases__ = (kind,)
        except TypeError:  # a kind with slots
            found = type(kind)(kind.__name__, (kind,), dict(body))
        KINDS[kind] = found
    return found


class Pass:
    """A method of a watched layer; having `__set__` and `__delete__`, it comes before what the layer itself holds."""

    def __init__(self, kind: type, name: str) -> None:
        self.kind, self.name = kind, name

    def __get__(self, layer: Any, owner: Any = None) -> Any:
        if layer is None:
            return getattr(self.kind, self.name)
        plain = layer.__dict__.get(self.name)
        if plain is None:
            plain = next(vars(kind)[self.name] for kind in self.kind.__mro__ if self.name in vars(kind))
            plain = plain.__get__(layer, self.kind) if hasattr(plain, "__get__") else plain
        watcher = WATCHER.get()
        if watcher is None or not watcher.watches(layer):
            return plain
        return functools.partial(watcher.call, layer, self.name, plain)

    def __set__(self, layer: Any, value: Any) -> None:
        layer.__dict__[self.name] = value

    def __delete__(self, layer: Any) -> None:
        if self.name not in layer.__dict__:
            raise AttributeError(self.name)
        del layer.__dict__[self.name]


def reduce_as(kind: Any) -> Any:
    """How copies and pickles of a watched layer are made: as of the kind that it really is."""

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        reduced = kind.__reduce_ex__(self, protocol)
        if isinstance(reduced, str):
            return reduced
        function, arguments, *rest = reduced
        return function, tuple(kind if each is type(self) else each for each in arguments), *rest

    return __reduce_ex__
