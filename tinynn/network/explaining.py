"""One training step made on a copy of a network, and written down."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from tinynn.errors import ConfigurationError, TinynnError
from tinynn.layer import Layer
from tinynn.network.advice import advice
from tinynn.network.evaluation import loss_of
from tinynn.network.explanation import Explanation, LayerStep, ParameterStep
from tinynn.network.finite import CHECKING
from tinynn.network.inputs import receive
from tinynn.network.observed import Observed, Observer, norm
from tinynn.network.settings import simple
from tinynn.network.sources import check_targets
from tinynn.network.watched import watching

__all__ = ["explain"]

T = TypeVar("T")


def explain(net: Any, data: tuple[Any, ...], optimizer: Any) -> Explanation:
    """What `Network.explain` returns.

    Errors: StateError, ConfigurationError, ShapeError, LabelError, DataError.
    """
    loss_of(net, "explain needs a network that ends in a loss")
    refuse_optimizer(net, data, optimizer)
    xs = receive(net, data, targets=True)
    check_targets(net, [net.ops.to_host(t) for t in xs[len(net.input_names) :]])
    twin, by = twin_of(net), copied(optimizer, f"optimizer={optimizer!r}")
    observer = Observer(twin)
    with unchecked(), np.errstate(all="ignore"):
        with watching(observer.layers, observer):
            loss, cache = twin.forward(*xs)
            twin.backward(1.0, cache)
        number, gradients = float(twin.ops.to_host(loss)), norms(twin, twin.storage.gradients)
        before, steps = twin.storage.params.copy(), {}
        if by is not None:
            by.step(twin)
            steps = norms(twin, twin.storage.views(twin.storage.params - before))
        lengths = norms(twin, twin.storage.views(before))
    arrays: dict[str, list[ParameterStep]] = {}
    at = dict(twin.walk())
    for name, view in twin.storage.parameters.items():
        path, _, own = name.rpartition(".")
        decay = at[path]._built().declared[own].decay
        part = ParameterStep(name, view.shape, lengths[name], gradients[name], steps.get(name), decay)
        arrays.setdefault(path, []).append(part)
    layers = [
        layer_step(path, layer, observer.seen[id(layer)], arrays.get(path, []))
        for path, layer in at.items()
        if layer is not twin and not hasattr(layer, "run_forward")
    ]
    shown = None if optimizer is None else repr(optimizer)
    return Explanation(len(xs[0]), number, shown, tuple(layers), tuple(advice(number, layers)))


def layer_step(path: str, layer: Layer, seen: Observed, arrays: list[ParameterStep]) -> LayerStep:
    """A layer's line of the table."""
    site = layer._built()
    return LayerStep(
        path=path,
        layer=repr(layer),
        formula=formula(layer.__class__),
        inputs=site.shapes,
        output=site.output,
        parameters=sum(math.prod(part.shape) for part in arrays),
        minimum=seen.minimum,
        mean=seen.mean,
        maximum=seen.maximum,
        dy=seen.dy,
        dx=seen.dx,
        units=seen.units,
        dead=seen.dead,
        saturated=seen.saturated,
        arrays=tuple(arrays),
    )


def formula(kind: type) -> str:
    """The first line of a class's own docstring."""
    lines = (vars(kind).get("__doc__") or "").strip().splitlines()
    return lines[0].rstrip(".") if lines else ""


def norms(net: Any, arrays: dict[str, Any]) -> dict[str, float]:
    """The norm of each array."""
    return {name: norm(net.ops, array) for name, array in arrays.items()}


def twin_of(net: Any) -> Any:
    """A network of its own with the same parameters, states and settings, also those changed since it was built."""
    twin = copied(net, net.where)
    for (_, layer), (_, other) in zip(net.walk(), twin.walk(), strict=True):
        other.__dict__.update(simple(layer))
    return twin


def copied(thing: T, where: str) -> T:
    """Errors: ConfigurationError for what cannot be copied."""
    try:
        return copy.deepcopy(thing)
    except TinynnError:
        raise
    except Exception as error:
        raise ConfigurationError(
            "the step is made on a copy, and this cannot be copied",
            where=where,
            expected="what copy.deepcopy can copy",
            got=f"{type(error).__name__}: {error}",
            fix="hold locks, files and the like outside of layers and optimizers, or define __deepcopy__",
        ) from error


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Outside of `check_finite`: a table shows a NaN, and the layers have one watcher."""
    token = CHECKING.set(False)
    try:
        yield
    finally:
        CHECKING.reset(token)


def refuse_optimizer(net: Any, data: tuple[Any, ...], optimizer: Any) -> None:
    """Errors: ConfigurationError for an optimizer among the data, and for what is none."""
    among = next((x for x in data if callable(getattr(x, "step", None))), None)
    if among is None and (optimizer is None or is_optimizer(optimizer)):
        return
    raise ConfigurationError(
        "explain takes the optimizer by its name" if among is not None else "this is no optimizer",
        where=net.where,
        expected="net.explain(x, targets, optimizer=...), an object with step(net)",
        got=repr(optimizer if among is None else among),
        fix="net.explain(x, targets, optimizer=SGD(0.1))",
    )


def is_optimizer(thing: Any) -> bool:
    return not isinstance(thing, type) and callable(getattr(thing, "step", None))
