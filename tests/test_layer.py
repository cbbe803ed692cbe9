"""The layer protocol: what a layer may count on, what copies hold, and how places in networks come and go."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from typing import Any

import numpy as np
import pytest

from tinynn import (
    Affine,
    ConfigurationError,
    Layer,
    QuadraticCost,
    ReLU,
    Rescale,
    Sequential,
    ShapeError,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
    gradcheck,
)
from tinynn.init import glorot, ones, zeros

X = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
T = np.array([0, 1, 2, 0, 1, 2])


class Gain(Layer):
    """y = g x + seen: a parameter, a state, and an __init__ without super()."""

    def __init__(self, start: float = 1.0, *, label: str = "gain") -> None:
        self.start, self.label = start, label

    def build(self, shape: Any) -> Any:
        self.param("g", shape, lambda rng, shape: np.full(shape, self.start), decay=False)
        self.state("seen", shape, zeros)
        return shape

    def forward(self, x: Any) -> Any:
        return x * self.g + self.seen, x

    def backward(self, dy: Any, x: Any) -> Any:
        self.dg[...] = (dy * x).sum(axis=0)
        return dy * self.g


class Residual(Layer):
    """y = x + inner(x): a layer that contains another."""

    def __init__(self, inner: Layer) -> None:
        self.inner = inner

    def build(self, shape: Any) -> Any:
        return self.sublayer("inner", self.inner, shape)

    def forward(self, x: Any) -> Any:
        y, cache = self.inner.forward(x)
        return x + y, cache

    def backward(self, dy: Any, cache: Any) -> Any:
        return dy + self.inner.backward(dy, cache)


def network(seed: int = 0) -> Sequential:
    return Sequential(Affine(5), Gain(2.0), Sequential(Tanh(), Affine(3)), SoftmaxCrossEntropy()).build((4,), seed=seed)


def test_a_parameter_its_gradient_and_a_state_are_attributes_after_build() -> None:
    net = Sequential(Gain(2.0)).build((3,), dtype="float64")
    gain: Any = net[0]
    np.testing.assert_array_equal(gain.g, [2.0, 2.0, 2.0])
    assert gain.dg.shape == (3,)
    assert np.isnan(gain.dg).all()
    np.testing.assert_array_equal(gain.seen, 0)
    assert (gain.dtype, gain.xp, gain.needs_dx) == (np.float64, np, False)
    assert list(net.storage.parameters) == ["0.g"]
    assert list(net.storage.states) == ["0.seen"]
    assert net.storage.decayed == 0


def test_repr_shows_the_arguments_without_the_authors_help() -> None:
    assert repr(Gain(2.0, label="loud")) == "Gain(2.0, label='loud')"
    assert repr(Gain()) == "Gain()"
    assert repr(Affine(3, W=np.ones((2, 3)), b=glorot)) == "Affine(3, W=<array (2, 3)>, b=glorot)"
    assert repr(Sequential(Affine(2), ReLU())) == "Sequential(Affine(2), ReLU())"
    assert repr(Affine(np.int64(3))) in ("Affine(np.int64(3))", "Affine(3)")  # pyright: ignore[reportArgumentType]


# --- empty


def test_empty_gives_the_same_array_again_and_a_view_of_it_for_fewer_rows() -> None:
    layer = Sequential(ReLU()).build((3,))[0]
    full = layer.empty("y", (8, 3))
    assert full.dtype == np.float32
    assert layer.empty("y", (8, 3)) is full
    ragged = layer.empty("y", (5, 3))
    assert np.shares_memory(ragged, full)
    assert ragged.flags.c_contiguous
    assert np.shares_memory(layer.empty("y", (8, 3)), full)
    assert not np.shares_memory(layer.empty("z", (8, 3)), full)
    larger = layer.empty("y", (9, 3))
    assert not np.shares_memory(larger, full)
    assert np.shares_memory(layer.empty("y", (8, 3)), larger)


def test_empty_of_another_dtype_is_another_array() -> None:
    layer = Sequential(ReLU()).build((3,))[0]
    assert layer.empty("p", (2, 3), np.float64).dtype == np.float64
    assert layer.empty("p", (2, 3), np.bool_).dtype == np.bool_
    assert layer.empty("p", (2, 3), np.bool_) is layer.empty("p", (2, 3), "bool")
    assert layer.empty("s", ()).shape == ()
    assert layer.empty("none", (0, 3)).shape == (0, 3)


def test_empty_is_the_threads_own() -> None:
    layer = Sequential(ReLU()).build((3,))[0]
    arrays = [layer.empty("y", (8, 3))]
    thread = threading.Thread(target=lambda: arrays.append(layer.empty("y", (8, 3))))
    thread.start()
    thread.join()
    assert not np.shares_memory(*arrays)


# --- copies


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_of_a_built_network_predicts_the_same_and_is_its_own(copied: Any) -> None:
    net = network(seed=7)
    net.storage.params += 0.25
    net[1].seen[...] = 3
    before = net.predict(X)
    twin = copied(net)
    assert twin.predict(X).tobytes() == before.tobytes()
    assert twin.storage.arrays().keys() == net.storage.arrays().keys()
    assert repr(twin) == repr(net)
    assert (twin.dtype, twin._seed) == (net.dtype, 7)
    twin.storage.params[...] = 0  # the layers of the copy see the copy's storage
    np.testing.assert_allclose(twin.predict(X), 1 / 3, rtol=1e-6)
    assert not twin[0].W.any()
    assert net.predict(X).tobytes() == before.tobytes()
    twin.backward(1.0, twin.forward(X, T)[1])
    assert np.isnan(net.storage.gradients["0.W"]).all()


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_of_a_single_layer_is_unbuilt_with_the_same_settings(copied: Any) -> None:
    for original in (Gain(2.0, label="loud"), network()[1]):
        twin = copied(original)
        assert (twin.start, repr(twin), twin._site) == (2.0, repr(original), None)
        assert "g" not in vars(twin)
        assert "xp" not in vars(twin)
        np.testing.assert_array_equal(Sequential(twin).build((2,))[0].g, 2.0)


def test_an_unbuilt_network_copies_as_unbuilt() -> None:
    twin = copy.deepcopy(Sequential(Affine(3)))
    assert twin._site is None
    assert (
        twin.build((4,), seed=1).predict(X).tobytes() == Sequential(Affine(3)).build((4,), seed=1).predict(X).tobytes()
    )


# --- places


def test_building_again_draws_anew_and_forgets_what_was_learned() -> None:
    net = network(seed=1)
    first = net.predict(X)
    net.storage.params += 1
    net.build((4,), seed=2)
    assert not np.allclose(net.predict(X), first)
    assert net.build((4,), seed=1).predict(X).tobytes() == first.tobytes()
    assert net.build((6,), dtype="float64", needs_dx=True).storage.parameters["0.W"].shape == (6, 5)


class Refuses(Layer):
    """A layer that builds for one shape only."""

    def build(self, shape: Any) -> Any:
        self.param("g", shape, ones)
        if shape != (5,):
            raise RuntimeError("not this shape")
        return shape

    def forward(self, x: Any) -> Any:
        return x * self.g, x


def test_a_failed_build_leaves_the_network_exactly_as_it_was() -> None:
    net = Sequential(Rescale(0.5), Sequential(Affine(5, b=np.ones(5)), Refuses()), Affine(3)).build((4,), seed=3)
    net.storage.params += 0.5
    before, storage = net.predict(X), net.storage
    _, cache = net.forward(X)
    inner: Any = net[1]
    inner[0].M = 6
    with pytest.raises(RuntimeError, match="not this shape") as caught:
        net.build((4,), dtype="float64", seed=9)
    assert caught.value.__notes__ == ["raised in build of layer 1.1: Refuses() for (6,)"]
    inner[0].M = 5
    with pytest.raises(ConfigurationError):
        net.build((4,), seed=-1)
    inner[0].b_init = np.ones(7)  # fails when the values are drawn, after all layers were built
    with pytest.raises(ShapeError):
        net.build((4,))
    assert net.storage is storage
    assert net.predict(X).tobytes() == before.tobytes()
    assert net.dtype == np.float32
    assert cache.scores.shape == (6, 3)


def test_a_layer_that_failed_to_build_can_be_built_elsewhere() -> None:
    layer = Refuses()
    with pytest.raises(RuntimeError):
        Sequential(layer).build((4,))
    assert Sequential(layer).build((5,)).predict(np.ones((1, 5))).shape == (1, 5)


def test_the_layers_of_a_network_that_is_gone_can_be_used_again() -> None:
    net = network()
    layers = list(net)
    del net
    gc.collect()
    again = Sequential(*layers).build((7,), seed=5)
    assert again.storage.parameters["0.W"].shape == (7, 5)
    assert np.isfinite(again.predict(np.ones((2, 7)))).all()


def test_layers_nest_and_are_named_by_their_path() -> None:
    net = Sequential(Residual(Sequential(Affine(4), Sigmoid())), Residual(Gain(0.5)), Affine(2), QuadraticCost())
    net.build((4,))
    assert [path for path, _ in net.walk()] == ["", "0", "0.inner", "0.inner.0", "0.inner.1", "1", "1.inner", "2", "3"]
    assert list(net.storage.arrays()) == ["0.inner.0.W", "2.W", "0.inner.0.b", "1.inner.g", "2.b", "1.inner.seen"]
    inner: Any = net[0]
    assert inner.inner[0].where == "layer 0.inner.0: Affine(4)"
    gradcheck(net, (4,), ())
    np.testing.assert_allclose(inner.predict(X), X + inner.inner.predict(X), rtol=1e-6)


def test_predict_of_a_layer_is_its_forward_unless_it_says_otherwise() -> None:
    net = Sequential(Gain(3.0)).build((4,))
    np.testing.assert_array_equal(net[0].predict(X), X * np.float32(3))
