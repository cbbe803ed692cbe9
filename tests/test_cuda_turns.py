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


KINDS = "uint8", "float32", "float64", "int64"


def turned(device: Any, xs: list[np.ndarray], order: np.ndarray, turn: int, dtypes: list[Any]) -> list[str]:
    """Looks at the rows that a device gathers into arrays of these dtypes; the kernels that it launched."""
    outs = [np.full((order.shape[1], *x.shape[1:]), 77, dtype) for x, dtype in zip(xs, dtypes, strict=True)]
    already, there = len(device.launched), [on_device(out) for out in outs]
    device.take_turns([on_device(x) for x in xs], on_device(order), on_device(np.array([turn])), there)
    for x, out, dtype in zip(xs, there, dtypes, strict=True):
        np.testing.assert_array_equal(device.to_host(out), x[order[turn]].astype(dtype), strict=True)
    return device.launched[already:]


@devices
@settings(max_examples=25)
@given(st.data())
def test_take_turns(device: Any, data: st.DataObject) -> None:
    rows, n, steps = (data.draw(st.integers(1, 300)) for _ in range(3))
    shapes = data.draw(st.lists(st.sampled_from([(), (1,), (5,), (3, 7), (300,)]), min_size=1, max_size=3))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    xs = [rng.integers(0, 250, (rows, *shape)).astype(data.draw(st.sampled_from(KINDS))) for shape in shapes]
    order, turn = rng.integers(0, rows, (steps, n)), data.draw(st.integers(0, steps - 1))
    launched = turned(device, xs, order, turn, [data.draw(st.sampled_from((x.dtype, "float64"))) for x in xs])
    assert launched == ["gather_turn"] * ((len(xs) + 1) // 2)  # two arrays to a kernel


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
def test_scores_that_the_tally_cannot_read_take_the_long_way(device: Any) -> None:
    wide, labels = np.arange(24.0).reshape(4, 6), np.array([2, 0, 1, 2])
    for scores, named in ((wide[:, ::2], labels), (wide[:, :3].copy(), np.repeat(labels, 2)[::2])):
        compare(device, "tally", (np.array(1.0), scores, named, np.zeros(2), np.zeros(3, int)), [3, 4])


@devices
def test_what_the_kernel_cannot_read_takes_the_long_way(device: Any) -> None:
    x, order = np.arange(12.0).reshape(4, 3), np.array([[1, 2], [3, 3]])
    assert turned(device, [x], order.astype(np.int32), 1, [float]) == ["gather"]
    assert turned(device, [x[:, ::2], x], order, 1, [float, float]) == ["gather_turn"]  # and CuPy's own take
