"""The sum of rows, by kernels, is near the sum in float64, and the same on every run."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from cuda_emulator import needs_a_compiler, on_device
from cuda_parity import DEVICES
from hypothesis import given, settings

pytestmark = needs_a_compiler
devices = pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
EPS = {"float32": 2.0**-24, "float64": 2.0**-53}


def summed(device: Any, x: np.ndarray, kernels: int) -> np.ndarray:
    out, already = on_device(np.full(x.shape[1:], 77, x.dtype)), len(device.launched)
    device.sum_rows(on_device(x), out)
    assert device.launched[already:] == ["sum_rows"] * kernels
    return device.to_host(out)


@devices
@settings(max_examples=25)
@given(st.integers(1, 700), st.integers(1, 70), st.sampled_from(["float32", "float64"]), st.integers(0, 9))
def test_sum_rows(device: Any, n: int, M: int, dtype: str, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((n, M)).astype(dtype)
    found = summed(device, x, 1 if n <= 256 else 2)
    # A sum of n terms that is cut as this one is: no term meets more than 64 others, nor its part more than 20.
    most = 84 * EPS[dtype] * np.abs(x).sum(axis=0, dtype=np.float64)
    assert (np.abs(found - x.sum(axis=0, dtype=np.float64)) <= most).all()


@devices
def test_many_rows_take_three_kernels(device: Any) -> None:
    x = np.ones((2 * 128 * 128 + 1, 3), np.float32)
    np.testing.assert_array_equal(summed(device, x, 3), [len(x)] * 3)


@devices
def test_no_rows_and_rows_that_are_apart_take_the_long_way(device: Any) -> None:
    x = np.arange(24.0).reshape(4, 6)
    np.testing.assert_array_equal(summed(device, x[:, ::2], 0), x[:, ::2].sum(axis=0))
    np.testing.assert_array_equal(summed(device, x[:, :0], 0), [])
    np.testing.assert_array_equal(summed(device, x[:0], 0), [0] * 6)
