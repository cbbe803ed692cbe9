"""The rows and the sums of a captured step, by kernels, give what NumPy gives."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from cuda_emulator import needs_a_compiler, on_device
from cuda_parity import DEVICES, compare
from hypothesis import given, settings

pytestmark = needs_a_compiler
devices = pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)


@devices
@settings(max_examples=25)
@given(st.data())
def test_take_turn(device: Any, data: st.DataObject) -> None:
    rows, n, steps = (data.draw(st.integers(1, 300)) for _ in range(3))
    shape = data.draw(st.sampled_from([(), (1,), (5,), (3, 7), (300,)]))
    kind = data.draw(st.sampled_from(["uint8", "float32", "float64", "int64"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    x, order = rng.integers(0, 250, (rows, *shape)).astype(kind), rng.integers(0, rows, (steps, n))
    turn, out = np.array([data.draw(st.integers(0, steps - 1))]), np.full((n, *shape), 77, kind)
    compare(device, "take_turn", (x, order, turn, out), [3], "gather_turn")


@devices
def test_take_turn_turns_bytes_into_floats(device: Any) -> None:
    x, order = np.arange(60, dtype=np.uint8).reshape(4, 15), np.array([[0, 1], [3, 2]])
    out = on_device(np.full((2, 15), np.nan, np.float32))
    device.take_turn(on_device(x), on_device(order), on_device(np.array([1])), out)
    np.testing.assert_array_equal(device.to_host(out), x[[3, 2]].astype(np.float32))


@devices
@settings(max_examples=25)
@given(st.data())
def test_tally(device: Any, data: st.DataObject) -> None:
    n, classes = data.draw(st.integers(1, 600)), data.draw(st.integers(1, 12))
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    scores = rng.integers(-2, 3, (n, classes)).astype(dtype)  # many equal ones
    scores[rng.random(scores.shape) < data.draw(st.sampled_from([0, 0.05]))] = np.nan
    labels = rng.integers(0, classes, n).astype(data.draw(st.sampled_from(["int64", "uint8", "int32"])))
    loss, sums, counts = np.array(rng.standard_normal(), dtype), rng.standard_normal(2), rng.integers(0, 9, 3)
    for named in (labels, None):
        compare(device, "tally", (loss, scores, named, sums.copy(), counts.copy()), [3, 4], "tally")


@devices
def test_what_one_block_would_take_long_for_is_done_by_many(device: Any) -> None:
    scores, labels = np.zeros((700, 100), np.float32), np.zeros(700, int)
    compare(device, "tally", (np.array(1.0, np.float32), scores, labels, np.zeros(2), np.zeros(3, int)), [3, 4])


@devices
def test_an_order_of_another_dtype_takes_the_long_way(device: Any) -> None:
    x, order = np.arange(12.0).reshape(4, 3), np.array([[1, 2], [3, 3]], np.int32)
    compare(device, "take_turn", (x, order, np.array([1]), np.zeros((2, 3))), [3], "gather")
