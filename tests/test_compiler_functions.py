"""exp, expm1, tanh and log1p as machine code, over all that their number formats hold, in ulps of the right result.

The right results are NumPy's in long double, whose digits suffice for float32 everywhere, and for float64 where it has
more than those of float64.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from compiler_helpers import assert_bits, machine_code, processors
from hypothesis import given, settings

LONG = np.longdouble
ULPS = 4
FUNCTIONS = [np.exp, np.expm1, np.tanh, np.log1p]
DTYPES = ["float32", "float64"]
SPECIAL = {
    np.exp: [(0.0, 1.0), (-0.0, 1.0), (np.inf, np.inf), (-np.inf, 0.0), (1e5, np.inf), (-1e5, 0.0)],
    np.expm1: [(0.0, 0.0), (-0.0, -0.0), (np.inf, np.inf), (-np.inf, -1.0), (1e5, np.inf), (-1e5, -1.0)],
    np.tanh: [(0.0, 0.0), (-0.0, -0.0), (np.inf, 1.0), (-np.inf, -1.0), (1e30, 1.0), (-1e30, -1.0)],
    np.log1p: [(0.0, 0.0), (-0.0, -0.0), (np.inf, np.inf), (-1.0, -np.inf), (-1.5, np.nan), (-np.inf, np.nan)],
}

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def applied(function: Any, x: np.ndarray) -> np.ndarray:
    out = np.full_like(x, 7)
    machine_code([partial(function, x, out)])()
    return out


def check(function: Any, x: np.ndarray) -> None:
    """Within so many ulps, those of denormals included; infinite where the right result rounds to that."""
    got, exact = applied(function, x), function(x.astype(LONG))
    right = exact.astype(x.dtype)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(right))
    # Next to the largest float a few ulps decide whether a result is infinite.
    sure = ~(abs(abs(exact) / LONG(np.finfo(x.dtype).max) - 1) < ULPS * np.finfo(x.dtype).eps)
    np.testing.assert_array_equal(np.isinf(got)[sure], np.isinf(right)[sure])
    here = np.isfinite(right) & np.isfinite(got)
    error = abs(got[here].astype(LONG) - exact[here]) / np.spacing(abs(right[here])).astype(LONG)
    worst = error.argmax() if error.size else 0
    assert not error.size or error[worst] <= ULPS, (x[here][worst], got[here][worst], exact[here][worst])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_special_values(function: Any, dtype: str) -> None:
    x, right = np.array([*SPECIAL[function], (np.nan, np.nan)], dtype).T.copy()
    assert_bits(applied(function, x), right)


@pytest.mark.usefixtures(processors.__name__)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_wherever_the_results_differ_from_each_other(function: Any, dtype: str) -> None:
    end = 110 if dtype == "float32" else 750
    parts = [np.linspace(-end, end, 60_001), np.linspace(-1, 1, 20_001), np.linspace(-22, 22, 20_001)]
    parts += [np.geomspace(1e-8, 1, 5001) - 1, np.geomspace(1, 1e9, 5001), np.log(2) * (np.arange(-1100, 1100) + 0.5)]
    check(function, np.concatenate(parts).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_floats_of_every_size(function: Any, dtype: str) -> None:
    whole = np.dtype(f"u{np.dtype(dtype).itemsize}")
    bits = np.random.default_rng(0).integers(0, 2 ** (8 * whole.itemsize) - 1, 100_000, whole)
    x = bits.view(dtype)
    check(function, x[np.isfinite(x)])


@settings(max_examples=50)
@given(st.sampled_from(FUNCTIONS), st.lists(st.floats(allow_nan=False), min_size=1, max_size=40))
def test_what_hypothesis_thinks_of(function: Any, values: list[float]) -> None:
    check(function, np.array(values))
    check(function, np.array(values).astype(np.float32))
