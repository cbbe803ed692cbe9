"""The verbs of the optimizers with a memory, each against its contract, for working arrays of any length."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from tinynn.backend import NumpyOps

ops = NumpyOps()


class Draw:
    """Flat vectors of one length and dtype, and where the decayed elements end."""

    def __init__(self, dtype: str, size: int, decayed: int, block: int, seed: int) -> None:
        self.rng, self.dtype, self.size = np.random.default_rng(seed), dtype, size
        self.decayed = min(decayed, size)
        self.work = np.full(block, np.nan, dtype)
        self.p, self.g, self.a, self.b = (self.rng.standard_normal(size).astype(dtype) for _ in range(4))
        self.b **= 2
        self.held = self.g.copy()
        self.exact = [x.astype(np.longdouble) for x in (self.p, self.g, self.a, self.b)]

    def each(self, number: float) -> np.ndarray:
        """The number where elements decay, and 0 elsewhere."""
        return np.where(np.arange(self.size) < self.decayed, np.longdouble(number), 0)

    def check(self, *pairs: tuple[np.ndarray, Any]) -> None:
        for got, right in pairs:
            assert got.dtype == self.dtype
            np.testing.assert_allclose(got, right.astype(np.float64), rtol=0, atol=64 * float(np.finfo(got.dtype).eps))
        np.testing.assert_array_equal(self.g, self.held)


draws = st.builds(
    Draw,
    st.sampled_from(["float32", "float64"]),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(2, 11),
    st.integers(0, 999),
)
decays = st.sampled_from([0.0, 0.25])


@given(draws, decays, st.booleans())
def test_momentum_update(d: Draw, l2: float, nesterov: bool) -> None:
    ops.momentum_update(d.p, d.g, d.a, 0.5, 0.75, nesterov, l2, d.decayed, d.work)
    p, g, velocity, _ = d.exact
    g = g + d.each(l2) * p
    velocity = 0.75 * velocity + g
    d.check((d.a, velocity), (d.p, p - 0.5 * (g + 0.75 * velocity if nesterov else velocity)))


@given(draws, decays, decays)
def test_adam_update(d: Draw, l2: float, shrink: float) -> None:
    ops.adam_update(d.p, d.g, d.a, d.b, 0.5, 0.75, 0.5, 0.25, l2, shrink, d.decayed, d.work)
    p, g, m, v = d.exact
    g = g + d.each(l2) * p
    m, v = 0.75 * m + 0.25 * g, 0.5 * v + 0.5 * g**2
    d.check((d.a, m), (d.b, v), (d.p, p - 0.5 * m / (np.sqrt(v) + 0.25) - d.each(shrink) * p))


@given(draws, decays)
def test_scaled_update(d: Draw, l2: float) -> None:
    ops.scaled_update(d.p, d.g, d.b, 0.5, 0.75, 2.0, 0.25, l2, d.decayed, d.work)
    p, g, _, squares = d.exact
    g = g + d.each(l2) * p
    squares = 0.75 * squares + 2 * g**2
    d.check((d.b, squares), (d.p, p - 0.5 * g / (np.sqrt(squares) + 0.25)))
