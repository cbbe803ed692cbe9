"""backend="llvm" as its user meets it: beside NumPy in all that fit promises, and how much of a run is one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from planted_bugs.custom import Gain
from test_replay import IMAGES, LABELS, NETWORKS, ROWS, LooksBack, Moody, targets_of

from tinynn import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Affine,
    Conv2D,
    Flatten,
    MaxPool2D,
    QuadraticCost,
    ReLU,
    Rescale,
    RMSProp,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    fit,
)
from tinynn.optim.schedules import warm_up
from tinynn.training.step import Step
from tinynn.training.steps import Steps

BOTH = ("numpy", "llvm")


def dense() -> Sequential:
    return Sequential(Affine(9), Sigmoid(), Affine(7), ReLU(), Affine(4), SoftmaxCrossEntropy())


def lenet() -> Sequential:
    convolutions = Rescale(1 / 255), Conv2D(4, 3), ReLU(), MaxPool2D(2), Conv2D(6, 2), ReLU(), Flatten()
    return Sequential(*convolutions, Affine(8), ReLU(), Affine(4), SoftmaxCrossEntropy())


def nielsen() -> Sequential:
    return Sequential(Rescale(1 / 255), Flatten(), Affine(9), Sigmoid(), Affine(4), Sigmoid(), QuadraticCost())


def quiet(net: Any, optimizer: Any, data: Any, **options: Any) -> Any:
    return fit(net, optimizer, data, progress=False, **{"epochs": 3, "batch_size": 10, **options})


def kept(net: Any) -> Any:
    """What the last run of this thread left for the next."""
    return net._scratch.__dict__[Steps]


def close(got: Any, right: Any, rtol: float = 1e-9, atol: float = 1e-12) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(right), rtol=rtol, atol=atol)


def pair(make: Callable[[], Sequential], shape: Any, **build: Any) -> list[Sequential]:
    """The same network on both backends."""
    return [make().build(shape, backend=backend, **{"dtype": "float64", **build}) for backend in BOTH]


# --- beside NumPy

SLOW = {"other convolutions": 1e-7, "convolution, then Affine": 1e-4, "images made larger": 1e-5, "padded images": 1e-4}
SLOW |= {"norms of images": 1e-3, "units of images": 1e-3}
"""Learning rates for images of 0 to 255 that no layer scales, and for long chains."""

PIECES = {"units of rows", "units of images", "images made larger", "words", "a layer of one's own", "own layer first"}
PIECES |= {"a branch in the data", "looking back", "a loss of one's own", "loss alone"}
"""Networks with something in them that the compiler does not know: their steps are made one by one."""


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_in_float32(name: str) -> None:
    make, x = NETWORKS[name]
    nets, targets = pair(make, x.shape[1:], dtype="float32"), targets_of(make())
    before = nets[0].storage.params.copy()
    right, got = (quiet(net, SGD(SLOW.get(name, 0.05)), (x, targets)) for net in nets)
    close(got.loss, right.loss, 1e-4)
    np.testing.assert_allclose(got.accuracy, right.accuracy, atol=1.5 / len(x))  # a tie may go the other way
    assert (kept(nets[1]).run is None) == (name in PIECES)
    one, other = (net.storage.params for net in nets)
    assert abs(other - one).max() <= 1e-3 * abs(one - before).max()
    for rows in (1, 2, 45, 70):
        some = np.resize(x, (rows, *x.shape[1:]))
        for _ in range(3):
            y = nets[0].predict(some)
            close(nets[1].predict(some), y, 1e-3, 1e-4 * abs(y).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_without_capture_all_bits_are_numpys(name: str) -> None:
    make, x = NETWORKS[name]
    nets, targets = pair(make, x.shape[1:], dtype="float32"), targets_of(make())
    right, got = (quiet(net, SGD(SLOW.get(name, 0.05), l2=1e-3), (x, targets), capture=False) for net in nets)
    np.testing.assert_array_equal([*got.loss, *got.accuracy], [*right.loss, *right.accuracy])
    np.testing.assert_array_equal(nets[1].storage.params, nets[0].storage.params)


OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "sgd": lambda lr, **more: SGD(lr, **more),
    "momentum": lambda lr, **more: SGD(lr, momentum=0.9, **more),
    "nesterov": lambda lr, **more: SGD(lr, momentum=0.9, nesterov=True, **more),
    "adam": lambda lr, **more: Adam(lr, **more),
    "adamw": lambda lr, l2=0.0, **more: AdamW(lr, weight_decay=l2, **more),
    "rmsprop": lambda lr, **more: RMSProp(lr, **more),
    "adagrad": lambda lr, **more: Adagrad(lr, **more),
}


@pytest.mark.parametrize("capture", [True, False])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str, capture: bool) -> None:
    for schedule in (False, True):
        for settings in ({}, {"l2": 0.03}, {"clip_norm": 0.05, "l2": 0.03}, {"clip_value": 0.01}):
            nets, states = pair(dense, (12,)), []
            for net in nets:
                optimizer = OPTIMIZERS[name](warm_up(0.03, steps=7) if schedule else 0.03, **settings)
                quiet(net, optimizer, (ROWS, LABELS), epochs=4, capture=capture)
                states.append({"params": net.storage.params, **optimizer.state()})
            right, got = states
            assert right.keys() == got.keys()
            assert right["steps"] == got["steps"] == 20
            for key in right:
                if capture:
                    close(got[key], right[key], 1e-8)
                else:
                    np.testing.assert_array_equal(got[key], right[key])
            if capture:
                assert (kept(nets[1]).run is None) == ("clip_norm" in settings or "clip_value" in settings)


@pytest.mark.parametrize("make", [dense, lenet])
def test_the_same_seed_gives_the_same_bits(make: Any) -> None:
    x, found = ROWS if make is dense else IMAGES, []
    for _ in range(2):
        net = make().build(x.shape[1:], backend="llvm", seed=5)
        history = quiet(net, Adam(0.01), (x, LABELS), seed=3, epochs=4)
        found.append((net.storage.params.tobytes(), history.loss, history.accuracy, net.predict(x[:5]).tobytes()))
    assert found[0] == found[1]


# --- how much of a run is one call


@pytest.fixture
def by_python(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each step that is not made by a run of many."""
    made: list[int] = []
    original = Step.__call__

    def step(self: Step, batch: Any, n: int = 0) -> Any:
        made.append(len(batch[0]))
        return original(self, batch, n)

    monkeypatch.setattr(Step, "__call__", step)
    return made


@pytest.mark.parametrize("make", [dense, nielsen, lenet])
@pytest.mark.parametrize("capture", [True, False])
def test_all_steps_but_the_first_two_are_made_in_runs(by_python: list[int], make: Any, capture: bool) -> None:
    x = ROWS if make is dense else IMAGES
    net = make().build(x.shape[1:], backend="llvm")
    quiet(net, SGD(0.1), (x[:40], LABELS[:40]), epochs=5, capture=capture)
    assert by_python == ([10, 10] if capture else [10] * 20)
    if capture:
        quiet(net, SGD(0.1), (x[:40], LABELS[:40]), epochs=5)
        assert by_python == [10, 10]  # what was recorded serves again


@pytest.mark.parametrize(
    ("rows", "batch_size", "expected"),
    [
        (40, 20, [20, 20]),  # two steps an epoch
        (30, 30, [30, 30]),  # one
        (45, 20, [20, 20, *[5] * 6]),  # a smaller batch at the end of each epoch
        (45, 44, [44, 1, 44, *[1] * 5]),
        (45, 100, [45] * 6),  # more than there is: no batch is full
    ],
)
def test_batches_of_every_kind(by_python: list[int], rows: int, batch_size: int, expected: list[int]) -> None:
    data, options = (ROWS[:rows], LABELS[:rows]), {"epochs": 6, "batch_size": batch_size}
    nets = pair(dense, (12,))
    right, got = (quiet(net, Adam(0.01), data, **options) for net in nets)
    assert by_python[-len(expected) :] == expected and len(by_python) == len(expected) + 6 * -(-rows // batch_size)
    close(got.loss, right.loss)
    assert got.accuracy == right.accuracy
    close(nets[1].storage.params, nets[0].storage.params)


@pytest.mark.parametrize("name", ["a branch in the data", "looking back", "a layer of one's own"])
def test_layers_that_cannot_be_recorded_are_called_in_between(name: str) -> None:
    make, x = NETWORKS[name]
    net = make().build(x.shape[1:], backend="llvm")
    quiet(net, SGD(0.1), (x, LABELS))
    replay = kept(net).step.replays[10]
    own = [call for call in replay.calls if not hasattr(call, "machine_code")]
    assert kept(net).run is None
    assert {type(call.__self__.layer) for call in own} <= {Moody, LooksBack, Gain}
    assert len(own) == 2 and len(replay.calls) == 5
