"""SGD with L2 against its formula, element by element, wherever the decayed parameters end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from optim_helpers import PLACES, check_padding, network

from tinynn import (
    SGD,
    Adam,
    Affine,
    ConfigurationError,
    QuadraticCost,
    ReLU,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    fit,
)
from tinynn.init import standard_normal, zeros
from tinynn.network import storage as storage_module

Step = Callable[[SGD, Sequential], None]


def check_formula(net: Sequential, lr: float, l2: float, steps: int = 3, step: Step = SGD.step) -> None:
    """W <- W - lr (dW + l2 W), b <- b - lr db, in exact arithmetic but for the precision of the result."""
    parameters, gradients = net.storage.parameters, net.storage.gradients
    for _ in range(steps):
        before = {name: p.astype(np.longdouble) for name, p in parameters.items()}
        held = {name: g.copy() for name, g in gradients.items()}
        step(SGD(lr, l2), net)
        for name, p in parameters.items():
            decay = l2 if ".W" in name else 0.0
            right = before[name] - np.longdouble(lr) * (held[name] + np.longdouble(decay) * before[name])
            size = np.abs(before[name]) + lr * np.abs(held[name])
            assert (np.abs(p - right) <= 2 * np.finfo(p.dtype).eps * size).all(), name
            np.testing.assert_array_equal(gradients[name], held[name])
        check_padding(net)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("place", PLACES)
def test_formula_over_several_blocks(place: str, dtype: str) -> None:
    check_formula(network(PLACES[place][0], PLACES[place][1], dtype), lr=0.3, l2=0.05)


sizes = st.lists(st.integers(1, 200), max_size=3)


@pytest.mark.parametrize("block", [64, 128, 192])
def test_formula_for_any_sizes(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_module, "BLOCK", block)

    @settings(max_examples=100)
    @given(sizes, sizes, st.sampled_from([1e-3, 0.1, 3.0]), st.sampled_from([0.0, 1e-4, 0.5]))
    def check(decayed: list[int], kept: list[int], lr: float, l2: float) -> None:
        net = network(decayed, kept, "float64")
        assert net.storage.work.size <= block
        check_formula(net, lr, l2, steps=1)

    check()


# --- wrong updates, each of which the formula must catch


def decays_everything(sgd: SGD, net: Sequential) -> None:
    net.storage.params[...] -= sgd.lr * (net.storage.grads + sgd.l2 * net.storage.params)


def decays_nothing(sgd: SGD, net: Sequential) -> None:
    net.storage.params[...] -= sgd.lr * net.storage.grads


def decay_without_the_learning_rate(sgd: SGD, net: Sequential) -> None:
    net.storage.params[: net.storage.decayed] *= 1 - sgd.l2
    net.storage.params[...] -= sgd.lr * net.storage.grads


def decay_after_the_step(sgd: SGD, net: Sequential) -> None:
    net.storage.params[...] -= sgd.lr * net.storage.grads
    net.storage.params[: net.storage.decayed] *= 1 - sgd.lr * sgd.l2


def first_block_only(sgd: SGD, net: Sequential) -> None:
    params, grads, work = (array[:64] for array in (net.storage.params, net.storage.grads, net.storage.work))
    net.ops.sgd_update(params, grads, sgd.lr, sgd.l2, net.storage.decayed, work)


def boundary_of_the_first_block(sgd: SGD, net: Sequential) -> None:
    s = net.storage
    for start in range(0, s.params.size, 64):
        part = slice(start, start + 64)
        net.ops.sgd_update(s.params[part], s.grads[part], sgd.lr, sgd.l2, min(64, s.decayed), s.work)


def uphill(sgd: SGD, net: Sequential) -> None:
    net.ops.sgd_update(net.storage.params, net.storage.grads, -sgd.lr, -sgd.l2, net.storage.decayed, net.storage.work)


def padding_touched(sgd: SGD, net: Sequential) -> None:
    sgd.step(net)
    net.storage.params[-1] += 1e-3


def gradient_overwritten(sgd: SGD, net: Sequential) -> None:
    sgd.step(net)
    net.storage.grads *= sgd.lr


WRONG: list[Step] = [
    decays_everything,
    decays_nothing,
    decay_without_the_learning_rate,
    decay_after_the_step,
    first_block_only,
    boundary_of_the_first_block,
    uphill,
    padding_touched,
    gradient_overwritten,
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda step: step.__name__)
def test_wrong_update_is_caught(wrong: Step) -> None:
    net = network([100, 30], [40, 80], "float64")
    with pytest.raises(AssertionError):
        check_formula(net, lr=0.3, l2=0.05, step=wrong)


# --- in a network


def test_l2_shrinks_weights_and_not_biases() -> None:
    net = Sequential(Affine(3, b=standard_normal), Sigmoid(), Affine(2, b=standard_normal), SoftmaxCrossEntropy())
    net.build((4,), dtype="float64")
    net.storage.grads[...] = 0
    before = net.storage.arrays()
    SGD(0.5, l2=0.2).step(net)
    for name, old in before.items():
        np.testing.assert_allclose(net.storage.parameters[name], old * (0.9 if name.endswith("W") else 1.0), rtol=1e-15)


def test_settings_may_change_between_steps() -> None:
    net = network([5], [5], "float64")
    sgd = SGD(0.1)
    W, b, dW = net.storage.parameters["0.W0"], net.storage.parameters["0.b0"], net.storage.gradients["0.W0"]
    old = W.copy()
    sgd.lr, sgd.l2 = 0.2, 0.5
    db, old_b = net.storage.gradients["0.b0"], b.copy()
    assert repr(sgd) == "SGD(lr=0.2, l2=0.5)"
    sgd.step(net)
    np.testing.assert_allclose(W, old - 0.2 * (dW + 0.5 * old), rtol=1e-14)
    np.testing.assert_allclose(b, old_b - 0.2 * db, rtol=1e-14)


def test_numpy_numbers_do_not_promote() -> None:
    net = network([5], [5], "float32")
    sgd = SGD(np.float64(0.1), l2=np.float64(0.1))
    for _ in range(2):
        assert type(sgd.lr) is float and type(sgd.l2) is float
        sgd.step(net)
        assert net.storage.params.dtype == np.float32
        sgd.lr, sgd.l2 = np.float64(0.2), np.float64(0.2)


def test_one_weight_goes_to_the_minimum() -> None:
    """L = (w - 3)^2 / 2, whose error shrinks by 1 - lr a step; with l2 the minimum moves to 3 / (1 + l2)."""
    net = Sequential(Affine(1, W=zeros)).build((1,), dtype="float64")
    W, dW, db = (net.storage.parameters["0.W"], net.storage.gradients["0.W"], net.storage.gradients["0.b"])
    db[...] = 0
    for l2 in (0.0, 0.5):
        for _ in range(400):
            dW[...] = W - 3
            SGD(0.1, l2=l2).step(net)
        assert W[0, 0] == pytest.approx(3 / (1 + l2), rel=1e-12)


@pytest.mark.parametrize("lr", [0.0, -0.1, -5, float("nan"), float("inf"), "0.1x", None, [0.1, 0.2], 1j])
def test_bad_learning_rate(lr: Any) -> None:
    sgd = SGD(0.1)
    for mistake in (lambda: SGD(lr), lambda: setattr(sgd, "lr", lr)):
        with pytest.raises(ConfigurationError, match="learning rate") as caught:
            mistake()
        assert caught.value.got == repr(lr)
        assert caught.value.where == "SGD" and caught.value.fix == "SGD(lr=0.1)"
        assert "> 0" in str(caught.value.expected)
    assert sgd.lr == 0.1


@pytest.mark.parametrize("l2", [-1e-9, float("nan"), float("-inf"), "much", None])
def test_bad_weight_decay(l2: Any) -> None:
    sgd = SGD(0.1, l2=0.2)
    for mistake in (lambda: SGD(0.1, l2=l2), lambda: setattr(sgd, "l2", l2)):
        with pytest.raises(ConfigurationError, match="weight decay l2") as caught:
            mistake()
        assert caught.value.got == repr(l2)
        assert ">= 0" in str(caught.value.expected)
    assert sgd.l2 == 0.2


def test_optimizer_in_fit_lowers_the_loss() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 2))
    t = (x[:, 0] > x[:, 1]).astype(int)
    net = Sequential(Affine(2), SoftmaxCrossEntropy()).build((2,))
    first = net.loss(x, t)
    fit(net, SGD(0.5), (x, t), epochs=20, batch_size=10, progress=False)
    assert net.loss(x, t) < first / 2


@pytest.mark.parametrize("make", [lambda: SGD(0.1, l2=0.1, clip_norm=1.0), lambda: SGD(0.1, momentum=0.9), Adam])
def test_a_network_without_parameters_is_stepped_over(make: Any) -> None:
    net, x = Sequential(ReLU(), QuadraticCost()).build((3,)), np.ones((5, 3))
    assert fit(net, make(), (x, x), epochs=2, batch_size=2, progress=False).loss == [0.0, 0.0]
