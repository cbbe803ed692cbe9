"""A layer's place in a built network, and what it declared there."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinynn.backend import Array, Ops
from tinynn.errors import ConfigurationError
from tinynn.init import Init

__all__ = ["Build", "Declaration", "Shape", "Site", "check_free"]

Shape = tuple[int, ...]
"""The shape of one example, without the batch axis: (784,) or (1, 28, 28); () for a scalar such as a label."""


@dataclass(frozen=True)
class Declaration:
    """One array that a layer asked for in `build`: a parameter, or state when `trained` is False."""

    name: str
    shape: Shape
    init: Init | Array
    trained: bool
    decay: bool


@dataclass(eq=False)
class Build:
    """One call of a network's `build`: what all its layers share. `undo` holds what each layer was before."""

    ops: Ops
    dtype: np.dtype
    root: weakref.ref[Any]
    undo: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)


@dataclass
class Site:
    """Where a layer stands, for which shapes, what it declared, which layers it contains, which arrays it sees."""

    build: Build
    path: str
    shapes: tuple[Shape, ...]
    output: Shape = ()
    declared: dict[str, Declaration] = field(default_factory=dict)
    children: dict[str, Any] = field(default_factory=dict)
    bound: dict[str, Array] = field(default_factory=dict)


def check_free(description: str, old: Site | None, build: Build, path: str) -> None:
    """Refuses a layer that has a place already: in this network, or in another one that is still in use.

    Errors: ConfigurationError.
    """
    if old is None or (old.build is not build and old.build.root() in (None, build.root())):
        return
    if old.build is build:
        what = "the same layer object stands in two places: its cache and gradients would be overwritten"
        got = f"the layer that is already layer {old.path}"
    else:
        what = "a layer cannot belong to two networks: they would share and overwrite one set of parameters"
        got = f"layer {old.path} of another network"
    raise ConfigurationError(
        what,
        where=f"layer {path}: {description}",
        expected="a layer object of its own for every place",
        got=got,
        fix="copy.deepcopy(layer) makes a new layer with the same settings",
    )
