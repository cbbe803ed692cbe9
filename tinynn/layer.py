"""The layer protocol: `build`, `forward`, `backward`, `predict`, and what the author of a layer calls.

A complete layer of your own, which then trains, checks and saves like the built-in ones:

    class Gain(Layer):
        '''y = g * x, one learned gain per feature.'''
        def build(self, shape):
            self.param("g", shape, ones)
            return shape
        def forward(self, x):
            return x * self.g, x
        def backward(self, dy, x):
            self.dg[...] = (dy * x).sum(axis=0)
            return dy * self.g

The rules: inputs are read-only; what a layer returns is borrowed until its next call in the same thread; gradients are
written into `self.d<name>`, in full, and never accumulated. No `super().__init__()` is needed.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from tinynn.backend import Array, Ops
from tinynn.errors import ConfigurationError, NotBuiltError, ShapeError, StateError
from tinynn.init import Init
from tinynn.site import Build, Shape, Site, as_shape, check_free, declaration, explain_build

__all__ = ["Array", "Layer", "Shape"]


class Layer:
    """The base of every layer, loss and container."""

    integer_inputs = False
    """True for a layer that reads integers as they are; for others the network turns them into its dtype."""

    predict_differs = False
    """True for a layer whose inference is meant to differ from training, as that of dropout."""

    straight = False
    """True for a layer whose passes make the same calls each time: functions of `self.xp`, verbs of `self.ops` that are
    marked so, and passes of the layers within it. Then `fit` replays those calls without the layer. No subclass
    inherits it."""

    # Set by the network before it calls `build`.
    xp: Any
    ops: Ops
    dtype: np.dtype
    needs_dx: bool
    _site: Site | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # The arguments are kept for `repr` here rather than in __init__, which a layer may define without super().
        self = super().__new__(cls)
        self.__dict__["_arguments"] = (args, kwargs)
        return self

    # --- the protocol: a layer defines build, forward and backward, and predict where inference differs. The signatures
    # are (*args: Any, **kwargs: Any), to type checkers the one that every other may override: layers name their inputs.

    def build(self, *shapes: Any, **options: Any) -> Any:
        """Declares parameters and state for inputs of these per-example shapes; returns the output's shape."""
        return shapes[0]

    def forward(self, *xs: Any, **options: Any) -> tuple[Array, Any]:
        """The training pass: the output, and a cache of whatever `backward` will need."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(self, x) and return (y, cache)")

    def backward(self, dy: Array, cache: Any, /) -> Any:
        """The gradient with respect to the input (a tuple for several), from that of the output; writes `self.d<name>`.

        Where `self.needs_dx` is False nobody reads dx, and None may be returned; None in a tuple stands for an input
        that has no gradient, such as labels.
        """
        raise NotImplementedError(f"{type(self).__name__} must define backward(self, dy, cache) and return dx")

    def predict(self, *xs: Any, **options: Any) -> Array:
        """The output at inference; the same as in training unless the layer says otherwise."""
        y, _ = self.forward(*xs)  # unpacked, so that a forward without a cache is noticed here too
        return y

    def example(self, rng: np.random.Generator, n: int, *shapes: Shape) -> tuple[np.ndarray, ...]:
        """N rows of inputs of these shapes to check the layer on: normal numbers unless its domain is another."""
        return tuple(rng.standard_normal((n, *shape)) for shape in shapes)

    # --- for the author of a layer

    def param(self, name: str, shape: Shape, init: Init | Array, decay: bool = True) -> None:
        """Declares a trained array: from then on `self.<name>` is the array and `self.d<name>` its gradient.

        `init` is a function (rng, shape) -> array, or an array of that shape. L2 acts where `decay` is True: say False
        for biases. Call it in `build`; the arrays are there when `build` of the whole network has returned.
        """
        self._declare(name, shape, init, trained=True, decay=decay)

    def state(self, name: str, shape: Shape, init: Init | Array) -> None:
        """Declares an array `self.<name>` that is saved and copied with the network but not trained."""
        self._declare(name, shape, init, trained=False, decay=False)

    def sublayer(self, name: str, layer: Layer, *shapes: Shape, needs_dx: bool = True) -> Shape:
        """Builds a layer inside this one, for inputs of these shapes, and returns its output's shape."""
        site = self._built()
        attach(layer, shapes, site.build, f"{site.path}.{name}" if site.path else name, needs_dx)
        site.children[name] = layer
        return layer._built().output

    def empty(self, name: str, shape: Shape, dtype: Any = None) -> Array:
        """This layer's reusable array of that name, its contents undefined: one per thread, kept between calls."""
        held = self._scratch.__dict__
        array = held.get(name)
        if array is not None and array.shape == shape and (dtype is None or array.dtype == dtype):
            return array
        dtype = self.dtype if dtype is None else self.xp.dtype(dtype)
        size = math.prod(shape)
        room = held.get(("room", name))
        # Kept flat at the largest size seen, so that a ragged last batch is a view and not an allocation.
        if room is None or room.size < size or room.dtype != dtype:
            room = held["room", name] = self.xp.empty(size, dtype)
        array = held[name] = room[:size].reshape(shape)
        return array

    def empty_like(self, name: str, x: Array) -> Array:
        """`empty` of x's shape, its axes in the order in memory that x's have.

        Images lie in memory in whatever order the layer that made them is fastest in; a layer that works element by
        element reads and writes them in that order.
        """
        if x.flags.c_contiguous:
            return self.empty(name, x.shape)
        order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))  # the axes as memory has them
        room = self.empty(name, tuple(x.shape[axis] for axis in order))
        return room.transpose(sorted(range(x.ndim), key=order.__getitem__))

    @property
    def first_row(self) -> int:
        """Which row of the whole batch this one begins with: 0, unless several processes share it."""
        return self._built().build.first_row

    # --- what a user may ask a layer

    @property
    def where(self) -> str:
        """The layer's place and description, as errors name it."""
        path = self._site.path if self._site else ""
        return f"layer {path}: {self!r}" if path else repr(self)

    def walk(self) -> Iterator[tuple[str, Layer]]:
        """This layer and all within it with their paths, from the input to the output."""
        site = self._built()
        yield site.path, self
        for child in site.children.values():
            yield from child.walk()

    def __repr__(self) -> str:
        args, kwargs = self._arguments
        shown = [describe(arg) for arg in args] + [f"{name}={describe(arg)}" for name, arg in kwargs.items()]
        return f"{type(self).__name__}({', '.join(shown)})"

    # --- the machinery

    def wire(self, *shapes: Any, **options: Any) -> Shape:
        """`build` as a part of a network; containers, whose own `build` is for the user, override it."""
        return self.build(*shapes)

    def _built(self, what: str = "is used before it was built") -> Site:
        if self._site is None:
            raise NotBuiltError(
                f"{type(self).__name__} {what}",
                where=repr(self),
                expected="a built network",
                got="a layer that has not been built",
                fix="call net.build(shape) first, shape being that of one example",
            )
        return self._site

    def _declare(self, name: str, shape: Shape, init: Init | Array, trained: bool, decay: bool) -> None:
        site = self._built()
        taken = {*self.__dict__, *dir(type(self)), *site.declared, *(f"d{other}" for other in site.declared)}
        site.declared[name] = declaration(site, self.where, taken, name, shape, init, trained, decay)

    def _bind(self, name: str, array: Array) -> None:
        """Makes `self.<name>` a view of the network's storage."""
        site = self._built()
        site.bound[name] = array
        self.__dict__[name] = array

    def __setattr__(self, name: str, value: Any) -> None:
        # In-place operators (self.dW += ...) assign too, but the array that is there already.
        if self._site is not None and name in self._site.bound and value is not self._site.bound[name]:
            raise StateError(
                f"self.{name} = ... would cut the array off from the network's storage",
                where=self.where,
                expected=f"values written into self.{name}",
                got=f"another {type(value).__name__} bound to the name",
                fix=f"self.{name}[...] = ..., or out=self.{name}",
            )
        self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            self._built(f"has no attribute {name!r} before it is built")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        """The layer as it was before `build`: what copies and pickles hold."""
        built = {"_site", "_scratch", "xp", "ops", "dtype", "needs_dx"}
        if self._site is not None:
            built |= set(self._site.bound)
        return {name: value for name, value in self.__dict__.items() if name not in built}


def describe(argument: Any) -> str:
    """A constructor argument as `repr` shows it: functions by name, arrays by shape."""
    if callable(argument) and hasattr(argument, "__name__"):
        return argument.__name__
    shape = () if isinstance(argument, Layer) else getattr(argument, "shape", ())
    return f"<array {shape}>" if shape else repr(argument)


def attach(layer: Layer, shapes: tuple[Shape, ...], build: Build, path: str, needs_dx: bool) -> None:
    """Gives a layer its place and lets it declare what it needs for these shapes."""
    if not isinstance(layer, Layer):
        raise ConfigurationError(
            "not a layer",
            where=f"layer {path}",
            expected="an instance of a subclass of tinynn.Layer",
            got=repr(layer),
            fix=f"write {layer.__name__}(...), with parentheses" if isinstance(layer, type) else "remove it",
        )
    old = layer._site
    check_free(repr(layer), old, build, path)
    build.reach(layer, shapes)
    for name in old.bound if old else ():
        del layer.__dict__[name]
    ops, dtype = build.ops, build.dtype
    site = Site(build, path, shapes)
    layer.__dict__.update(_site=site, _scratch=threading.local(), xp=ops.xp, ops=ops, dtype=dtype, needs_dx=needs_dx)
    try:
        output = layer.wire(*shapes)
    except Exception as error:
        explain_build(error, layer.where, shapes)
    sizes = as_shape(output)
    if sizes is None and not path and isinstance(output, tuple) and all(as_shape(part) is not None for part in output):
        sizes = output  # a graph of several outputs, which stands by itself
    if sizes is None:
        raise ShapeError(
            "build did not return a shape",
            where=layer.where,
            expected="the output's per-example shape, a tuple of integers",
            got=repr(output),
            fix="end build with: return shape",
        )
    site.output = sizes
