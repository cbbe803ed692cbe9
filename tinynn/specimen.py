"""A layer under examination: a copy, built by itself, whose every call is watched."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from tinynn.backend import Array, Ops
from tinynn.errors import ConfigurationError, GradientError
from tinynn.layer import Layer, Shape
from tinynn.losses import Loss
from tinynn.network import Network
from tinynn.network.storage import build_layers, full_name
from tinynn.network.stumbled import reraise
from tinynn.site import as_shape

__all__ = ["Result", "Specimen", "elsewhere"]

OWN_MEMORY = "write into self.empty(name, shape), or into a new array"


class Result(NamedTuple):
    """Host copies of the output and of every gradient, by the name under which it is reported: dx, dW, 0.db."""

    y: np.ndarray
    gradients: dict[str, np.ndarray]


class Specimen:
    """A copy of a layer, with the values of its parameters if it has been built; the original is not touched."""

    def __init__(
        self, original: Layer, shapes: tuple[Shape, ...], ops: Ops, dtype: str, seed: int = 0, needs_dx: bool = True
    ) -> None:
        self.layer, self.ops = copy.deepcopy(original), ops
        if isinstance(self.layer, Network):
            net = self.layer.build(*shapes, backend=ops, dtype=dtype, seed=seed, needs_dx=needs_dx)
            self.storage = net.storage
        else:
            self.storage = build_layers(self.layer, shapes, ops, np.dtype(dtype), seed, needs_dx)
        if as_shape(self.layer._built().output) is None:
            raise ConfigurationError(
                "a graph of several outputs cannot be checked as a whole",
                where=repr(original),
                expected="one output, whose gradient is drawn",
                got=f"outputs of the shapes {', '.join(map(str, self.layer._built().output))}",
                fix="join them with Concat() or Add() for the check, or check each part",
            )
        learned = values(original)
        if {name: v.shape for name, v in learned.items()} == {n: v.shape for n, v in self.storage.arrays().items()}:
            self.storage.assign(learned, where=repr(original))
        self.state = self.storage.state.copy()
        net = self.layer if isinstance(self.layer, Network) and self.layer.final_loss is not None else None
        self.ends_in_loss = isinstance(self.layer, Loss) or net is not None

    def shake(self, rng: np.random.Generator) -> None:
        """Moves every parameter a little: a bias of 0 or a gain of 1 would hide that it is left out."""
        for view in self.storage.parameters.values():
            view += self.ops.asarray(0.1 * rng.standard_normal(view.shape))

    def names(self, xs: Sequence[Any]) -> list[str]:
        """What the inputs are called."""
        if isinstance(self.layer, Network):
            return [*self.layer.input_names, *self.layer.target_names][: len(xs)]
        if self.ends_in_loss:
            return ["scores", "targets", "weights"][: len(xs)]
        return ["x"] if len(xs) == 1 else [f"x{i}" for i in range(len(xs))]

    def differentiable(self, xs: Sequence[np.ndarray]) -> dict[str, Array]:
        """What L is a function of, by the names of the gradients: inputs that are no labels, and parameters."""
        inputs = {f"d{name}": x for name, x in zip(self.names(xs), xs, strict=True) if x.dtype.kind == "f"}
        return inputs | {derivative(name): view for name, view in self.storage.parameters.items()}

    def output(self, xs: Sequence[np.ndarray]) -> np.ndarray:
        """The output of the training pass, on the host."""
        self.hold_still()
        return np.array(self.ops.to_host(self.layer.forward(*(self.ops.asarray(x.copy()) for x in xs))[0]))

    def predict(self, xs: Sequence[np.ndarray]) -> np.ndarray:
        """The output at inference, on the host: of a loss, what the scores mean.

        Inputs, parameters and states must come out unchanged.
        """
        xs = self.without_targets(xs)
        names, device = self.names(xs), [self.ops.asarray(x) for x in xs]
        own = {**self.storage.parameters, **self.storage.states}
        before = [np.array(self.ops.to_host(array)) for array in (*device, *own.values())]
        try:
            y = self.layer.predict(*device)
        except Exception as error:
            reraise(error, self.layer, "predict", xs[0])
        self.unchanged([*device, *own.values()], before, [*names, *own], "predict")
        return np.array(self.ops.to_host(y))

    def without_targets(self, xs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """What inference takes."""
        return xs[
            : len(self.layer.input_shapes) if isinstance(self.layer, Network) else 1 if self.ends_in_loss else None
        ]

    def hold_still(self) -> None:
        """Puts the state back to where it was: what a forward pass counts or averages there is not its output."""
        self.storage.state[...] = self.state

    def run(
        self, xs: Sequence[np.ndarray], dy: Any, between: Callable[[], None] | None = None, held: float = np.nan
    ) -> Result:
        """Forward, `between`, backward, over gradients that hold `held`.

        Inputs, dy and parameters must come out unchanged, and all shapes be as promised.
        """
        self.hold_still()
        self.storage.grads[...] = held
        parameters = list(self.storage.parameters.values())
        values_before = [np.array(self.ops.to_host(p)) for p in parameters]
        names, device = self.names(xs), [self.ops.asarray(x) for x in xs]
        before = [np.array(x) for x in xs]
        try:
            y, cache = self.layer.forward(*device)
        except Exception as error:
            reraise(error, self.layer, "forward", xs[0])
        self.unchanged(device, before, names, "forward")
        self.unchanged(parameters, values_before, list(self.storage.parameters), "forward")
        promised = self.layer._built().output
        self.shaped("y", y, promised if self.ends_in_loss else (len(xs[0]), *promised))
        y = np.array(self.ops.to_host(y))
        if between is not None:
            between()

        dy_device = dy if self.ends_in_loss else self.ops.asarray(dy)
        dy_before = np.array(dy)
        try:
            dxs = self.layer.backward(dy_device, cache)
        except Exception as error:
            reraise(error, self.layer, "backward", dy)
        self.unchanged([*device, dy_device], [*before, dy_before], [*names, "dy"], "backward")
        self.unchanged(parameters, values_before, list(self.storage.parameters), "backward")
        gradients: dict[str, np.ndarray] = {}
        targets = self.layer.target_names if isinstance(self.layer, Network) else ("targets", "weights")
        for name, x, dx in zip(names, xs, dxs if isinstance(dxs, tuple) else (dxs,), strict=False):
            needless = dx is None and (name in targets or not self.layer.needs_dx)
            if x.dtype.kind == "f" and not needless:
                self.shaped(f"d{name}", dx, x.shape)
                gradients[f"d{name}"] = np.array(self.ops.to_host(dx))
        for name, gradient in self.storage.gradients.items():
            gradients[derivative(name)] = np.array(self.ops.to_host(gradient))
        return Result(y, gradients)

    # --- comparing and reporting

    def unchanged(self, now: Sequence[Array], before: Sequence[np.ndarray], names: Sequence[str], method: str) -> None:
        for name, array, old in zip(names, now, before, strict=True):
            array = array if np.isscalar(array) else self.ops.to_host(array)
            self.close(f"{method} changed {name}, which is not its own", name, array, old, 0.0, OWN_MEMORY)

    def shaped(self, name: str, array: Any, expected: Shape) -> None:
        got: Any = "None" if array is None else np.shape(array)
        if got != expected:
            self.fail(f"{name} has the wrong shape", name, None, expected, got, "compare with what build returned")

    def close(self, what: str, name: str, got: Any, expected: np.ndarray, rtol: float, fix: str) -> None:
        """Fails at the first element that is off by more than rtol times the largest."""
        got = np.asarray(got)
        if got.shape != expected.shape:
            self.fail(what, name, None, expected.shape, got.shape, fix)
        bad = np.argwhere(~(np.abs(got - expected) <= rtol * np.abs(expected).max(initial=0.0)))
        if len(bad):
            index = tuple(bad[0].tolist())
            self.fail(what, name, index, expected[index], got[index], fix)

    def fail(
        self, what: str, name: str, index: tuple[int, ...] | None, expected: Any, got: Any, fix: str | None
    ) -> NoReturn:
        """Raises a GradientError for this element of this array."""
        place = f"{name}{list(index)}" if index else name
        error = GradientError(what, where=f"{self.layer!r}, {place}", expected=expected, got=got, fix=fix)
        error.array, error.index = name, index
        raise error


def elsewhere(call: Callable[[], Any]) -> Any:
    """What the call returns, made in another thread; what it raises is raised here."""
    outcome: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return outcome[0]


def values(layer: Layer) -> dict[str, np.ndarray]:
    """The parameters and states of a built layer by their names within it; of an unbuilt one, none."""
    if layer._site is None:
        return {}
    start = len(layer._site.path)
    return {
        full_name(path[start:].lstrip("."), name): inner.ops.to_host(getattr(inner, name))
        for path, inner in layer.walk()
        for name in inner._built().declared
    }


def derivative(name: str) -> str:
    """The gradient's name: "W" -> "dW", "0.W" -> "0.dW"."""
    path, _, parameter = name.rpartition(".")
    return full_name(path, f"d{parameter}")
