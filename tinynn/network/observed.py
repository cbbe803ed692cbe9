"""What passes between the layers of a network, in numbers: each array is looked at while it is there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinynn.backend import Ops
from tinynn.layer import Layer
from tinynn.layers import Sigmoid, Tanh
from tinynn.losses import Loss
from tinynn.network.inputs import receive
from tinynn.network.watched import watching

__all__ = ["Observed", "Observer", "layer_outputs", "norm"]

SLOPES = {Sigmoid: lambda y: y * (1 - y), Tanh: lambda y: 1 - y * y}
FLAT = 0.01  # a slope below it hardly lets a gradient through


class Observed:
    """What a layer did in one step; `dy` and `dx` are norms, None of a gradient that was not asked for.

    `dead`: how many of the `units` put out 0 for every row, and let no gradient through; None for layers of which
    nobody would say so. `saturated`: how many have a slope of less than 0.01 in every row, of sigmoids and tanh.
    """

    def __init__(self) -> None:
        self.minimum = self.mean = self.maximum = math.nan
        self.dy: float | None = None
        self.dx: float | None = None
        self.units = 0
        self.saturated: int | None = None
        self.silent: Any = None  # for each unit, whether it was 0 for every row
        self.fed: Any = None  # and whether anything else had come in
        self.blocks: Any = None  # and whether it lets no gradient through

    @property
    def dead(self) -> int | None:
        """How many units are silent because the layer makes them so."""
        if self.silent is None:
            return None
        return int((self.silent & (self.fed if self.blocks is None else self.blocks)).sum())


class Observer:
    """The watcher of one training step of a network: `seen` has what each layer did, by the layer's id."""

    def __init__(self, net: Any) -> None:
        self.ops: Ops = net.ops
        self.layers = [layer for _, layer in net.walk() if layer is not net]
        self.seen = {id(layer): Observed() for layer in self.layers}

    def watches(self, layer: Layer) -> bool:
        """Whether it is a layer of this network."""
        return id(layer) in self.seen

    def call(self, layer: Layer, method: str, plain: Any, *args: Any, **options: Any) -> Any:
        """A layer's pass, and a look at what went in and came out."""
        result = plain(*args, **options)
        seen = self.seen[id(layer)]
        if method == "forward":
            self.look_forward(layer, seen, args, result[0] if isinstance(result, tuple) and result else result)
        elif method == "backward":
            self.look_backward(seen, args[0], result if isinstance(result, tuple) else (result,), layer.needs_dx)
        return result

    def look_forward(self, layer: Layer, seen: Observed, xs: tuple[Any, ...], y: Any) -> None:
        """The output, and what can be said of its units."""
        host = self.ops.to_host
        if self.is_array(y) and y.size:
            seen.minimum, seen.maximum = float(host(y.min())), float(host(y.max()))
            seen.mean = float(host(y.mean(dtype=self.ops.xp.float64)))
        if not self.is_array(y) or isinstance(layer, Loss):
            return
        slope = next((slope for kind, slope in SLOPES.items() if isinstance(layer, kind)), None)
        if slope is not None:
            seen.saturated = int(host((slope(y) < FLAT).all(axis=over(y))).sum())
        seen.units = int(host(y[:1].any(axis=over(y))).size)
        if is_elementwise(layer) and len(xs) == 1 and getattr(xs[0], "shape", None) == y.shape:
            seen.silent = ~host(y.any(axis=over(y)))
            seen.fed = host(xs[0].any(axis=over(y)))

    def look_backward(self, seen: Observed, dy: Any, dxs: tuple[Any, ...], needs_dx: bool) -> None:
        """The gradient that came, and those that are handed down."""
        seen.dy = norm(self.ops, dy)
        given = [dx for dx in dxs if self.is_array(dx)] if needs_dx else []
        if given:
            seen.dx = math.hypot(*(norm(self.ops, dx) for dx in given))
        if seen.silent is not None and given:
            asked, answered = (self.ops.to_host(d.any(axis=over(d))) for d in (dy, given[0]))
            seen.blocks = ~answered & (asked | seen.fed)

    def is_array(self, x: Any) -> bool:
        return isinstance(x, self.ops.xp.ndarray | np.generic)


def is_elementwise(layer: Layer) -> bool:
    """Whether it may be an activation: nothing of its own, and the same at inference."""
    site = layer._built()
    return not (site.declared or site.children or layer.predict_differs)


def over(y: Any) -> tuple[int, ...]:
    """The axes of what belongs to one unit: all rows, and of images (N, C, H, W) all places of a channel."""
    return (0, 2, 3) if y.ndim == 4 else (0,) if y.ndim else ()


def norm(ops: Ops, x: Any) -> float:
    """The Euclidean norm of all elements, in float64: squares of small gradients vanish in float32."""
    if not isinstance(x, ops.xp.ndarray | np.generic):
        return abs(float(x))
    return math.sqrt(float(ops.to_host(ops.xp.multiply(x, x, dtype=ops.xp.float64).sum())))


class Outputs:
    """The watcher that keeps what each layer puts out at inference, on the host, in the order in which it is made."""

    def __init__(self, net: Any) -> None:
        self.ops = net.ops
        self.layers = {id(layer): (path, layer) for path, layer in net.walk() if layer is not net}
        self.kept: dict[int, np.ndarray] = {}

    def watches(self, layer: Layer) -> bool:
        """Whether it is a layer of this network."""
        return id(layer) in self.layers

    def call(self, layer: Layer, method: str, plain: Any, *args: Any, **options: Any) -> Any:
        """A layer's pass."""
        result = plain(*args, **options)
        if method == "predict":
            self.kept[id(layer)] = np.array(self.ops.to_host(result))
        return result


def layer_outputs(net: Any, *xs: Any) -> list[tuple[str, Layer, np.ndarray]]:
    """What each layer puts out at inference for these inputs: its path, the layer, and the array, on the host.

    Errors: those of `predict`.
    """
    given, outputs = receive(net, xs), Outputs(net)
    net._scratch.token = None  # caches from before this call are stale
    layers = [layer for _, layer in outputs.layers.values()]
    with np.errstate(over="ignore", invalid="ignore"), watching(layers, outputs):
        net.run_predict(given)
    return [(*outputs.layers[key], y) for key, y in outputs.kept.items()]
