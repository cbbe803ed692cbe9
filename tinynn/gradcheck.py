"""Is this backward pass right? Every gradient against central differences, and the rules of the layer protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynn.backend import Ops, get_backend
from tinynn.layer import Layer, Shape
from tinynn.network import Network
from tinynn.random import generator
from tinynn.specimen import Result, Specimen, elsewhere

__all__ = ["gradcheck"]

ELEMENTS = 1000  # of larger arrays, so many elements are drawn at random
ROUNDING = 8 * float(np.finfo(np.float64).eps)  # of a sum of products, relative to the sum of their sizes
SAME = 1e-9  # relative; another order of summation is allowed


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

    The layer itself is not touched: a float64 copy is checked, with its parameters slightly shaken, so that no gradient
    is right only because a bias is 0. Every element of every input and parameter is compared (1,000 of larger arrays),
    within rtol * (its size + the largest of its array) and the rounding of the difference quotient. Where they differ
    the step is made smaller twice before it counts: a kink within eps, as of ReLU, is left behind, an error is not.

    Checked besides: shapes are as promised; inputs and dy stay unchanged; gradients are written, and not accumulated;
    the cache alone is used, not memory of the latest call; a batch of one; inputs that are not contiguous; float32
    stays float32; `predict` gives what `forward` gives, unless the layer says `predict_differs = True`.

    Errors: GradientError naming layer, array, index, expected and got.
    Source: CS231n, "Gradient checks".
    """
    rng, ops = generator(seed, "gradcheck"), get_backend(backend)
    if inputs is not None:
        shapes = tuple(np.shape(x)[1:] for x in inputs)
    specimen = Specimen(layer, shapes, ops, "float64")
    specimen.shake(rng)
    for n in (3, 1):
        drawn = (
            specimen.layer.example(rng, n, *shapes) if inputs is None else [x[: None if n > 1 else 1] for x in inputs]
        )
        xs = [of_dtype(x, "float64") for x in drawn]
        dy = draw_dy(specimen, rng, len(xs[0]))
        result = specimen.run(xs, dy)
        check_written(specimen, result)
        check_repeatable(specimen, xs, dy, result)
        check_differences(specimen, rng, xs, dy, result, eps, rtol)
        check_cache(specimen, xs, dy, result)
        check_layouts(specimen, xs, dy, result)
        check_predict(specimen, xs, result)
        check_float32(Specimen(layer, shapes, ops, "float32"), xs, dy)


def of_dtype(x: Any, dtype: str) -> np.ndarray:
    """A copy of x, in that dtype unless it holds integers."""
    x = np.asarray(x)
    return np.array(x, dtype if x.dtype.kind == "f" else None)


def draw_dy(specimen: Specimen, rng: np.random.Generator, n: int) -> Any:
    """A random gradient of the output, none of its elements near 0; for a loss, a number."""
    if specimen.ends_in_loss:
        return float(rng.uniform(0.5, 1.5))
    shape = (n, *specimen.layer._built().output)
    return rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


def check_written(specimen: Specimen, result: Result) -> None:
    """Gradients are NaN before backward, so one that is forgotten, or added to, still is."""
    for name, gradient in result.gradients.items():
        bad = np.argwhere(np.isnan(gradient))
        if len(bad):
            what = f"{name} was not written in full, or was added to what stood there"
            fix = f"self.{name.rpartition('.')[2]}[...] = ... in backward"
            specimen.fail(what, name, tuple(bad[0].tolist()), "a number", "nan", fix)


def check_differences(
    specimen: Specimen,
    rng: np.random.Generator,
    xs: Sequence[np.ndarray],
    dy: Any,
    result: Result,
    eps: float,
    rtol: float,
) -> None:
    """Every gradient against the difference quotient of L = sum(y dy)."""
    noise = ROUNDING * float(np.abs(result.y * dy).sum())
    # x + eps is rounded as well: where the gradient is 0, as at a minimum, this is all that the quotient shows.
    floor = ROUNDING * float(np.abs(dy).max(initial=0)) * max(1.0, *(float(np.abs(x).max(initial=0)) for x in xs))
    variables = specimen.differentiable(xs)

    def quotient(array: Any, index: tuple[int, ...], up: float, down: float) -> float:
        old = array[index].copy()
        array[index] = old + up
        above = specimen.output(xs)
        array[index] = old - down
        below = specimen.output(xs)
        array[index] = old
        return float(((above - below) * dy).sum()) / (up + down)

    for name, gradient in result.gradients.items():
        array = variables[name]
        places = np.arange(gradient.size)
        if gradient.size > ELEMENTS:
            places = np.sort(rng.choice(gradient.size, ELEMENTS, replace=False))
        indices = [tuple(int(i) for i in np.unravel_index(place, gradient.shape)) for place in places]
        numeric = {index: quotient(array, index, eps, eps) for index in indices}
        largest = max((abs(value) for value in numeric.values()), default=0.0)
        for index, expected in numeric.items():
            got = float(gradient[index])
            # At a corner nearer than the smallest step, one of the two sides is still free of it.
            small = eps / 100
            for up, down in ((eps, eps), (eps / 10, eps / 10), (small, small), (small, 0.0), (0.0, small)):
                value = expected if up == eps else quotient(array, index, up, down)
                near = rtol * (max(abs(got), abs(value)) + largest) + 2 * noise / (up + down) + floor
                if abs(got - value) <= near:
                    break
            else:
                fix = resemblance(gradient, numeric, len(xs[0]))
                specimen.fail(f"the gradient {name} is wrong", name, index, f"{expected:.9g}", f"{got:.9g}", fix)


def check_repeatable(specimen: Specimen, xs: Sequence[np.ndarray], dy: Any, result: Result) -> None:
    """The same call gives the same output; over gradients that hold numbers, not NaN, backward writes the same."""
    again = specimen.run(xs, dy, held=1.0)
    fix = "draw random numbers in a state that the check can hold still, not afresh in every call"
    specimen.close("forward gives another output for the same input", "y", again.y, result.y, SAME, fix)
    same(specimen, result, again, "the gradient is accumulated over the calls", "self.dW[...] = ..., not +=")


def check_cache(specimen: Specimen, xs: Sequence[np.ndarray], dy: Any, result: Result) -> None:
    """Another call between forward and backward, in another thread, changes nothing: the cache holds all there is."""
    # The rows in reverse, then these with the first behind them: other numbers, but as legal; then another batch size.
    for rows in ([x[::-1] for x in xs], [np.concatenate([x[::-1], x]) for x in xs]):
        again = specimen.run(xs, dy, between=lambda rows=rows: elsewhere(lambda: specimen.output(rows)))
        what, fix = "backward used what a later forward left behind", "return as cache what backward needs"
        same(specimen, result, again, what, fix)


def check_layouts(specimen: Specimen, xs: Sequence[np.ndarray], dy: Any, result: Result) -> None:
    """The same numbers in another order in memory give the same result."""
    for layout, spread in LAYOUTS.items():
        again = specimen.run([spread(x) for x in xs], dy if specimen.ends_in_loss else spread(dy))
        same(specimen, result, again, f"{layout} inputs give another result", "index by axis, not by place in memory")


def read_only(x: np.ndarray) -> np.ndarray:
    """A copy that cannot be written to."""
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS = {
    "strided": lambda x: np.repeat(x, 2, axis=0)[::2],
    "column-major": np.asfortranarray,
    "reversed": lambda x: np.flip(np.flip(x).copy()),
    "read-only": read_only,
}


def check_predict(specimen: Specimen, xs: Sequence[np.ndarray], result: Result) -> None:
    """Inference gives what training gives, for layers that do not say otherwise."""
    layer, ops = specimen.layer, specimen.ops
    if any(inner.predict_differs for _, inner in layer.walk()):
        return
    device = [ops.asarray(x) for x in xs]
    ends_in_loss = isinstance(layer, Network) and specimen.ends_in_loss
    y = layer.loss(*device) if ends_in_loss else ops.to_host(layer.predict(*device))
    specimen.close("predict differs from forward", "y", y, result.y, SAME, "predict_differs = True, if that is meant")


def check_float32(specimen: Specimen, xs: Sequence[np.ndarray], dy: Any) -> None:
    """In float32 the output and the gradients of the inputs are float32 as well, and the output at inference."""
    dy = dy if specimen.ends_in_loss else of_dtype(dy, "float32")
    xs = [of_dtype(x, "float32") for x in xs]
    result = specimen.run(xs, dy)
    for name, array in {"y": result.y, **result.gradients, "y of predict": specimen.predict(xs)}.items():
        if array.dtype != np.float32:
            fix = "keep constants as Python floats; allocate with self.empty, or with dtype=self.dtype"
            specimen.fail(f"float32 became {array.dtype}", name, None, "float32", str(array.dtype), fix)


def same(specimen: Specimen, expected: Result, got: Result, what: str, fix: str) -> None:
    specimen.close(what, "y", got.y, expected.y, SAME, fix)
    for name, gradient in got.gradients.items():
        specimen.close(what, name, gradient, expected.gradients[name], SAME, fix)


def resemblance(gradient: np.ndarray, numeric: dict[tuple[int, ...], float], n: int) -> str:
    """What a wrong gradient looks like, where it is one of the usual mistakes."""
    right = np.array(list(numeric.values()))
    got = np.array([gradient[index] for index in numeric])
    usual = {
        "it is minus the right gradient: look for a lost sign": -got,
        f"it is {n} times the right one: was the division by the number of rows forgotten?": got / n,
        f"it is the right one divided by {n}: the number of rows has been divided by already": got * n,
        "it is twice the right one": got / 2,
        "it is half the right one": got * 2,
    }
    if gradient.ndim == 2 and gradient.shape[0] == gradient.shape[1] and len(numeric) == gradient.size:
        usual["it is the transpose of the right one"] = gradient.T.ravel()
    for explanation, corrected in usual.items():
        if np.allclose(corrected, right, rtol=1e-4, atol=1e-7):
            return explanation
    return (
        "it is 0 throughout" if not got.any() else "compare backward with the derivative of the formula, term by term"
    )
