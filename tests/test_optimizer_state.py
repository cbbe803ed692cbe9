"""What an optimizer remembers: a run that goes on from it is the same to the bit; a wrong network is refused."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optim_helpers import network

from tinynn import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Affine,
    ConfigurationError,
    Optimizer,
    RMSProp,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
    StateError,
    cosine,
    fit,
    one_cycle,
    warm_up,
)

MAKE: dict[str, Callable[[], Optimizer]] = {
    "SGD": lambda: SGD(0.1, l2=0.01),
    "SGD, cosine": lambda: SGD(cosine(0.1, steps=12)),
    "momentum": lambda: SGD(0.1, l2=0.01, momentum=0.9),
    "nesterov, one cycle": lambda: SGD(one_cycle(0.1, steps=12), momentum=0.9, nesterov=True, clip_norm=1.0),
    "Adam": lambda: Adam(l2=0.01),
    "Adam, warm-up": lambda: Adam(warm_up(1e-2, steps=8), clip_value=0.5),
    "AdamW": AdamW,
    "RMSProp": RMSProp,
    "Adagrad": Adagrad,
}
REMEMBERING = [name for name in MAKE if name != "SGD"]


def run(net: Sequential, optimizer: Optimizer, first: int, last: int) -> None:
    """Steps first to last - 1, with gradients that depend on the parameters and on the step."""
    for step in range(first, last):
        for name, W in net.storage.parameters.items():
            noise = np.random.default_rng([step, len(name)]).standard_normal(W.shape)
            net.storage.gradients[name][...] = W + noise
        optimizer.step(net)


def by_state(optimizer: Optimizer, make: Callable[[], Optimizer], folder: Path) -> Optimizer:
    other = make()
    other.load_state(optimizer.state())
    return other


def by_file(optimizer: Optimizer, make: Callable[[], Optimizer], folder: Path) -> Optimizer:
    np.savez(folder / "state.npz", **optimizer.state())
    other = make()
    with np.load(folder / "state.npz") as file:
        other.load_state(file)
    return other


def by_pickle(optimizer: Optimizer, make: Callable[[], Optimizer], folder: Path) -> Optimizer:
    return pickle.loads(pickle.dumps(optimizer))


def by_copy(optimizer: Optimizer, make: Callable[[], Optimizer], folder: Path) -> Optimizer:
    return copy.deepcopy(optimizer)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("way", [by_state, by_file, by_pickle, by_copy], ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", MAKE)
def test_a_run_goes_on_to_the_bit(name: str, way: Any, dtype: str, tmp_path: Path) -> None:
    make = MAKE[name]
    through, net = network([70, 3], [5], dtype), network([70, 3], [5], dtype)
    straight, optimizer = make(), make()
    run(through, straight, 0, 12)

    run(net, optimizer, 0, 5)
    other_net, other = copy.deepcopy(net), way(optimizer, make, tmp_path)
    run(net, optimizer, 5, 8)  # the one that was copied from goes its own way
    assert other.steps_taken == 5 and repr(other) == repr(optimizer)
    run(other_net, other, 5, 12)
    np.testing.assert_array_equal(other_net.storage.params, through.storage.params)
    assert other.state().keys() == straight.state().keys()
    for key, array in straight.state().items():
        np.testing.assert_array_equal(other.state()[key], array)


def test_the_state_says_what_is_what_and_is_a_copy() -> None:
    net, adam = network([70, 3], [5], "float32"), Adam()
    assert adam.state() == {"steps": 0}
    run(net, adam, 0, 2)
    state = adam.state()
    assert list(state) == ["steps", *(f"{v}.0.{name}" for v in ("m", "v") for name in ("W1", "W0", "b0"))]
    assert {key: (a.shape, a.dtype) for key, a in state.items() if key == "m.0.W0"} == {"m.0.W0": ((70,), np.float32)}
    held = {key: np.copy(value) for key, value in state.items()}
    run(net, adam, 2, 4)
    for key, value in held.items():
        np.testing.assert_array_equal(state[key], value)
    assert not np.array_equal(adam.state()["m.0.W0"], held["m.0.W0"])


def test_going_back_to_an_earlier_state() -> None:
    net, adam = network([70], [3], "float64"), Adam(cosine(0.1, steps=10))
    run(net, adam, 0, 3)
    params, state = net.storage.params.copy(), adam.state()
    run(net, adam, 3, 6)
    after = net.storage.params.copy()
    net.storage.params[...] = params
    adam.load_state(state)
    run(net, adam, 3, 6)
    np.testing.assert_array_equal(net.storage.params, after)
    adam.load_state({"steps": 0})  # as new
    fresh_net, fresh = network([70], [3], "float64"), Adam(cosine(0.1, steps=10))
    fresh_net.storage.params[...] = net.storage.params
    run(net, adam, 0, 2)
    run(fresh_net, fresh, 0, 2)
    np.testing.assert_array_equal(net.storage.params, fresh_net.storage.params)


# --- another network


@pytest.mark.parametrize("name", REMEMBERING)
def test_another_network_is_refused(name: str) -> None:
    net, other, optimizer = network([70], [3], "float32"), network([70], [3], "float32"), MAKE[name]()
    run(net, optimizer, 0, 2)
    before, state = other.storage.params.copy(), optimizer.state()
    with pytest.raises(StateError, match="another network") as caught:
        optimizer.step(other)
    assert "after 2 steps" in str(caught.value.got)
    made = eval(str(caught.value.fix).partition(": ")[2])
    assert repr(made) == repr(optimizer)
    np.testing.assert_array_equal(other.storage.params, before)
    for key, value in optimizer.state().items():
        np.testing.assert_array_equal(value, state[key])
    run(net, optimizer, 2, 4)  # its own is served as before
    made.step(other)


@pytest.mark.parametrize("name", REMEMBERING)
def test_a_network_built_again_is_another(name: str) -> None:
    rng = np.random.default_rng(0)
    data = rng.standard_normal((20, 4)), rng.integers(0, 3, 20)
    net, optimizer = Sequential(Affine(3), SoftmaxCrossEntropy()).build((4,)), MAKE[name]()
    fit(net, optimizer, data, epochs=1, batch_size=10, progress=False)
    fit(net, optimizer, data, epochs=1, batch_size=10, progress=False)
    assert optimizer.steps_taken == 4
    net.build((4,))
    with pytest.raises(StateError, match="built again"):
        fit(net, optimizer, data, epochs=1, progress=False)


def test_plain_sgd_remembers_nothing_and_serves_any_network() -> None:
    sgd = SGD(0.1, l2=0.1)
    for net in (network([70], [3], "float32"), network([5], [], "float64")):
        alone = copy.deepcopy(net)
        run(net, sgd, 0, 1)
        run(alone, SGD(0.1, l2=0.1), 0, 1)
        np.testing.assert_array_equal(net.storage.params, alone.storage.params)


# --- states that do not fit


def good() -> dict[str, Any]:
    net, adam = network([70], [3], "float64"), Adam()
    run(net, adam, 0, 2)
    return adam.state()


MISFITS: dict[str, tuple[Callable[[dict[str, Any]], Any], str, str]] = {
    "an array too few": (lambda s: s.pop("v.0.W0"), "v.0.W0", "nothing of that name"),
    "an array of another network": (lambda s: s.update({"m.1.W": np.zeros(3)}), "m.1.W", "(3,)"),
    "another shape": (lambda s: s.update({"m.0.W0": np.zeros(71)}), "m.0.W0", "(71,)"),
    "no array": (lambda s: s.update({"m.0.W0": "zeros"}), "m.0.W0", "'zeros'"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_state_that_does_not_fit_changes_nothing(name: str) -> None:
    change, array, got = MISFITS[name]
    state = good()
    change(state)
    net, adam = network([70], [3], "float64"), Adam()
    run(net, adam, 0, 3)
    before = adam.state()
    with pytest.raises(ShapeError, match=array) as caught:
        adam.load_state(state)
    assert got in str(caught.value.got) and caught.value.where == "Adam.load_state"
    for key, value in adam.state().items():
        np.testing.assert_array_equal(value, before[key])

    fresh = Adam()  # which learns its network with the first step
    fresh.load_state(state)
    params = net.storage.params.copy()
    with pytest.raises(ShapeError, match=array):
        fresh.step(net)
    np.testing.assert_array_equal(net.storage.params, params)
    fresh.load_state(good())
    fresh.step(net)
    assert fresh.steps_taken == 3


@pytest.mark.parametrize("make", [SGD, RMSProp], ids=lambda make: make.__name__)
def test_the_state_of_another_kind_of_optimizer(make: Any) -> None:
    with pytest.raises(ShapeError, match=r"'m\.0\.W0'") as caught:
        make(0.1).load_state(good())
    assert make.vectors[0] in str(caught.value.expected)


@pytest.mark.parametrize("steps", [None, -1, 1.5, True, "2", np.array([1, 2])])
def test_steps_that_are_no_count(steps: Any) -> None:
    adam = Adam()
    with pytest.raises(ConfigurationError, match="not the state of an optimizer"):
        adam.load_state({**good(), "steps": steps})
    with pytest.raises(ConfigurationError, match="not the state of an optimizer"):
        adam.load_state({})
    assert adam.state() == {"steps": 0}


# --- an optimizer of one's own


class SignSGD(Optimizer):
    """W <- W - lr sign(mean of dW), as an author would write it."""

    vectors = ("mean",)

    def update(self, ops: Any, storage: Any, lr: float) -> None:
        """The sign of the mean."""
        mean = self.vector("mean")
        mean *= 0.5
        mean += 0.5 * storage.grads
        storage.params -= lr * ops.xp.sign(mean)


def test_an_optimizer_of_ones_own_has_it_all() -> None:
    net, own = network([70], [3], "float64"), SignSGD(cosine(0.1, steps=10), clip_value=0.5)
    before = net.storage.params.copy()
    own.step(net)
    np.testing.assert_allclose(net.storage.params, before - 0.1 * np.sign(net.storage.grads), rtol=1e-12, atol=1e-15)
    assert repr(own) == "SignSGD(lr=cosine(lr=0.1, steps=10, final=0.0), clip_value=0.5)"
    assert own.state().keys() == {"steps", "mean.0.W0", "mean.0.b0"}
    with pytest.raises(StateError):
        own.step(network([70], [3], "float64"))
    for asked in (lambda: own.vector("velocity"), lambda: SignSGD(0.1).vector("mean")):
        with pytest.raises(StateError, match="there is no vector"):
            asked()
    with pytest.raises(NotImplementedError, match="must define update"):
        Optimizer(0.1).step(net)
