"""Gradients against the complex step: f'(x) = Im f(x + ih) / h up to h^2.

No difference is taken in which digits could be lost, so 12 of them are asked for. The formulas stand in the test table,
in complex arithmetic, and share nothing with the layers.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import examples
from table import ROWS, Case, Row

from tinynn.backend import get_backend
from tinynn.random import generator
from tinynn.specimen import Specimen

H = 1e-30
DIGITS = 1e-12
ANALYTIC = {name: row for name, row in ROWS.items() if row.formula is not None}


def complex_step(f: Callable[[np.ndarray], Any], x: np.ndarray) -> np.ndarray:
    """The gradient of the number f(x)."""
    gradient = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        moved = x.astype(complex)
        moved[index] += 1j * H
        gradient[index] = np.imag(f(moved)) / H
    return gradient


def agree(got: np.ndarray, right: np.ndarray, size: float) -> None:
    """Equal to 12 digits of the largest element, or of `size`: that of the terms added up, which may cancel."""
    np.testing.assert_allclose(got, right, rtol=0, atol=DIGITS * max(size, float(np.abs(right).max(initial=0))))


@pytest.mark.parametrize("name", ANALYTIC)
def test_layer_by_complex_step(name: str) -> None:
    @settings(max_examples=examples(200))
    @given(ANALYTIC[name].cases)
    def check(case: Case) -> None:
        compare(ANALYTIC[name], case)

    check()


def compare(row: Row, case: Case) -> None:
    formula, rng = row.formula, generator(0, "complex step")
    assert formula is not None
    xs = [x.astype(float) if x.dtype.kind == "f" else x for x in case.inputs]
    specimen = Specimen(case.layer, tuple(x.shape[1:] for x in xs), get_backend("numpy"), "float64")
    specimen.shake(rng)
    y = specimen.output(xs)
    dy = 0.5 if specimen.ends_in_loss else rng.standard_normal(y.shape)
    result = specimen.run(xs, dy)
    parameters = {name: view.copy() for name, view in specimen.storage.parameters.items()}
    settings = {name: value for name, value in vars(specimen.layer).items() if not name.startswith("_")}
    sizes = [float(np.abs(a).max(initial=1)) for a in (*xs, *parameters.values())]
    agree(y, formula(SimpleNamespace(**settings | parameters), *xs), max(sizes))

    names = [f"d{name}" for name in specimen.names(xs)]
    variables = dict(zip(names, xs, strict=True)) | {f"d{name}": p for name, p in parameters.items()}
    for name, gradient in result.gradients.items():

        def L(moved: np.ndarray, name: str = name) -> Any:
            inputs = [moved if own == name else x for own, x in zip(names, xs, strict=True)]
            held = {own: moved if f"d{own}" == name else p for own, p in parameters.items()}
            return (formula(SimpleNamespace(**settings | held), *inputs) * dy).sum()

        agree(gradient, complex_step(L, variables[name]), max(sizes) * float(np.abs(dy).max()))
