"""Is this backward pass right? Every gradient against central differences, and the rules of the layer protocol."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from tinynn.backend import Ops, get_backend
from tinynn.errors import GradientError
from tinynn.layer import Layer, Shape
from tinynn.losses import Loss
from tinynn.network import Network
from tinynn.network.explain import reraise
from tinynn.network.storage import build_layers, full_name
from tinynn.random import generator

__all__ = ["gradcheck"]

ELEMENTS = 1000  # of larger arrays, so many elements are drawn at random
EPSILON = float(np.finfo(np.float64).eps)


def gradcheck(
    layer: Layer,
    *shapes: Shape,
    inputs: Sequence[Any] | None = None,
    seed: int = 0,
    eps: float = 1e-5,
    rtol: float = 1e-6,
    backend: str | Ops = "numpy",
) -> None:
    """dL/dx_i = (L(x + eps e_i) - L(x - eps e_i)) / (2 eps): raises where backward differs; L = sum(y dy), dy random.

    `shapes`: of one example, one for each input; for a loss the scores' shape, then () for labels or the scores'
    shape for rows. `inputs`: arrays with a batch axis to check on, instead of those that the layer's `example` draws.

    The layer itself is not touched: a float64 copy is checked, with its parameters (if it is built) slightly shaken,
    so that no gradient is right only because a bias is 0. Every element of every input and parameter is compared
    (1,000 of larger arrays), within rtol * (its size + the largest of its array) and the rounding of the difference
    quotient. Where they differ the step is made smaller twice before it counts: a kink within eps, as of ReLU, is
    left behind, an error is not.

    Checked besides: the output has the promised shape; inputs and dy are unchanged; gradients are written, and not
    accumulated; the cache alone is used, not memory of the latest call; a batch of one; inputs that are not contiguous;
    float32 stays float32; `predict` gives what `forward` gives, unless the layer says `predict_differs = True`.

    Errors: GradientError naming layer, array, index, expected and got.
    Source: CS231n, "Gradient checks".
    """
    rng = generator(seed, "gradcheck")
    ops = get_backend(backend)
    if inputs is not None:
        shapes = tuple(np.shape(x)[1:] for x in inputs)
    trial = Trial(layer, shapes, ops, "float64")
    trial.shake(rng)
    for n in (3, 1):
        xs = trial.layer.example(rng, n, *shapes) if inputs is None else [x[: None if n > 1 else 1] for x in inputs]
        xs = [np.array(x, np.float64 if np.asarray(x).dtype.kind == "f" else None) for x in xs]
        dy = trial.draw_dy(rng, xs)
        result = trial.run(xs, dy)
        trial.check_written(result)
        trial.check_differences(rng, xs, dy, result, eps, rtol)
        trial.check_repeatable(xs, dy, result)
        trial.check_predict(xs)
        Trial(layer, shapes, ops, "float32").check_dtype(
            [x.astype(np.float32) if x.dtype.kind == "f" else x for x in xs]
        )


class Result(NamedTuple):
    """Host copies of the output, and of every gradient by the name under which it is reported."""

    y: np.ndarray
    gradients: dict[str, np.ndarray]


class Trial:
    """A copy of a layer, built by itself, and what is asked of it."""

    def __init__(self, original: Layer, shapes: tuple[Shape, ...], ops: Ops, dtype: str) -> None:
        self.layer, self.ops = copy.deepcopy(original), ops
        if isinstance(self.layer, Network):
            self.storage = self.layer.build(*shapes, backend=ops, dtype=dtype, needs_dx=True).storage
        else:
            self.storage = build_layers(self.layer, shapes, ops, np.dtype(dtype), 0, needs_dx=True)
        learned = values(original)
        if {name: v.shape for name, v in learned.items()} == {n: v.shape for n, v in self.storage.arrays().items()}:
            self.storage.assign(learned, where=repr(original))
        self.ends_in_loss = isinstance(self.layer, Loss) or getattr(self.layer, "final_loss", None) is not None

    def shake(self, rng: np.random.Generator) -> None:
        for view in self.storage.parameters.values():
            view += self.ops.asarray(0.1 * rng.standard_normal(view.shape))

    def forward(self, xs: Sequence[np.ndarray]) -> tuple[Any, Any]:
        """The training pass, with the inputs proven unchanged, and the output's shape that of `build`."""
        device = [self.ops.asarray(x) for x in xs]
        before = [np.array(x) for x in xs]
        try:
            y, cache = self.layer.forward(*device)
        except Exception as error:
            reraise(error, self.layer, "forward", xs[0])
        for name, x, old in zip(self.names(len(xs)), device, before, strict=True):
            self.compare(
                self.ops.to_host(x), old, f"forward changed its input {name}", name, "write into self.empty(...)"
            )
        promised = self.layer._built().output
        expected = promised if self.ends_in_loss else (len(xs[0]), *promised)
        if np.shape(y) != expected:
            self.fail("the output does not have the shape that build promised", "y", None, expected, np.shape(y), None)
        return y, cache

    def run(self, xs: Sequence[np.ndarray], dy: Any, between: Any = None) -> Result:
        """Forward and backward; `between` is called in the middle."""
        self.storage.grads[...] = np.nan
        y, cache = self.forward(xs)
        y = np.array(self.ops.to_host(y))
        if between is not None:
            between()
        dy_device = dy if self.ends_in_loss else self.ops.asarray(dy)
        dy_before = np.array(dy)
        x_before = [np.array(x) for x in xs]
        try:
            dxs = self.layer.backward(dy_device, cache)
        except Exception as error:
            reraise(error, self.layer, "backward", dy)
        self.compare(self.ops.to_host(dy_device), dy_before, "backward changed dy", "dy", "write into self.empty(...)")
        for name, x, old in zip(self.names(len(xs)), xs, x_before, strict=True):
            self.compare(x, old, f"backward changed the input {name}", name, "write into self.empty(...)")
        gradients = {}
        for name, x, dx in zip(self.names(len(xs)), xs, dxs if isinstance(dxs, tuple) else (dxs,), strict=False):
            if x.dtype.kind != "f" or (dx is None and name == "targets"):
                continue
            if np.shape(dx) != x.shape:
                self.fail(f"d{name} does not have the shape of {name}", f"d{name}", None, x.shape, np.shape(dx), None)
            gradients[f"d{name}"] = np.array(self.ops.to_host(dx))
        for name, gradient in self.storage.gradients.items():
            path, _, parameter = name.rpartition(".")
            gradients[full_name(path, f"d{parameter}")] = np.array(self.ops.to_host(gradient))
        return Result(y, gradients)

    def names(self, inputs: int) -> list[str]:
        if isinstance(self.layer, Loss):
            return ["scores", "targets"][:inputs]
        if self.ends_in_loss:
            return ["x", "targets"][:inputs]
        return ["x"] if inputs == 1 else [f"x{i}" for i in range(inputs)]

    def draw_dy(self, rng: np.random.Generator, xs: Sequence[np.ndarray]) -> Any:
        """A random gradient of the output, none of its elements near 0."""
        dy = rng.uniform(0.5, 1.5, np.shape(self.forward(xs)[0])) * 1.0
        return float(dy) if self.ends_in_loss else dy * rng.choice([-1.0, 1.0], dy.shape)

    # --- the checks

    def check_written(self, result: Result) -> None:
        for name, gradient in result.gradients.items():
            bad = np.argwhere(np.isnan(gradient))
            if len(bad):
                index = tuple(bad[0].tolist())
                self.fail(
                    f"{name} was not written, or is NaN", name, index, "a number", "nan", f"self.{name}[...] = ..."
                )

    def check_differences(
        self, rng: np.random.Generator, xs: Sequence[np.ndarray], dy: Any, result: Result, eps: float, rtol: float
    ) -> None:
        """Compares every gradient with the difference quotient of L = sum(y * dy)."""
        arrays = {f"d{name}": x for name, x in zip(self.names(len(xs)), xs, strict=True)}
        arrays |= dict(
            zip(list(result.gradients)[-len(self.storage.parameters) :], self.storage.parameters.values(), strict=False)
        )
        rounding = 8 * EPSILON * float(np.abs(result.y * dy).sum())

        def quotient(array: Any, index: tuple[int, ...], step: float) -> float:
            old = array[index].copy()
            array[index] = old + step
            above = np.array(self.ops.to_host(self.forward(xs)[0]))
            array[index] = old - step
            below = np.array(self.ops.to_host(self.forward(xs)[0]))
            array[index] = old
            return float(((above - below) * dy).sum()) / (2 * step)

        for name, gradient in result.gradients.items():
            array = arrays[name]
            picked = np.arange(gradient.size)
            if gradient.size > ELEMENTS:
                picked = np.sort(rng.choice(gradient.size, ELEMENTS, replace=False))
            indices = [tuple(int(i) for i in np.unravel_index(k, gradient.shape)) for k in picked]
            numeric = {index: quotient(array, index, eps) for index in indices}
            largest = max((abs(value) for value in numeric.values()), default=0.0)
            for index, value in numeric.items():
                got = float(gradient[index])
                for step in (eps, eps / 10, eps / 100):
                    value = value if step == eps else quotient(array, index, step)
                    if abs(got - value) <= rtol * (max(abs(got), abs(value)) + largest) + rounding / step:
                        break
                else:
                    fix = guess(gradient, numeric, len(xs[0]))
                    self.fail(f"the gradient {name} is wrong", name, index, f"{value:.9g}", f"{got:.9g}", fix)

    def check_repeatable(self, xs: Sequence[np.ndarray], dy: Any, result: Result) -> None:
        """The same again gives the same: nothing accumulated, nothing remembered, whatever the memory layout."""

        def elsewhere() -> None:
            thread = threading.Thread(target=self.layer.forward, args=[self.ops.asarray(x[::-1].copy()) for x in xs])
            thread.start()
            thread.join()

        self.same(
            result, self.twice(xs, dy), "a second backward gives other gradients: were they accumulated?", "= not +="
        )
        self.same(
            result,
            self.run(xs, dy, between=elsewhere),
            "backward depends on the latest forward and not on its cache alone",
            "return what backward needs as the cache; keep nothing of a call in self",
        )
        apart = [np.repeat(x, 2, axis=0)[::2] for x in xs]
        turned = [np.asfortranarray(x) for x in xs]
        for layout, other in (("strided rows", apart), ("column-major order", turned)):
            spread = dy if self.ends_in_loss else np.asfortranarray(np.repeat(dy, 2, axis=0)[::2])
            self.same(
                result,
                self.run(other, spread),
                f"inputs in {layout} give another result",
                "index by axis, not by memory",
            )

    def twice(self, xs: Sequence[np.ndarray], dy: Any) -> Result:
        """Backward after backward, without the gradients being reset in between."""
        self.run(xs, dy)
        _, cache = self.forward(xs)
        dxs = self.layer.backward(dy if self.ends_in_loss else self.ops.asarray(dy), cache)
        del dxs
        written = {}
        for name, gradient in self.storage.gradients.items():
            path, _, parameter = name.rpartition(".")
            written[full_name(path, f"d{parameter}")] = np.array(self.ops.to_host(gradient))
        return Result(np.array(0.0), written)

    def check_predict(self, xs: Sequence[np.ndarray]) -> None:
        if any(layer.predict_differs for _, layer in self.layer.walk()):
            return
        y = np.array(self.ops.to_host(self.forward(xs)[0]))
        device = [self.ops.asarray(x) for x in xs]
        whole = isinstance(self.layer, Network) and self.ends_in_loss
        predicted = self.layer.loss(*device) if whole else self.layer.predict(*device)  # type: ignore[attr-defined]
        predicted = np.array(predicted if whole else self.ops.to_host(predicted))
        self.compare(
            predicted, y, "predict differs from forward", "y", "say predict_differs = True if it is meant to", 1e-9
        )

    def check_dtype(self, xs: Sequence[np.ndarray]) -> None:
        """A float32 layer computes in float32: its output, and the gradient of its input."""
        y, cache = self.forward(xs)
        dy = 1.0 if self.ends_in_loss else self.ops.asarray(np.ones(y.shape, np.float32))
        dxs = self.layer.backward(dy, cache)
        found = {"y": y}
        for name, x, dx in zip(self.names(len(xs)), xs, dxs if isinstance(dxs, tuple) else (dxs,), strict=False):
            if dx is not None and x.dtype.kind == "f":
                found[f"d{name}"] = dx
        for name, array in found.items():
            if array.dtype != np.float32:
                self.fail(
                    f"float32 became {array.dtype}",
                    name,
                    None,
                    "float32",
                    array.dtype,
                    "use Python floats and self.dtype",
                )

    # --- reporting

    def same(self, expected: Result, got: Result, what: str, fix: str) -> None:
        for name, gradient in got.gradients.items():
            self.compare(gradient, expected.gradients[name], what, name, fix, 1e-9)

    def compare(self, got: Any, expected: np.ndarray, what: str, name: str, fix: str, rtol: float = 0.0) -> None:
        got = np.asarray(got)
        if not expected.size:
            return
        bad = (
            np.argwhere(~(np.abs(got - expected) <= rtol * np.abs(expected).max()))
            if rtol
            else np.argwhere(got != expected)
        )
        if len(bad):
            index = tuple(bad[0].tolist())
            self.fail(what, name, index, expected[index], got[index], fix)

    def fail(
        self, what: str, name: str, index: tuple[int, ...] | None, expected: object, got: object, fix: str | None
    ) -> NoReturn:
        place = "" if not index else str(list(index))
        error = GradientError(what, where=f"{self.layer!r}, {name}{place}", expected=expected, got=got, fix=fix)
        error.array, error.index = name, index
        raise error


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


def guess(gradient: np.ndarray, numeric: dict[tuple[int, ...], float], n: int) -> str:
    """What the error looks like, where it is one of the usual ones."""
    expected = np.array(list(numeric.values()))
    got = np.array([gradient[index] for index in numeric])
    usual = {
        "it is minus the right gradient": -got,
        f"it is {n} times the right one: divide by the number of rows": got / n,
        f"it is the right one over {n}: it was divided by the number of rows once too often": got * n,
        "it is twice the right one": got / 2,
        "it is half the right one": got * 2,
    }
    if gradient.ndim == 2 and gradient.shape[0] == gradient.shape[1] and len(numeric) == gradient.size:
        usual["it is the transpose of the right one"] = gradient.T.ravel()
    for hint, candidate in usual.items():
        if np.allclose(candidate, expected, rtol=1e-4, atol=1e-7):
            return hint
    if not got.any():
        return "it is 0 throughout"
    return "compare backward with the derivative of the formula, term by term"
