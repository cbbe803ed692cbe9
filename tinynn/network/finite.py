"""NaN and Inf found where they are born: while a network runs, every array between its layers is looked at.

What came before has been looked at and was finite, so the layer that first makes or holds a number that is not is the
one to name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinynn.backend import Array
from tinynn.layer import Layer
from tinynn.losses import Loss
from tinynn.network.blame import first_bad, limits, made
from tinynn.network.watched import WATCHER, watching

__all__ = ["CHECKING", "check_finite", "watched"]

CHECKING: ContextVar[bool] = ContextVar("check_finite", default=False)
"""Whether this thread, or task, is within `check_finite`: the one thing that a call of a network asks outside it."""


@contextlib.contextmanager
def check_finite() -> Iterator[None]:
    """Within it a network that meets NaN or Inf says which layer made it, in which array and where in that.

        with tinynn.check_finite():
            loss, cache = net.forward(x, targets)
            net.backward(1.0, cache)

    It holds for `forward`, `backward`, `predict`, `evaluate` and `loss` of every network, in this thread or task;
    outside it nothing is looked at. Looked at are floats: inputs, parameters and states, every layer's output, dx and
    gradients. NumPy does not warn of an overflow there, which is found all the same.
    Errors: NonFiniteError, in the calls within.
    """
    token = CHECKING.set(True)
    try:
        yield
    finally:
        CHECKING.reset(token)


def watched(net: Any) -> Any:
    """The network as its own methods call it while it is watched."""
    build, watcher = net._built().build, WATCHER.get()
    if isinstance(watcher, Watched) and watcher.build is build:  # a network within the one that is watched
        return net
    return net if net.xp is not build.ops.xp else Watched(net)  # another xp: it is being recorded


class Watched:
    """A network whose `run_forward`, `run_backward`, `run_predict` and `run_scores` look at all arrays; else the same.

    The layers' passes come to `call`.
    """

    replays = False  # it must run by the layers' own code

    def __init__(self, net: Any) -> None:
        self.net, self.ops, self.build = net, net.ops, net._built().build
        self._scratch = SimpleNamespace()  # without the calls that an earlier predict recorded
        self.parents = {id(child): layer for _, layer in net.walk() for child in layer._built().children.values()}
        self.first_row = self.next_row = 0  # of the data, in the part of them that runs now

    def __getattr__(self, name: str) -> Any:
        return getattr(self.net, name)

    # --- what the network asks of itself

    def run_forward(self, xs: tuple[Array, ...]) -> Any:
        """As the network's."""
        self.look_at_inputs(xs)
        with self.watching():
            return self.net.run_forward(xs)

    def run_backward(self, dy: Any, caches: list[Any]) -> Any:
        """As the network's."""
        outputs = self.net.wiring.outputs if self.net.is_graph else ("",)
        for output, each in zip(outputs, dy if isinstance(dy, tuple) else (dy,), strict=True):
            if bad := first_bad(self.ops, each):
                layer = writer(self.net, output)
                path, given = layer._built().path, limits(self.ops, {"dy": each})
                raise made("backward", "dy", bad, layer=path, where=layer.where, given=given, came=True)
        with self.watching():
            return self.net.run_backward(dy, caches)

    def run_predict(self, xs: tuple[Array, ...]) -> Any:
        """As the network's, on the next rows."""
        self.begin_rows(xs)
        with self.watching():
            return self.net.run_predict(xs)

    def run_scores(self, xs: tuple[Array, ...]) -> Any:
        """As the network's, on the next rows."""
        self.begin_rows(xs)
        with self.watching():
            return self.net.run_scores(xs)

    @property
    def final_loss(self) -> Any:
        """The loss, which `evaluate` calls itself."""
        loss = self.net.final_loss
        return None if loss is None else WatchedLoss(loss, self)

    def begin_rows(self, xs: tuple[Array, ...]) -> None:
        """Rows come in parts, one after the other."""
        self.net._scratch.token = None  # caches from before this call are stale
        self.first_row, self.next_row = self.next_row, self.next_row + len(xs[0])
        self.look_at_inputs(xs)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """While it lasts, the layers' passes come to `call`; NumPy does not warn of what is looked for."""
        inner = (layer for _, layer in self.net.walk() if layer is not self.net)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"), watching(inner, self):
            yield

    # --- what is looked at

    def watches(self, layer: Layer) -> bool:
        """Whether it is a layer of this network."""
        return id(layer) in self.parents

    def call(self, layer: Layer, method: str, plain: Any, *args: Any, **options: Any) -> Any:
        """A layer's pass, and a look at all that it reads and writes."""
        back, note = method == "backward", ", in predict" if method == "predict" else ""
        is_loss, site = isinstance(layer, Loss), layer._built()
        phase = "backward" if back else "forward"
        given = {"dy": args[0]} if back and args else named(INPUTS if is_loss and not back else "x", args)
        # Finite came in, finite went out of every layer so far: what is not was made by the layer around this one.
        on_the_way = f"{note}, in what it hands to layer {site.path}"
        self.look(self.parents[id(layer)], phase, given, given, on_the_way, self.first_row)
        if not back:
            self.look(layer, "parameter", site.bound, given, declared=[*site.declared])
        result = plain(*args, **options)
        if back:
            dxs = named(GRADIENTS if is_loss else "dx", result if isinstance(result, tuple) else (result,))
            trained = [f"d{name}" for name, declaration in site.declared.items() if declaration.trained]
            self.look(layer, phase, dxs if layer.needs_dx else {}, given)  # else nobody reads them
            self.look(layer, phase, site.bound, given, declared=trained)
        else:
            y = result[0] if method == "forward" and isinstance(result, tuple) and result else result
            states = [name for name, declaration in site.declared.items() if not declaration.trained]
            self.look(layer, phase, {"y": y}, given, note, self.first_row)
            self.look(layer, phase, site.bound, given, note, declared=states)
        return result

    def look_at_inputs(self, xs: tuple[Array, ...]) -> None:
        """Inputs, targets and weights, in the name of the layer that reads them."""
        for name, x in zip((*self.net.input_names, *self.net.target_names), xs, strict=False):
            self.look(reader(self.net, name), "input", {name: x}, {name: x}, first_row=self.first_row)

    def look(
        self,
        layer: Layer,
        phase: str,
        arrays: dict[str, Any],
        given: dict[str, Any],
        note: str = "",
        first_row: int = 0,
        declared: list[str] | None = None,
    ) -> None:
        """Looks at these arrays, or those of them that are declared; `given`: what the layer was given.

        Errors: NonFiniteError in the layer's name.
        """
        for name in arrays if declared is None else declared:
            if bad := first_bad(self.ops, arrays[name]):
                place: dict[str, Any] = {"layer": layer._built().path, "where": layer.where, "first_row": first_row}
                raise made(phase, name, bad, given=limits(self.ops, given), note=note, **place)


class WatchedLoss:
    """A loss whose `forward` looks at all arrays, and whose checks look for NaN and Inf first; else the same."""

    def __init__(self, loss: Loss, net: Watched) -> None:
        self.loss, self.net = loss, net

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loss, name)

    def forward(self, *xs: Any) -> Any:
        """As the loss's."""
        with self.net.watching():
            return self.loss.forward(*xs)

    def check_targets(self, targets: np.ndarray, scores: Any) -> None:
        """As the loss's."""
        self.look("targets", targets)
        self.loss.check_targets(targets, scores)

    def check_weights(self, weights: np.ndarray) -> None:
        """As the loss's."""
        self.look("weights", weights)
        self.loss.check_weights(weights)

    def look(self, name: str, host: np.ndarray) -> None:
        """Errors: NonFiniteError."""
        given = {name: self.net.ops.asarray(host)}
        self.net.look(self.loss, "input", given, given, first_row=self.net.next_row)


INPUTS = ("scores", "targets", "weights")
GRADIENTS = tuple(f"d{name}" for name in INPUTS)


def named(names: str | tuple[str, ...], values: tuple[Any, ...]) -> dict[str, Any]:
    """Values by their names; several x are x0, x1, ..."""
    if isinstance(names, str):
        names = (names,) if len(values) == 1 else tuple(f"{names}{i}" for i in range(len(values)))
    return dict(zip(names, values, strict=False))


def reader(net: Any, name: str) -> Layer:
    """The first layer that reads an input of the network, in networks within it too."""
    for child, layer in net._built().children.items():
        reads = net.reads(child)
        if name in reads:
            return reader(layer, layer.input_names[reads.index(name)]) if hasattr(layer, "reads") else layer
    return net.final_loss or net


def writer(net: Any, output: str) -> Layer:
    """The layer that an output of the network comes from, in networks within it too; "" is the only output."""
    children = net._built().children
    last = output or (net.wiring.outputs[0] if net.is_graph else next(reversed(children)))
    layer = children.get(last, net)
    return writer(layer, "") if layer is not net and hasattr(layer, "reads") else layer
