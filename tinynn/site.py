"""A layer's place in a built network, and what it declared there."""

from __future__ import annotations

import operator
import weakref
from typing import Any, NamedTuple, NoReturn

import numpy as np

from tinynn.backend import Array, Ops
from tinynn.errors import ConfigurationError, ShapeError, StateError, TinynnError
from tinynn.init import Init

__all__ = ["Build", "Declaration", "Shape", "Site", "as_shape", "check_free", "declaration", "explain_build"]

Shape = tuple[int, ...]
"""The shape of one example, without the batch axis: (784,) or (1, 28, 28); () for a scalar such as a label."""


class Declaration(NamedTuple):
    """One array that a layer asked for in `build`: a parameter, or state when `trained` is False."""

    name: str
    shape: Shape
    init: Init | Array
    trained: bool
    decay: bool


class Build:
    """One call of a network's `build`: what all its layers share.

    `undo` holds what each layer was before. `open`: whether layers may still declare arrays. `first_row`: which row of
    the whole batch a batch begins with; 0 unless several processes share it.
    """

    first_row = 0

    def __init__(self, ops: Ops, dtype: np.dtype, root: weakref.ref[Any]) -> None:
        self.ops, self.dtype, self.root = ops, dtype, root
        self.undo: list[tuple[Any, dict[str, Any]]] = []
        self.open = True

    def reach(self, layer: Any, shapes: tuple[Shape, ...]) -> None:
        """Told of each layer before it is built."""
        self.undo.append((layer, dict(layer.__dict__)))


class Site:
    """Where a layer stands, for which shapes, what it declared, which layers it contains, which arrays it sees."""

    def __init__(self, build: Build, path: str, shapes: tuple[Shape, ...]) -> None:
        self.build, self.path, self.shapes = build, path, shapes
        self.output: Shape = ()
        self.declared: dict[str, Declaration] = {}
        self.children: dict[str, Any] = {}
        self.bound: dict[str, Array] = {}


def as_shape(value: Any) -> Shape | None:
    """A tuple of integers >= 0, NumPy's among them, as a tuple of Python's; None for anything else."""
    try:
        sizes = tuple(operator.index(size) for size in value) if isinstance(value, tuple) else (-1,)
    except TypeError:
        return None
    return None if any(size < 0 for size in sizes) else sizes


def check_free(description: str, old: Site | None, build: Build, path: str) -> None:
    """Refuses a layer that has a place already: in this network, or in another one that is still in use.

    Errors: ConfigurationError.
    """
    if old is None or (old.build is not build and old.build.root() in (None, build.root())):
        return
    if old.build is build:
        what = "the same layer object stands in two places: its cache and gradients would be overwritten"
        got = f"the layer that is already layer {old.path}" if old.path else "the network itself"
    else:
        what = "a layer cannot belong to two networks: they would share and overwrite one set of parameters"
        got = f"layer {old.path} of another network" if old.path else "a network that was built by itself"
    raise ConfigurationError(
        what,
        where=f"layer {path}: {description}" if path else description,
        expected="a layer object of its own for every place",
        got=got,
        fix="copy.deepcopy(layer) makes a new layer with the same settings",
    )


def declaration(
    site: Site,
    where: str,
    taken: set[str],
    name: str,
    shape: Any,
    init: Init | Array,
    trained: bool,
    decay: bool,
) -> Declaration:
    """What `param` and `state` declare, with its name and shape checked; `taken`: names that are in use already.

    Errors: StateError outside `build`, ShapeError, ConfigurationError for a name that cannot be had.
    """
    if not site.build.open:
        raise StateError(
            f"{name!r} is declared after the network was built",
            where=where,
            expected="param, state and sublayer called in build",
            got="a call after it",
            fix="declare it in build(self, shape); for working memory take self.empty(name, shape)",
        )
    sizes = as_shape(shape)
    if sizes is None:
        raise ShapeError(
            f"{name!r} is declared without a shape",
            where=where,
            expected="a tuple of integers, such as (3, 4) or (3,)",
            got=repr(shape),
            fix=f"write ({shape},) in place of {shape}" if isinstance(shape, int) else "give every size as an integer",
        )
    if not str(name).isidentifier() or {name, f"d{name}"} & taken:
        raise ConfigurationError(
            f"a parameter cannot be named {name!r}",
            where=where,
            expected="a Python name that the layer does not use yet, neither as it is nor with a d before it",
            got=repr(name),
            fix="choose another name",
        )
    return Declaration(name, sizes, init, trained, decay)


def explain_build(error: Exception, where: str, shapes: tuple[Any, ...]) -> NoReturn:
    """Raises what went wrong in a layer's `build` with the layer named.

    Errors: ConfigurationError for a TypeError or ValueError; others as they are, with a note.
    """
    given = " and ".join(map(str, shapes))
    if isinstance(error, TypeError | ValueError) and not isinstance(error, TinynnError):
        raise ConfigurationError(
            f"build of a layer failed: {error}",
            where=where,
            expected=f"build to work for the {'shapes' if len(shapes) > 1 else 'shape'} {given}",
            got=f"a {type(error).__name__}",
            fix="correct build, which takes one shape for each input; the error above says where it failed",
        ) from error
    if not isinstance(error, TinynnError) and not getattr(error, "__notes__", None):  # the innermost layer says it
        error.add_note(f"raised in build of {where} for {given}")
    raise error
