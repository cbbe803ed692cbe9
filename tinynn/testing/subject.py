"""The layer that is checked: rows for it, and copies of it, each built anew for one check."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tinynn.backend import Ops, get_backend
from tinynn.errors import ConfigurationError, TinynnError
from tinynn.gradcheck import draw_dy, of_dtype
from tinynn.layer import Layer, Shape
from tinynn.losses import Loss
from tinynn.network import Graph, Network, Sequential
from tinynn.random import generator
from tinynn.specimen import Specimen
from tinynn.testing.report import ComplianceError, NotApplicable

__all__ = ["Subject", "agree", "constructed", "refusal", "usual_shapes"]

ROWS = 5
USUAL = ((4,), (2, 3), (3, 8, 8), (5, 6, 6, 6))  # shapes to try when none is named
NOISE = 1e-13  # what another order of summation may change where everything cancels


class Subject:
    """A layer, the shapes of its inputs, and rows of them; the layer itself is never touched."""

    def __init__(
        self, layer: Layer, shapes: tuple[Shape, ...], inputs: Sequence[Any] | None, seed: int, backend: str | Ops
    ) -> None:
        if not isinstance(layer, Layer):
            raise ConfigurationError(
                "only layers can be checked",
                where="check_layer",
                expected="an instance of a subclass of tinynn.Layer",
                got=repr(layer),
                fix="write MyLayer(...), with parentheses"
                if isinstance(layer, type)
                else "check_layer(MyLayer(), (4,))",
            )
        generator(seed)  # refuses what is no seed before anything is checked
        self.layer, self.seed, self.ops = layer, seed, get_backend(backend)
        self.inputs = None if inputs is None else tuple(np.asarray(x) for x in inputs)
        if self.inputs is not None:
            shapes = tuple(x.shape[1:] for x in self.inputs)
        self.shapes = shapes or usual_shapes(layer, self.ops)
        if not self.shapes:
            reason = refusal(layer, (USUAL[0],), self.ops)
            raise ConfigurationError(
                f"none of the usual shapes fits this layer: {reason.what if reason else ''}",
                where=repr(layer),
                expected="the shape of one example, for each input",
                got=f"none; {', '.join(map(str, USUAL))} were refused",
                fix="check_layer(layer, (3, 32, 32)), or --shape 3x32x32",
            )

    # --- rows

    @cached_property
    def pool(self) -> tuple[np.ndarray, ...]:
        """The inputs as given, or five rows that the layer's `example` draws."""
        if self.inputs is not None:
            return self.inputs
        return self.specimen().layer.example(generator(self.seed, "rows"), ROWS, *self.shapes)

    def rows(self, n: int, dtype: str = "float64") -> list[np.ndarray]:
        """n rows of every input, floats in that dtype; where fewer are there, they come round again."""
        return [of_dtype(x[np.arange(n) % len(x)], dtype) for x in self.pool]

    def others(self, n: int, shapes: tuple[Shape, ...], dtype: str = "float64") -> list[np.ndarray]:
        """n rows of other shapes, made of the same numbers."""
        return [of_dtype(np.resize(x, (n, *shape)), dtype) for x, shape in zip(self.pool, shapes, strict=True)]

    def dy(self, specimen: Specimen, n: int) -> Any:
        """A gradient of the output, the same in every call."""
        return draw_dy(specimen, generator(self.seed, "dy", n), n)

    # --- copies

    def specimen(self, dtype: str = "float64", *, ops: Ops | None = None, needs_dx: bool = True) -> Specimen:
        """A copy with its parameters slightly shaken, the same in every call."""
        made = Specimen(self.layer, self.shapes, ops or self.ops, dtype, self.seed, needs_dx)
        made.shake(generator(self.seed, "shake"))
        return made

    def network(
        self,
        layer: Layer | None = None,
        shapes: tuple[Shape, ...] | None = None,
        dtype: str = "float64",
        shaken: bool = True,
    ) -> Network:
        """A network of a copy of this layer alone, or of the given layer itself."""
        layer, shapes = copy.deepcopy(self.layer) if layer is None else layer, shapes or self.shapes
        if isinstance(layer, Network):
            net = layer
        elif isinstance(layer, Loss) or len(shapes) == 1:
            net = Sequential(layer)
        else:
            net = Graph(y=(layer, *(f"x{i}" for i in range(len(shapes)))))
        self.build(net, shapes, dtype)
        if shaken:
            rng = generator(self.seed, "shake")
            for view in net.storage.parameters.values():
                view += self.ops.asarray(0.1 * rng.standard_normal(view.shape))
        return net

    def part(self) -> Layer:
        """A copy to become part of a container: not built, unlike the copy of a network that is."""
        built = isinstance(self.layer, Network) and self.layer._site is not None
        return constructed(self.layer) if built else copy.deepcopy(self.layer)

    def build(self, net: Network, shapes: tuple[Shape, ...], dtype: str = "float64") -> None:
        """Builds the network as `network` does, for these shapes."""
        net.build(*shapes, backend=self.ops, dtype=dtype, seed=self.seed, needs_dx=True)

    def train(self, net: Network, xs: Sequence[np.ndarray]) -> np.ndarray:
        """The output of one training pass, with its backward pass behind it."""
        y, cache = net.forward(*map(self.ops.asarray, xs))
        host = np.array(self.ops.to_host(y))
        net.backward(1.0 if net.final_loss is not None else self.ops.asarray(np.ones_like(host)), cache)
        return host

    def infer(self, net: Network, xs: Sequence[np.ndarray]) -> np.ndarray:
        """The output at inference."""
        return self.ops.to_host(net.predict(*map(self.ops.asarray, xs[: len(net.input_shapes)])))

    def larger(self) -> tuple[Shape, ...]:
        """Other shapes that the layer takes, one larger along the last axis.

        Errors: NotApplicable where it takes none.
        """
        shapes = tuple((*shape[:-1], shape[-1] + 1) if shape else shape for shape in self.shapes)
        try:
            self.train(self.network(shapes=shapes), self.others(3, shapes))
        except TinynnError as error:
            raise NotApplicable(f"it takes no other shape than {self.shapes}: {error.what}") from error
        return shapes


def usual_shapes(layer: Layer, ops: Ops) -> tuple[Shape, ...]:
    """The first of the usual shapes that `build` takes, for each input one; () where it takes none of them."""
    every = (shapes for shape in USUAL for shapes in candidates(layer, shape))
    return next((shapes for shapes in every if refusal(layer, shapes, ops) is None), ())


def refusal(layer: Layer, shapes: tuple[Shape, ...], ops: Ops) -> TinynnError | None:
    """What `build` says against these shapes."""
    try:
        Specimen(layer, shapes, ops, "float64")
    except TinynnError as error:
        return error
    return None


def candidates(layer: Layer, shape: Shape) -> list[tuple[Shape, ...]]:
    """This shape for as many inputs as `forward` takes; for losses, with labels or rows."""
    if isinstance(layer, Loss):
        return [(shape, ()), (shape, shape)]
    if isinstance(layer, Network):
        layers: Any = layer  # every container can be walked through
        targets = [(shape, ())] if any(isinstance(inner, Loss) for inner in layers) else []
        return [*targets, (shape,), (shape, shape)]
    parameters = inspect.signature(layer.forward).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return [(shape,), (shape, shape)]
    return [(shape,) * sum(p.default is p.empty for p in parameters)]


def constructed(layer: Layer) -> Layer:
    """A layer made by the same call as this one."""

    def anew(value: Any) -> Any:
        return constructed(value) if isinstance(value, Layer) else copy.deepcopy(value)

    def nested(value: Any) -> Any:
        return type(value)(map(anew, value)) if type(value) in (tuple, list) else anew(value)

    args, kwargs = layer._arguments
    return type(layer)(*map(nested, args), **{name: nested(value) for name, value in kwargs.items()})


def agree(where: str, what: str, got: np.ndarray, expected: np.ndarray, fix: str, rtol: float = 0.0) -> None:
    """Fails where the two differ by more than rtol times the largest element; at 0, in a single bit.

    Errors: ComplianceError with the first such element.
    """
    if got.shape != expected.shape or got.dtype != expected.dtype:
        kinds = [f"{a.dtype} of shape {a.shape}" for a in (expected, got)]
        raise ComplianceError(what, where=where, expected=kinds[0], got=kinds[1], fix=fix)
    atol = rtol * float(np.abs(expected).max(initial=0)) + (NOISE if rtol else 0)
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    bad = np.argwhere(~(same | (np.abs(got - expected) <= atol)))
    if len(bad):
        index = tuple(bad[0].tolist())
        place = f"{where}, element {list(index)}" if index else where
        raise ComplianceError(what, where=place, expected=expected[index], got=got[index], fix=fix)
