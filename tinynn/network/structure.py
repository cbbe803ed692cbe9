"""A network as what JSON holds: each layer by its name, with the arguments that its constructor was given.

    {"layer": "Affine", "args": [10, {"function": "he"}], "kwargs": {"b": {"array": "#argument/0"}}}

None, truth values, numbers, texts and lists are themselves; all else is an object with one of the names in `KINDS`.
What cannot be written leaves a text in its place, {"unsaved": "<lock>"}: then the arrays alone can be loaded.
"""

from __future__ import annotations

import inspect
import math
import re
from typing import Any

import numpy as np

from tinynn import registry
from tinynn.backend import Ops
from tinynn.layer import Layer

__all__ = ["ARGUMENT", "DEEPEST", "KINDS", "LARGEST", "NUMBERS", "Writer"]

KINDS = ("array", "dict", "float", "function", "initialiser", "layer", "object", "scalar", "slice", "tuple", "unsaved")
ARGUMENT = "#argument/"  # before the names of arrays that are arguments: no layer's array is called so
NUMBERS = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), *("float16", "float32"))
NUMBERS += ("float64",)
DEEPEST = 100  # layers within layers, lists within lists
LARGEST = 2**256  # integers: seeds have 128 bits at most, sizes 64


class Writer:
    """Describes one network. `initialisers`: the ids of what its layers draw initial values with.

    `arrays`: those among the arguments, by the names that the description has for them; `layers`: each layer with its
    part of the description, inner ones first; `kinds`: the classes by the names that they got.
    """

    def __init__(self, ops: Ops, initialisers: set[int]) -> None:
        self.ops, self.initialisers = ops, initialisers
        self.arrays: dict[str, np.ndarray] = {}
        self.layers: list[tuple[Layer, dict[str, Any]]] = []
        self.kinds: dict[tuple[str, str | None], type[Layer]] = {}
        self.names: dict[int, str] = {}  # of arrays, so that one that is given twice is written once

    def write(self, value: Any, depth: int = 0) -> Any:
        """The value as JSON holds it."""
        kind = type(value)
        if value is None or kind in (bool, str) or (kind is int and abs(value) < LARGEST):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if depth < DEEPEST:
            if isinstance(value, Layer):
                return self.layer(value, depth + 1)
            if kind is list:
                return [self.write(part, depth + 1) for part in value]
            if kind is tuple:
                return {"tuple": [self.write(part, depth + 1) for part in value]}
            if kind is dict:
                return {"dict": [[self.write(part, depth + 1) for part in pair] for pair in value.items()]}
            if kind is slice:
                return {"slice": [self.write(part, depth + 1) for part in (value.start, value.stop, value.step)]}
            if registry.name_of(kind) is not None:
                return self.object(value, depth + 1)
        if isinstance(value, np.generic) and value.dtype.name in NUMBERS:
            return {"scalar": [value.dtype.name, self.write(value.item())]}
        if kind in (np.ndarray, np.memmap, self.ops.xp.ndarray) and value.dtype.name in NUMBERS:
            return {"array": self.array(value)}
        if (name := registry.name_of(value)) is not None:
            return {"function": name}
        if callable(value) and id(value) in self.initialisers:
            return {"initialiser": text_of(value)}
        return {"unsaved": text_of(value)}

    def layer(self, layer: Layer, depth: int) -> dict[str, Any]:
        """A layer, by the name that its class was registered under; without one, by its own name and its module."""
        kind, (args, kwargs) = (
            layer.__class__,
            layer._arguments,
        )  # not type(layer), which is another while it is watched
        name = registry.name_of(kind)
        described: dict[str, Any] = {"layer": kind.__name__ if name is None else name}
        if name is None:
            described["module"] = kind.__module__
        self.kinds[described["layer"], described.get("module")] = kind
        if args:
            described["args"] = [self.write(arg, depth) for arg in args]
        if kwargs:
            described["kwargs"] = {key: self.write(arg, depth) for key, arg in kwargs.items()}
        self.layers.append((layer, described))
        return described

    def object(self, value: Any, depth: int) -> dict[str, Any]:
        """An object of a registered class, such as `constant(0.5)`, by the attributes that its constructor takes."""
        try:
            held = vars(value)
            inspect.signature(type(value)).bind(**held)
        except TypeError:
            return {"unsaved": text_of(value)}
        name = registry.name_of(type(value))
        return {"object": name, "kwargs": {key: self.write(part, depth) for key, part in held.items()}}

    def array(self, value: Any) -> str:
        """The name of an array among the arguments."""
        if id(value) not in self.names:
            self.names[id(value)] = name = f"{ARGUMENT}{len(self.names)}"
            self.arrays[name] = self.ops.to_host(value)
        return self.names[id(value)]


def text_of(value: Any) -> str:
    """What a value is called in messages, without what differs from process to process."""
    try:
        shown = str(getattr(value, "__qualname__", None) or repr(value))
    except Exception:
        shown = type(value).__name__
    shown = re.sub(r" at 0x[0-9a-fA-F]+", "", shown)
    return shown if len(shown) <= 200 else shown[:197] + "..."
