"""Checks of the numbers: gradients, precision, memory layout, a step that helps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynn.backend import NumpyOps, get_backend
from tinynn.errors import TinynnError
from tinynn.gradcheck import (
    ROUNDING,
    SAME,
    check_differences,
    check_float32,
    check_layouts,
    check_predict,
    check_repeatable,
    check_written,
    same,
)
from tinynn.random import generator
from tinynn.specimen import Result, Specimen
from tinynn.testing.fake_device import FakeDevice
from tinynn.testing.report import NotApplicable
from tinynn.testing.subject import Subject

__all__ = ["CHECKS"]

EPS, RTOL = 1e-5, 1e-6


def inputs_untouched(s: Subject) -> None:
    """forward, backward and predict leave inputs, dy and parameters as they are"""
    specimen, xs = s.specimen(), s.rows(3)
    specimen.run(xs, s.dy(specimen, 3))
    specimen.predict(xs)


def gradients(s: Subject) -> None:
    """every gradient is that of the difference quotients, in batches of different sizes"""
    rows = len(s.pool[0])
    for n in {min(3, rows), 1}:
        specimen, xs = s.specimen(), s.rows(n)
        dy = s.dy(specimen, n)
        result = specimen.run(xs, dy)
        check_written(specimen, result)
        check_differences(specimen, generator(s.seed, "places"), xs, dy, result, EPS, RTOL)
    for n in {2, 5} & set(range(rows + 1)):  # the same again, all elements moved at once
        specimen, xs = s.specimen(), s.rows(n)
        dy = s.dy(specimen, n)
        check_direction(specimen, generator(s.seed, "direction", n), xs, dy, specimen.run(xs, dy))


def check_direction(
    specimen: Specimen, rng: np.random.Generator, xs: Sequence[np.ndarray], dy: Any, result: Result
) -> None:
    """The slope along a random direction through all variables: two forward passes, however many elements."""
    variables = {name: specimen.differentiable(xs)[name] for name in result.gradients}
    size = math.sqrt(sum(gradient.size for gradient in result.gradients.values()) or 1)
    ways = {name: rng.standard_normal(gradient.shape) / size for name, gradient in result.gradients.items()}
    before = {name: np.array(specimen.ops.to_host(array)) for name, array in variables.items()}
    terms = [gradient * ways[name] for name, gradient in result.gradients.items()]
    got, scale = (sum(float(f(term).sum()) for term in terms) for f in (np.positive, np.abs))
    noise = ROUNDING * float(np.abs(result.y * dy).sum()) + ROUNDING * float(np.abs(dy).max(initial=0))

    def value(step: float) -> float:
        for name, array in variables.items():
            moved = before[name] + step * ways[name]  # inputs lie on the host
            array[...] = moved if isinstance(array, np.ndarray) else specimen.ops.asarray(moved)
        return float((specimen.output(xs) * dy).sum())

    slope = 0.0
    # At a corner nearer than the smallest step, one of the two sides is still free of it.
    for up, down in ((EPS, EPS), (EPS / 10, EPS / 10), (EPS / 100, EPS / 100), (EPS / 100, 0.0), (0.0, EPS / 100)):
        slope = (value(up) - value(-down)) / (up + down)
        if abs(got - slope) <= 10 * RTOL * (abs(slope) + scale) + 2 * noise / (up + down):
            break
    else:
        what = f"in a batch of {len(xs[0])} rows the gradients are wrong"
        fix = "divide by len(x), not by a number that is right for one batch only"
        specimen.fail(what, "the slope along a random direction", None, f"{slope:.9g}", f"{got:.9g}", fix)
    value(0.0)


def repeats(s: Subject) -> None:
    """the same call again gives the same output, and the same gradients: written, not accumulated"""
    specimen, xs = s.specimen(), s.rows(3)
    dy = s.dy(specimen, 3)
    result = specimen.run(xs, dy)
    check_repeatable(specimen, xs, dy, result)
    what, fix = "predict gives another output for the same input", "draw no random numbers in predict"
    specimen.close(what, "y", specimen.predict(xs), specimen.predict(xs), 0.0, fix)


def float32_stays_float32(s: Subject) -> None:
    """what comes in as float32 goes out as float32, in forward, backward and predict"""
    specimen = s.specimen("float32")
    check_float32(specimen, s.rows(3), s.dy(specimen, 3))


def memory_layouts(s: Subject) -> None:
    """strided, column-major, reversed and read-only arrays give the same result"""
    specimen, xs = s.specimen(), s.rows(3)
    dy = s.dy(specimen, 3)
    check_layouts(specimen, xs, dy, specimen.run(xs, dy))


def predict_as_forward(s: Subject) -> None:
    """predict gives what forward gives, unless the layer says predict_differs"""
    specimen, xs = s.specimen(), s.rows(3)
    if any(inner.predict_differs for _, inner in specimen.layer.walk()):
        raise NotApplicable("the layer says predict_differs = True")
    check_predict(specimen, xs, specimen.run(xs, s.dy(specimen, 3)))


def without_dx(s: Subject) -> None:
    """where needs_dx is False the gradients of the parameters are the same"""
    with_dx, without, xs = s.specimen(), s.specimen(needs_dx=False), s.rows(3)
    dy = s.dy(with_dx, 3)
    expected, got = with_dx.run(xs, dy), without.run(xs, dy)
    what, fix = "with needs_dx=False another result", "leave out dx alone: the parameters' gradients are still read"
    same(without, expected, got, what, fix)


def step_helps(s: Subject) -> None:
    """a small step against the gradient lowers the loss"""
    specimen, xs = s.specimen(), s.rows(3)
    if not specimen.storage.parameters:
        raise NotApplicable("the layer has no parameters")
    dy, storage = s.dy(specimen, 3), specimen.storage
    before = float((specimen.run(xs, dy).y * dy).sum())
    ways = {name: np.array(specimen.ops.to_host(gradient)) for name, gradient in storage.gradients.items()}
    slope = math.sqrt(sum(float((way**2).sum()) for way in ways.values()))
    if slope * 1e-4 <= ROUNDING * max(1.0, abs(before)):
        raise NotApplicable("its gradient is 0 for these inputs")
    start, after = storage.params.copy(), before
    for length in (1e-2, 1e-4):
        storage.params[...] = start
        for name, view in storage.parameters.items():
            view -= specimen.ops.asarray(length / slope * ways[name])
        after = float((specimen.output(xs) * dy).sum())
        if after < before:
            return
    what = "a step against the gradient does not lower the loss"
    specimen.fail(what, "L", None, f"less than {before:.9g}", f"{after:.9g}", "gradients say where L grows, not falls")


def backends(s: Subject) -> None:
    """NumPy and CuPy give the same result; where there is no GPU, NumPy and a stand-in that has CuPy's rules"""
    specimen, xs = s.specimen(), s.rows(3)
    try:
        ops = get_backend("cupy" if isinstance(s.ops, NumpyOps) else "numpy")
    except TinynnError:
        ops = FakeDevice()
    dy, other = s.dy(specimen, 3), s.specimen(ops=ops)
    what, fix = f"{ops.name} gives another result than {s.ops.name}", "compute with self.xp and self.ops alone"
    same(other, specimen.run(xs, dy), other.run(xs, dy), what, fix)
    other.close(what, "y of predict", other.predict(xs), specimen.predict(xs), SAME, fix)


CHECKS = (
    inputs_untouched,
    gradients,
    repeats,
    float32_stays_float32,
    memory_layouts,
    predict_as_forward,
    without_dx,
    step_helps,
    backends,
)
