"""Products of matrices through the door to cuBLASLt, against NumPy, on a library that computes on the host."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from cuda_emulator import needs_a_compiler
from fake_cublaslt import Device, fake, gemm, on_host
from hypothesis import given, settings

from tinynn.cuda.gemm import Gemm

pytestmark = needs_a_compiler


@cache
def kept(precision: str) -> Gemm:
    """One door for all examples, so that they find each other's plans."""
    return gemm(precision)


@dataclass(frozen=True)
class Placed:
    """A way to lie in memory.

    `order`: of the axes, "rows", "columns" with the last two exchanged, or else by chance. Along each axis `gaps`: what
    is left free behind it; `steps`: from element to element. `before`: elements in front.
    """

    order: str = "rows"
    gaps: tuple[int, ...] = (0,)
    steps: tuple[int, ...] = (1,)
    before: int = 0

    def __call__(self, x: np.ndarray) -> tuple[Device, np.ndarray]:
        """The same numbers, and all the memory around them, which is NaN."""
        axes = np.arange(x.ndim)
        if self.order == "columns":
            axes[-2:] = axes[-2:][::-1]
        elif self.order != "rows":
            axes = np.random.default_rng(len(self.order)).permutation(x.ndim)
        steps, gaps = (np.resize(given, x.ndim)[axes] for given in (self.steps, self.gaps))
        shape = np.array(x.shape, int)[axes]
        sizes = [int(size) for size in shape * abs(steps) + gaps]
        memory = np.full(self.before + math.prod(sizes), np.nan, x.dtype)
        room = memory[self.before :].reshape(sizes)
        ahead = room[tuple(slice(0, size * step, step) for size, step in zip(shape, abs(steps), strict=True))]
        view = ahead[tuple(slice(None, None, int(np.sign(step))) for step in steps)].transpose(np.argsort(axes))
        view[...] = x
        return on_host(view), memory


PLAIN = Placed()
places = st.one_of(
    st.just(PLAIN),
    st.just(Placed("columns")),
    st.builds(
        Placed,
        st.sampled_from(["rows", "columns", "1", "22", "333"]),
        st.tuples(*[st.integers(0, 2)] * 5),
        st.sampled_from([(1,), (1,), (1, 1, 2), (2, 1), (-1, 1), (1, -1), (-1, 2, 1)]),
        st.integers(0, 5),
    ),
)
sizes = st.integers(0, 6)
dtypes = st.sampled_from(["float32", "float64"])
precisions = st.sampled_from(["float32", "tf32", "bfloat16"])
seeds = st.integers(0, 2**32 - 1)


def cut(x: np.ndarray, digits: int) -> np.ndarray:
    """float32 with so many bits fewer, the nearest, of two as near the even one."""
    bits = x.view(np.uint32).astype(np.uint64)
    unit = np.uint64(1 << digits)
    up = bits + unit // np.uint64(2) - np.uint64(1) + (bits // unit) % np.uint64(2)
    return (up // unit * unit).astype(np.uint32).view(np.float32)


def exact(precision: str, *arrays: np.ndarray) -> list[np.ndarray]:
    """What is multiplied: float64 as it is, float32 as the precision has it."""
    digits = {"float32": 0, "tf32": 13, "bfloat16": 16}[precision]
    return [
        (cut(np.ascontiguousarray(x), digits) if x.dtype == np.float32 and digits else x).astype(np.float64)
        for x in arrays
    ]


def close(found: np.ndarray, expected: np.ndarray) -> None:
    tolerance = {"float32": 3e-6, "float64": 1e-14}[str(found.dtype)]
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * 10)


def untouched(memory: np.ndarray, out: np.ndarray) -> None:
    """Only `out` was written."""
    out[...] = np.nan
    assert np.isnan(memory).all()


def draw(seed: int, dtype: str, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


@settings(max_examples=300)
@given(precisions, dtypes, sizes, sizes, sizes, places, places, places, seeds)
def test_matmul(
    precision: str, dtype: str, N: int, K: int, M: int, pa: Placed, pb: Placed, pout: Placed, seed: int
) -> None:
    a, b = draw(seed, dtype, (N, K), (K, M))
    (at_a, _), (at_b, _) = pa(a), pb(b)
    out, memory = pout(np.full((N, M), np.nan, dtype))
    assert kept(precision).matmul(at_a, at_b, out) is out
    a64, b64 = exact(precision, a, b)
    close(np.array(out), a64 @ b64)
    untouched(memory, out)


LEADS = [
    *[((), (), ()), ((3,), (3,), (3,)), ((3,), (1,), (3,)), ((), (4,), (4,)), ((2, 3), (2, 3), (2, 3))],
    *[((2, 1), (1, 3), (2, 3)), ((2, 3, 2), (3, 1), (2, 3, 2)), ((1, 1), (2,), (1, 2)), ((0,), (1,), (0,))],
]


@settings(max_examples=300)
@given(precisions, dtypes, st.sampled_from(LEADS), st.tuples(*[st.integers(1, 4)] * 3), places, places, places, seeds)
def test_matmul_stack(
    precision: str, dtype: str, leads: Any, size: Any, pa: Placed, pb: Placed, pout: Placed, seed: int
) -> None:
    N, K, M = size
    a, b = draw(seed, dtype, (*leads[0], N, K), (*leads[1], K, M))
    (at_a, _), (at_b, _) = pa(a), pb(b)
    out, memory = pout(np.full((*leads[2], N, M), np.nan, dtype))
    assert kept(precision).matmul_stack(at_a, at_b, out) is out
    a64, b64 = exact(precision, a, b)
    close(np.array(out), a64 @ b64)
    untouched(memory, out)


@settings(max_examples=300)
@given(precisions, dtypes, st.tuples(*[sizes] * 3), places, places, places, places, st.booleans(), seeds)
def test_affine(
    precision: str,
    dtype: str,
    size: Any,
    px: Placed,
    pW: Placed,
    pb: Placed,
    pout: Placed,
    offered: bool,
    seed: int,
) -> None:
    N, D, M = size
    x, W, b = draw(seed, dtype, (N, D), (D, M), (M,))
    (at_x, _), (at_W, _), (at_b, _) = px(x), pW(W), pb(b)
    out, memory = pout(np.full((N, M), np.nan, dtype))
    fake().fake_refuse(0 if offered else 4)
    try:
        door = kept(precision) if offered else gemm(precision, kept(precision).xp)
        assert door.affine(at_x, at_W, at_b, out) is out
    finally:
        fake().fake_refuse(0)
    x64, W64 = exact(precision, x, W)
    close(np.array(out), x64 @ W64 + b)
    untouched(memory, out)


# --- bfloat16


@pytest.mark.parametrize("wide", [1, 2**30])  # from where on places are counted in 64 bits
def test_bfloat16_is_the_nearest_and_nan_stays_nan(wide: int) -> None:
    special = [0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7F800001, 0xFF80FFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1, 0x80000001]
    ties = [0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F808001, 0x3F817FFF, 0x3F818001, 0x00008000, 0x00018000, 0]
    x = np.array([*special, *ties], np.uint32).view(np.float32)[:, None]
    out = on_host(np.empty((len(x), 1), np.float32))
    door = gemm("bfloat16")
    door.kernels.wide = wide
    door.matmul(on_host(x), on_host(np.ones((1, 1), np.float32)), out)
    with np.errstate(invalid="ignore"):  # some of the NaN are signalling
        x64 = x.astype(np.float64)
        nearest = np.where(np.isnan(x), np.nan, cut(x, 16).astype(np.float64))
    np.testing.assert_array_equal(out, nearest)
    near = np.isfinite(nearest[:, 0])
    assert (np.abs(nearest[near] - x64[near]) <= np.maximum(np.abs(x64[near]) / 256, 2.0**-134)).all()
    assert door.xp.launched == ["round_to_bfloat16"] * 2


def test_bfloat16_leaves_float64_alone() -> None:
    door = gemm("bfloat16")
    x = on_host(np.full((1, 1), 1 + 2.0**-40))
    door.matmul(x, x, out := on_host(np.empty((1, 1))))
    assert out[0, 0] == x[0, 0] ** 2 and door.xp.launched == []
