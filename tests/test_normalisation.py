"""Normalisation against PyTorch's numbers, its running means, and what it does at the edges."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinynn import (
    SGD,
    Affine,
    BatchNorm,
    ConfigurationError,
    GroupNorm,
    Layer,
    LayerNorm,
    RMSNorm,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
)

X = np.sin(np.arange(24.0)).reshape(4, 3, 2) * 3 + 1
DY = np.cos(np.arange(24.0) * 0.7).reshape(4, 3, 2)
GAMMA, BETA = np.array([0.5, 1.5, -2.0]), np.array([0.1, -0.2, 0.3])
PICKED = [0, 7, 23]

# Computed in float64 by PyTorch 2.13: BatchNorm1d, GroupNorm, LayerNorm, RMSNorm of X, their gradients for DY.
PYTORCH: dict[str, tuple[Layer, bool, list[float], list[float], list[float]]] = {
    "BatchNorm": (
        BatchNorm(),
        False,
        [0.04072628150592733, 0.661902862361344, 1.3391652662274822],
        [0.24707644976196744, -0.012587891954089462, 1.4480350571109912],
        [0.06705548448259399, -0.08757394130378945, -0.6592069349367551],
    ),
    "GroupNorm": (
        GroupNorm(1),
        False,
        [0.07938273216321279, 0.5409122360113878, 2.9105425559581555],
        [-0.10183861817971684, -0.3101520244516676, 0.1740899605665061],
        [0.0864555844002939, -0.414299802798492, 1.527287404673588],
    ),
    "LayerNorm": (
        LayerNorm(axis=0),
        True,
        [0.07938273216321279, 1.0818244720227757, 5.82108511191631],
        [-0.22606639905489162, -0.46117166544608185, 0.6109587395904348],
        [-0.5462068713338178, 0.6326624557341118, 0.16170779043396122],
    ),
    "RMSNorm": (
        RMSNorm(axis=0),
        True,
        [0.20857217932087135, 1.2480689802557985, 2.613080379246191],
        [0.29850466546592164, -0.43626397425314534, 1.4078426382528126],
        [-0.013909910560341077, 0.9081869155953042, 0.2110156245618331],
    ),
}


@pytest.mark.parametrize("name", PYTORCH)
def test_pytorch_has_the_same_numbers(name: str) -> None:
    layer, whole, y_right, dx_right, dgamma_right = PYTORCH[name]
    net = Sequential(copy.deepcopy(layer)).build((3, 2), dtype="float64", needs_dx=True)
    P, G = net.storage.parameters, net.storage.gradients
    for key, values in (("gamma", GAMMA), ("g", GAMMA), ("beta", BETA)):
        if f"0.{key}" in P:
            P[f"0.{key}"][...] = np.outer(values, [1, 2]) if whole else values
    y, cache = net.forward(X)
    np.testing.assert_allclose(y.ravel()[PICKED], y_right, rtol=1e-12)
    np.testing.assert_allclose(net.backward(DY, cache).ravel()[PICKED], dx_right, rtol=1e-11)
    dgamma = G["0.gamma" if "0.gamma" in G else "0.g"]
    np.testing.assert_allclose(dgamma.ravel()[:3], dgamma_right, rtol=1e-11)


def test_the_running_means_are_pytorchs_but_for_the_one_less() -> None:
    net = Sequential(BatchNorm(momentum=0.9)).build((3, 2), dtype="float64")
    net.forward(X)
    np.testing.assert_allclose(
        net.storage.states["0.mean"], [0.1188072312641966, 0.31908963444498845, -0.10115414785330012], rtol=1e-12
    )
    theirs = np.array([1.1876441947369403, 0.985674403001789, 1.0176242927435266])
    np.testing.assert_allclose(net.storage.states["0.var"], 0.9 + (theirs - 0.9) * 7 / 8, rtol=1e-12)


def test_inference_uses_the_running_means_and_leaves_them_alone() -> None:
    net = Sequential(BatchNorm(momentum=0.0)).build((3, 2), dtype="float64")
    y = net.forward(X)[0].copy()  # momentum 0: the running means are those of this batch
    state = net.storage.state.copy()
    np.testing.assert_allclose(net.predict(X), y, rtol=1e-12)
    np.testing.assert_allclose(net.predict(X[1:2]), y[1:2], rtol=1e-12)
    np.testing.assert_array_equal(net.storage.state, state)


@pytest.mark.parametrize("shape", [(2,), (2, 1, 1)])
def test_one_value_for_each_feature_has_no_variance(shape: tuple[int, ...]) -> None:
    net = Sequential(BatchNorm()).build(shape, dtype="float64", needs_dx=True)
    net.storage.parameters["0.beta"][...] = [3, 4]
    before = net.storage.state.copy()
    y, cache = net.forward(np.full((1, *shape), 7.0))
    np.testing.assert_array_equal(y.ravel(), [3, 4])
    np.testing.assert_array_equal(net.backward(np.ones((1, *shape)), cache).ravel(), [0, 0])
    np.testing.assert_array_equal(net.storage.state, before)


@pytest.mark.parametrize("layer", [BatchNorm(), LayerNorm(), GroupNorm(1)], ids=repr)
def test_a_large_mean_costs_no_more_digits_than_it_must(layer: Layer) -> None:
    """Mean 10,000 and variance 1 in float32: the square of the mean must not be subtracted from that of x."""
    x = (1e4 + np.random.default_rng(0).standard_normal((4096, 8))).astype(np.float32)
    wide = Sequential(copy.deepcopy(layer)).build((8,), dtype="float64").forward(x.astype(np.float64))[0]
    np.testing.assert_allclose(Sequential(copy.deepcopy(layer)).build((8,)).forward(x)[0], wide, atol=4e-3)


def test_images_in_any_order_in_memory() -> None:
    x = np.random.default_rng(0).standard_normal((5, 4, 3, 2))
    for layer in (BatchNorm(), GroupNorm(2), LayerNorm(axis=0), RMSNorm()):
        results = []
        for order in ((0, 1, 2, 3), (2, 1, 3, 0), (3, 2, 1, 0)):
            laid = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
            net = Sequential(copy.deepcopy(layer)).build((4, 3, 2), dtype="float64", needs_dx=True)
            within = net[0]  # a network copies what it is given in another order
            y, cache = within.forward(laid)
            assert y.strides == laid.strides
            results.append((y.copy(), within.backward(laid, cache).copy(), within.predict(laid).copy()))
        for other in results[1:]:
            for a, b in zip(other, results[0], strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_running_means_are_saved_copied_and_learned_through_fit(tmp_path: Path) -> None:
    def make() -> Sequential:
        return Sequential(Affine(6), BatchNorm(), Affine(2), SoftmaxCrossEntropy()).build((3,))

    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((64, 3)), rng.integers(0, 2, 64)
    net = make()
    fit(net, SGD(0.1, l2=0.1), (x, t), epochs=2, batch_size=9, progress=False)  # the last batch has one row
    net.save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz") as file:
        assert {"1.mean", "1.var", "1.gamma", "1.beta"} <= set(file.files)
    for other in (make().load(tmp_path / "net.npz"), copy.deepcopy(net)):
        np.testing.assert_array_equal(other.predict(x), net.predict(x))
    assert net.storage.decayed == Sequential(Affine(6), Affine(2)).build((3,)).storage.decayed


WRONG: dict[str, Callable[[], Any]] = {
    "momentum 1": lambda: BatchNorm(momentum=1.0),
    "momentum below 0": lambda: BatchNorm(momentum=-0.1),
    "eps 0": lambda: BatchNorm(eps=0.0),
    "no features": lambda: Sequential(BatchNorm()).build(()),
    "eps of LayerNorm": lambda: LayerNorm(eps=-1e-5),
    "axis that is not there": lambda: Sequential(LayerNorm(axis=2)).build((3, 2)),
    "axis of RMSNorm": lambda: Sequential(RMSNorm(axis=-3)).build((3, 2)),
    "axis no integer": lambda: LayerNorm(axis=0.5),  # pyright: ignore[reportArgumentType]
    "groups that do not divide": lambda: Sequential(GroupNorm(2)).build((3, 2)),
    "no groups": lambda: GroupNorm(0),
}


@pytest.mark.parametrize("case", WRONG)
def test_it_is_refused(case: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        WRONG[case]()
    assert caught.value.where and caught.value.expected and caught.value.got is not None and caught.value.fix
