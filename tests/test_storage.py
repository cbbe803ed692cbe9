"""Flat storage: its layout, its names, and initial parameters that are a function of (seed, name) alone."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from ambient import numpy_state, set_numpy_seed
from hypothesis import given
from hypothesis import strategies as st

from tinynn import (
    SGD,
    Affine,
    DataError,
    Layer,
    QuadraticCost,
    ReLU,
    Rescale,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
    fit,
    init,
)

X = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
T = np.arange(12) % 3


class Scale(Layer):
    """y = g x with a decayed gain, a bias-like offset and a state: declared in an order that storage must turn."""

    def build(self, shape: Any) -> Any:
        self.param("offset", shape, init.zeros, decay=False)
        self.state("seen", shape, init.ones)
        self.param("g", shape, init.standard_normal)
        return shape

    def forward(self, x: Any) -> Any:
        return x * self.g + self.offset, x

    def backward(self, dy: Any, x: Any) -> Any:
        self.dg[...] = (dy * x).sum(axis=0)
        self.doffset[...] = dy.sum(axis=0)
        return dy * self.g


def network(*behind: Layer, **options: Any) -> Sequential:
    return Sequential(Affine(70), Scale(), ReLU(), Affine(3), *behind).build((4,), **options)


def start(vector: np.ndarray, view: np.ndarray) -> int:
    """Where in the vector the view begins."""
    address = view.__array_interface__["data"][0] - vector.__array_interface__["data"][0]
    return address // vector.itemsize


def test_decayed_parameters_come_first_and_every_array_starts_on_a_multiple_of_64() -> None:
    storage = network().storage
    starts = {name: start(storage.params, view) for name, view in storage.parameters.items()}
    assert starts == {"0.W": 0, "1.g": 320, "3.W": 448, "0.b": 704, "1.offset": 832, "3.b": 960}
    assert storage.decayed == 704
    assert storage.params.size == storage.grads.size == 1024
    assert {name: start(storage.grads, view) for name, view in storage.gradients.items()} == starts
    assert {name: view.shape for name, view in storage.gradients.items()} == {
        name: view.shape for name, view in storage.parameters.items()
    }
    assert list(storage.states) == ["1.seen"]
    assert storage.state.size == 128


def test_padding_is_zero_and_stays_zero_and_gradients_are_born_nan() -> None:
    net = network(QuadraticCost())
    storage = net.storage
    padding = np.ones(storage.params.size, bool)
    for view in storage.parameters.values():
        padding[start(storage.params, view) :][: view.size] = False
    assert padding.sum() == 1024 - sum(view.size for view in storage.parameters.values()) > 0
    assert np.isnan(storage.grads[~padding]).all()
    fit(net, SGD(0.1, l2=0.1), (X, T), epochs=2, progress=False)
    assert not storage.params[padding].any()
    assert not storage.grads[padding].any()
    assert np.isfinite(storage.grads).all()


def test_the_layers_see_the_vectors() -> None:
    net = network()
    layer: Any = net[1]
    net.storage.params[...] = 7
    assert (layer.g == 7).all()
    layer.dg[...] = 5
    assert (net.storage.gradients["1.g"] == 5).all()
    layer.seen[...] = 4
    assert (net.storage.state[:70] == 4).all()
    assert net.storage.arrays().keys() == {"0.W", "0.b", "1.g", "1.offset", "1.seen", "3.W", "3.b"}
    net.storage.arrays()["1.g"][...] = 0  # copies
    assert (layer.g == 7).all()


@given(st.lists(st.tuples(st.integers(1, 90), st.booleans()), min_size=1, max_size=6), st.sampled_from(["f4", "f8"]))
def test_views_lie_apart_in_any_network(widths: list[tuple[int, bool]], kind: str) -> None:
    layers = [layer for width, more in widths for layer in ((Affine(width), Scale()) if more else (Affine(width),))]
    dtype = np.dtype(kind)
    storage = Sequential(*layers).build((3,), dtype=str(dtype)).storage
    count = np.zeros(storage.params.size, int)
    for name, view in storage.parameters.items():
        at = start(storage.params, view)
        assert at % 64 == 0
        assert (at < storage.decayed) == name.endswith((".W", ".g"))
        assert view.dtype == storage.gradients[name].dtype == dtype
        count[at : at + math.prod(view.shape)] += 1
    assert count.max() == 1


def test_a_network_without_parameters_has_empty_vectors() -> None:
    net = Sequential(Rescale(2.0), QuadraticCost()).build((3,))
    assert net.storage.params.size == net.storage.decayed == net.storage.grads.size == 0
    net.backward(1.0, net.forward(np.ones((2, 3)), np.zeros((2, 3)))[1])
    SGD(0.1, l2=0.1).step(net)
    net.storage.check_gradients_written()


# --- initial values


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    assert network(seed=5).storage.params.tobytes() == network(seed=5).storage.params.tobytes()
    one, other = network(seed=5).storage.parameters, network(seed=6).storage.parameters
    for name in ("0.W", "1.g", "3.W"):
        assert not np.isclose(one[name], other[name]).all()
    single, double = network(seed=5), network(seed=5, dtype="float64")
    for name, array in double.storage.parameters.items():
        np.testing.assert_array_equal(single.storage.parameters[name], array.astype(np.float32))


def test_a_parameters_stream_depends_on_its_name_and_on_no_other_layer() -> None:
    alone, longer = network(seed=5).storage.parameters, network(ReLU(), Affine(9), seed=5).storage.parameters
    for name, array in alone.items():
        np.testing.assert_array_equal(array, longer[name])
    square = Sequential(Affine(4), Affine(4)).build((4,)).storage.parameters
    assert not np.isclose(square["0.W"], square["1.W"]).any()


def test_no_global_random_state_is_touched_or_read() -> None:
    def learned() -> bytes:
        net = network(SoftmaxCrossEntropy())
        fit(net, SGD(0.1), (X, T), epochs=2, batch_size=5, progress=False)
        return net.storage.params.tobytes()

    set_numpy_seed(1)
    before = numpy_state()
    first = learned()
    assert numpy_state() == before
    set_numpy_seed(2)
    assert learned() == first


def test_processes_with_other_hash_seeds_draw_the_same_weights() -> None:
    program = (
        "import hashlib, tinynn as t; "
        "net = t.Sequential(t.Affine(30), t.Sigmoid(), t.Affine(10)).build((784,), seed=3); "
        "print(hashlib.sha256(net.storage.params.tobytes()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("0", "1", "random")
    }
    net = Sequential(Affine(30), ReLU(), Affine(10)).build((784,), seed=3)
    assert found == {hashlib.sha256(net.storage.params.tobytes()).hexdigest()}


# --- assign


def test_arrays_and_assign_are_a_round_trip() -> None:
    one, other = network(seed=1), network(seed=2)
    other.storage.assign(one.storage.arrays(), where="here")
    assert other.storage.params.tobytes() == one.storage.params.tobytes()
    one.storage.assign(one.storage.parameters | one.storage.states, where="here")  # its own views
    assert other.storage.params.tobytes() == one.storage.params.tobytes()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda arrays: arrays.pop("3.b"), ShapeError),
        (lambda arrays: arrays.update({"4.W": np.ones(3)}), ShapeError),
        (lambda arrays: arrays.update({"3.b": np.ones(4)}), ShapeError),
        (lambda arrays: arrays.update({"3.b": np.ones((3, 1))}), ShapeError),
        (lambda arrays: arrays.update({"3.b": np.array(["a", "b", "c"])}), DataError),
    ],
)
def test_assign_takes_all_or_nothing(change: Any, kind: type[Exception]) -> None:
    net = network()
    before = net.storage.params.copy()
    arrays = {name: array + 1 for name, array in net.storage.arrays().items()}
    change(arrays)
    with pytest.raises(kind, match=r"'(3\.b|4\.W)'"):
        net.storage.assign(arrays, where="here")
    np.testing.assert_array_equal(net.storage.params, before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_array_begins_a_cache_line(dtype: str) -> None:
    net = Sequential(Affine(3), Affine(5), Affine(2)).build((7,), dtype=dtype)
    storage = net.storage
    for array in [*storage.parameters.values(), *storage.gradients.values(), storage.work]:
        assert array.ctypes.data % 64 == 0
