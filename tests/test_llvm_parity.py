"""Backend llvm beside NumPy: the same training and the same predictions up to rounding, whatever the layers are."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from test_replay import IMAGES, LABELS, NETWORKS, ROWS, targets_of

import tinynn.compiler.engine as engine
from tinynn import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Affine,
    Conv2D,
    Dropout,
    Flatten,
    MaxPool2D,
    MissingExtraError,
    ReLU,
    Rescale,
    RMSProp,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
)
from tinynn.compiler.run import whole_run
from tinynn.optim.schedules import cosine
from tinynn.training.steps import Steps

OPTIMIZERS = {
    "SGD": lambda lr, **more: SGD(lr, l2=1e-3, **more),
    "momentum": lambda lr, **more: SGD(lr, momentum=0.9, nesterov=True, **more),
    "Adam": lambda lr, **more: Adam(lr, l2=1e-3, **more),
    "AdamW": lambda lr, **more: AdamW(lr, **more),
    "RMSProp": lambda lr, **more: RMSProp(lr, **more),
    "Adagrad": lambda lr, **more: Adagrad(lr, l2=1e-3, **more),
}


def dense(backend: str, dtype: str = "float64") -> Sequential:
    layers = Affine(9), ReLU(), Affine(7), Dropout(0.2), Affine(4), SoftmaxCrossEntropy()
    return Sequential(*layers).build((12,), backend=backend, dtype=dtype, seed=3)


def convolutional(backend: str, dtype: str = "float64") -> Sequential:
    layers = Rescale(1 / 255), Conv2D(6, 3), ReLU(), MaxPool2D(2), Conv2D(5, 2), ReLU(), Flatten(), Affine(4)
    return Sequential(*layers, SoftmaxCrossEntropy()).build((1, 8, 8), backend=backend, dtype=dtype, seed=3)


def steps_of(net: Sequential) -> Any:
    """What the last run kept."""
    return net._scratch.__dict__[Steps]


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("a branch in the data", "looking back")])
def test_training_and_predictions_are_those_of_numpy(name: str) -> None:
    make, x = NETWORKS[name]
    targets = targets_of(make())
    nets, histories = [], []
    for backend in ("numpy", "llvm"):
        net = make().build(x.shape[1:], backend=backend, dtype="float64", seed=1)
        optimizer = SGD({"other convolutions": 1e-6}.get(name, 0.05 if x is ROWS else 1e-4))  # images may be unscaled
        for rows in (45, 41):  # the second call of fit goes on with what the first one kept
            train = x[:rows], targets[:rows]
            histories.append(fit(net, optimizer, train, epochs=3, batch_size=10, progress=False))
        nets.append(net)
    # Where tanh is all but 1, an ulp of it is much of its slope 1 - y^2.
    rtol, atol = (1e-5, 1e-7) if name == "convolution, then Affine" else (1e-8, 1e-10)
    one, other = (net.storage for net in nets)
    np.testing.assert_allclose(other.params, one.params, rtol=rtol, atol=atol)
    np.testing.assert_allclose(other.state, one.state, rtol=rtol, atol=atol)
    for a, b in zip(histories[:2], histories[2:], strict=True):
        np.testing.assert_allclose(b.loss, a.loss, rtol=rtol)
        np.testing.assert_array_equal(b.accuracy, a.accuracy)
    for rows in (1, 2, 45):
        for _ in range(3):
            y, right = nets[1].predict(x[:rows]), nets[0].predict(x[:rows])
            np.testing.assert_allclose(y, right, rtol=10 * rtol, atol=10 * atol)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("schedule", [False, True])
@pytest.mark.parametrize("clip", [None, 0.1])
def test_every_optimizer(name: str, schedule: bool, clip: float | None) -> None:
    found = []
    for backend in ("numpy", "llvm"):
        net = dense(backend)
        optimizer = OPTIMIZERS[name](cosine(0.02, steps=40) if schedule else 0.02, clip_norm=clip)
        fit(net, optimizer, (ROWS, LABELS), epochs=5, batch_size=8, progress=False)
        found.append((net.storage.params, optimizer.state(), steps_of(net).run if backend == "llvm" else None))
    (one, state, _), (other, same, run) = found
    assert (run is not None) == (clip is None), "many steps in one call, but where the gradient is clipped"
    np.testing.assert_allclose(other, one, rtol=1e-8, atol=1e-10)
    assert state.keys() == same.keys()
    assert state["steps"] == same["steps"] == 30
    for key in state:
        np.testing.assert_allclose(same[key], state[key], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("make", [dense, convolutional])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bits_do_not_depend_on_the_number_of_threads(
    make: Any, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, found = ROWS if make is dense else IMAGES, []
    for threads in (1, 1, 2, 3, 5):
        monkeypatch.setattr(
            "tinynn.compiler.run.whole_run", lambda *a, threads=threads, **b: whole_run(*a, threads=threads, **b)
        )
        net = make("llvm", dtype)
        history = fit(net, SGD(0.1, l2=1e-3), (x, LABELS), epochs=3, batch_size=9, progress=False)
        run = steps_of(net).run
        assert run is not None
        assert run.call.threads == threads
        found.append((net.storage.params.tobytes(), history.loss, history.accuracy))
    assert all(each == found[0] for each in found)


def test_a_run_follows_what_changes_between_two_calls() -> None:
    results = []
    for backend in ("numpy", "llvm"):
        net, sgd = convolutional(backend), SGD(0.1)
        other = IMAGES[::-1], LABELS[::-1]  # of another layout in memory
        fit(net, sgd, (IMAGES, LABELS), epochs=2, batch_size=9, progress=False)
        net.evaluate(IMAGES, LABELS)
        fit(net, sgd, other, epochs=2, batch_size=9, progress=False)
        net[0].scale = 1 / 128
        fit(net, sgd, (IMAGES, LABELS), epochs=2, batch_size=9, progress=False)
        sgd.lr, sgd.l2 = 0.05, 1e-2
        fit(net, sgd, (IMAGES, LABELS), epochs=2, batch_size=9, progress=False)
        fit(net, SGD(0.05, momentum=0.5), (IMAGES, LABELS), epochs=2, batch_size=9, progress=False)
        fit(net, Adam(0.01, clip_norm=0.5), (IMAGES, LABELS), epochs=2, batch_size=9, progress=False)
        fit(net, SGD(0.05), (IMAGES.astype(float), LABELS), epochs=2, batch_size=9, progress=False)
        fit(net, SGD(0.05), (IMAGES[:20], LABELS[:20]), epochs=2, batch_size=64, progress=False)
        results.append(net.storage.params.copy())
    np.testing.assert_allclose(results[1], results[0], rtol=1e-7, atol=1e-9)


def test_the_data_are_not_kept() -> None:
    net = dense("llvm")
    fit(net, SGD(0.1), (ROWS.copy(), LABELS), epochs=2, batch_size=9, progress=False)
    assert steps_of(net).run is not None
    assert steps_of(net).batches.arrays == ()


def test_without_capture_everything_is_numpys() -> None:
    found = []
    for backend in ("numpy", "llvm"):
        net = dense(backend)
        fit(net, SGD(0.1, l2=1e-3), (ROWS, LABELS), epochs=2, batch_size=9, progress=False, capture=False)
        found.append(net.storage.params.tobytes())
    assert found[0] == found[1]


def test_without_llvmlite_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    monkeypatch.setattr(engine, "processor", engine.Processor)  # which is made once, and has been
    with pytest.raises(MissingExtraError, match=r"\[llvm\]"):
        dense("llvm")
