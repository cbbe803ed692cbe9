"""Dropout, and the counter-based numbers it is made of: the same bits everywhere, and as random as they should be."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ambient import numpy_state

from tinynn import SGD, Affine, ConfigurationError, Dropout, Sequential, SoftmaxCrossEntropy, fit
from tinynn.backend import NumpyOps

OPS = NumpyOps()


def uniform(key: int, step: int, shape: tuple[int, ...], dtype: str = "float64", **place: int) -> np.ndarray:
    out = np.full(shape, np.nan, dtype)
    stream = np.array([key, step], dtype)
    assert OPS.uniform(stream, out=out, bits=np.empty(out.size, np.uint32), **place) is out
    np.testing.assert_array_equal(stream, [key, step])
    return out


def test_the_bits_are_these() -> None:
    """Written once: should they change, runs that were saved would go on with other masks."""
    first = (uniform(12345, 7, (6,)) * 2**24).astype(int).tolist()
    assert first == GOLDEN
    assert (uniform(12345, 7, (2, 3), "float32") * 2**24).astype(int).ravel().tolist() == GOLDEN
    assert (uniform(12345, 7, (3, 2))[2, 1] * 2**24) == GOLDEN[5]


GOLDEN = [16696477, 15648962, 2329557, 11626212, 2119837, 8075424]


def test_the_bits_are_those_of_the_hash_in_whole_numbers() -> None:
    def hashed(x: int) -> int:
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            x ^= x >> shift
            x = x * factor % 2**32
        return x ^ (x >> 16)

    for key, step in ((12345, 7), (0, 0), (2**24 - 1, 2**24 - 1)):
        start = hashed(key * 0x9E3779B9 % 2**32 ^ step)
        right = [hashed((i * 0x9E3779B9 + start) % 2**32) >> 8 for i in range(1000)]
        assert (uniform(key, step, (1000,)) * 2**24).astype(int).tolist() == right


def test_a_part_has_the_bits_that_it_has_in_the_whole() -> None:
    whole = uniform(12345, 7, (10, 6))
    for first in range(10):
        np.testing.assert_array_equal(uniform(12345, 7, (10 - first, 6), first=6 * first), whole[first:])
    np.testing.assert_array_equal(uniform(12345, 7, (4,), first=2**32), whole.ravel()[:4])  # counted with 32 bits


def test_numbers_are_spread_evenly() -> None:
    u = uniform(1, 0, (1_000_000,))
    assert u.min() >= 0 and u.max() < 1
    assert abs(u.mean() - 1 / 2) < 4 / np.sqrt(12e6)
    assert abs(u.var() - 1 / 12) < 4e-4
    for cells in (256, 1000):
        counts = np.bincount((u * cells).astype(int), minlength=cells)
        chi2 = float(((counts - 1e6 / cells) ** 2 / (1e6 / cells)).sum())
        assert abs(chi2 - (cells - 1)) < 5 * np.sqrt(2 * (cells - 1))
    low = np.bincount((u * 2**24).astype(int) % 64, minlength=64)  # the lowest bits too
    assert abs(float(((low - 15625) ** 2 / 15625).sum()) - 63) < 5 * np.sqrt(126)


@pytest.mark.parametrize("lag", [1, 2, 3, 64, 784])
def test_neighbours_do_not_resemble_each_other(lag: int) -> None:
    u = uniform(99, 5, (400_000,)) - 0.5
    assert abs((u[lag:] * u[:-lag]).mean() * 12) < 5 / np.sqrt(400_000)


def test_steps_and_keys_do_not_resemble_each_other() -> None:
    streams = [
        uniform(key, step, (100_000,)) - 0.5 for key, step in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2**23, 0)]
    ]
    for i, a in enumerate(streams):
        for b in streams[:i]:
            for shift in (0, 1, 2):
                assert abs((a[shift:] * b[: len(b) - shift]).mean() * 12) < 5 / np.sqrt(100_000)


def test_one_element_over_many_steps_is_random_too() -> None:
    kept = np.array([uniform(3, step, (8,)) >= 0.5 for step in range(4000)])
    assert (abs(kept.mean(axis=0) - 0.5) < 5 * 0.5 / np.sqrt(4000)).all()
    same = (kept[1:] == kept[:-1]).mean(axis=0)
    assert (abs(same - 0.5) < 5 * 0.5 / np.sqrt(4000)).all()


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.75])
def test_the_share_that_is_dropped_and_the_size_of_what_is_kept(rate: float) -> None:
    net = Sequential(Dropout(rate)).build((1000,), dtype="float64", needs_dx=True)
    x = np.ones((1000, 1000))
    y, cache = net.forward(x)
    assert abs((y == 0).mean() - rate) < 1e-3 * (rate > 0) + 1e-12
    assert np.unique(y[y > 0]) == pytest.approx([1 / (1 - rate)])
    dx = net.backward(x, cache)
    np.testing.assert_array_equal(dx, y)
    np.testing.assert_array_equal(net.predict(x), x)


def test_each_pass_has_another_mask_and_each_layer_its_own() -> None:
    net = Sequential(Dropout(), Dropout()).build((1000,))
    x = np.ones((1, 1000), np.float32)
    first, second = (net.forward(x)[0].copy() for _ in range(2))
    assert 0.5 < (first == second).mean() < 0.75  # 0.25 stay in both, 0.75^2 are dropped in both: 0.625
    one, two = (net.storage.states[f"{i}.stream"][0] for i in (0, 1))
    assert one != two
    other = Sequential(Dropout(), Dropout()).build((1000,), seed=1)
    assert other.storage.states["0.stream"][0] != one


def test_masks_are_the_same_in_both_precisions_and_every_layout() -> None:
    masks = []
    for dtype in ("float32", "float64"):
        for order in ("C", "F"):
            net = Sequential(Dropout(0.3)).build((7, 5), dtype=dtype)
            masks.append(net.forward(np.ones((6, 7, 5), dtype, order=order))[0] > 0)
    assert all((mask == masks[0]).all() for mask in masks)


def test_the_count_wraps_where_float32_ends() -> None:
    net = Sequential(Dropout()).build((3,))
    net.storage.states["0.stream"][1] = 2**24 - 1
    net.forward(np.ones((1, 3)))
    assert net.storage.states["0.stream"][1] == 0


def test_a_run_that_is_saved_goes_on_with_the_masks_that_would_have_come(tmp_path: Path) -> None:
    def make() -> Sequential:
        return Sequential(Affine(20), Dropout(), Affine(2), SoftmaxCrossEntropy()).build((3,))

    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((40, 3)), rng.integers(0, 2, 40)
    net = make()
    fit(net, SGD(0.1), (x, t), epochs=1, progress=False)
    net.save(tmp_path / "net.npz")
    others = [make().load(tmp_path / "net.npz"), copy.deepcopy(net)]
    fit(net, SGD(0.1), (x, t), epochs=2, progress=False)
    for other in others:
        fit(other, SGD(0.1), (x, t), epochs=2, progress=False)
        np.testing.assert_array_equal(other.storage.params, net.storage.params)


def test_another_process_has_the_same_masks() -> None:
    program = (
        "import numpy as np; from tinynn import *; net = Sequential(Dropout()).build((50,));"
        "print((net.forward(np.ones((2, 50)))[0] > 0).astype(int).ravel().tolist())"
    )
    runs = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout for _ in "ab"
    }
    assert len(runs) == 1 and "1" in runs.pop()


def test_the_global_random_state_is_not_touched() -> None:
    before = numpy_state()
    Sequential(Dropout()).build((5,)).forward(np.ones((2, 5)))
    assert numpy_state() == before


@pytest.mark.parametrize("rate", [1.0, -0.1, float("nan"), "0.5", None])
def test_a_rate_that_cannot_be(rate: Any) -> None:
    with pytest.raises(ConfigurationError, match="the rate") as caught:
        Dropout(rate)
    assert caught.value.fix == "Dropout(0.5)"
