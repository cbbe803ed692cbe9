"""Networks on CUDA kernels: every layer, and runs of fit by hand and captured, as on NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cuda_emulator import EmulatedDevice, needs_a_compiler
from devices import assert_as_on_numpy
from hypothesis import given, settings
from table import ROWS, Case

from tinynn import (
    SGD,
    Adam,
    AdamW,
    Affine,
    AveragePool2D,
    Conv2D,
    Dropout,
    Embedding,
    Flatten,
    GlobalMaxPool,
    LeakyReLU,
    MaxPool2D,
    QuadraticCost,
    ReLU,
    RMSProp,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
    fit,
)
from tinynn.optim import cosine

pytestmark = needs_a_compiler

RNG = np.random.default_rng(4)
LABELS = RNG.integers(0, 4, 30)
ROWS_OF_BYTES = RNG.integers(0, 256, (30, 12), dtype=np.uint8)
IMAGES = RNG.standard_normal((30, 2, 9, 8))
WORDS = RNG.integers(0, 20, (30, 5))

NETWORKS: dict[str, tuple[Callable[[], Sequential], np.ndarray, set[str]]] = {
    "MLP": (
        lambda: Sequential(Affine(40), ReLU(), Dropout(0.2), Affine(9), Sigmoid(), Affine(4), SoftmaxCrossEntropy()),
        ROWS_OF_BYTES / 256,
        {"relu", "relu_backward", "sigmoid", "sigmoid_backward", "uniform", "mean_loss", "gradient", "gather"},
    ),
    "CNN": (
        lambda: Sequential(
            *(Conv2D(3, 3, padding=1), ReLU(), MaxPool2D(3, stride=2), Conv2D(5, 2, stride=2), Tanh()),
            *(AveragePool2D(1), GlobalMaxPool(), Affine(40), SoftmaxCrossEntropy()),
        ),
        IMAGES,
        {"unfold", "fold", "max_window", "max_window_backward", "sum_window", "max_pixel", "max_pixel_backward"},
    ),
    "words": (
        lambda: Sequential(Embedding(20, 3), Flatten(), Affine(8), LeakyReLU(), Affine(4), QuadraticCost()),
        WORDS,
        {"gather", "scatter_sums"},
    ),
}
OPTIMIZERS: dict[str, tuple[Callable[[], Any], str]] = {
    "SGD": (lambda: SGD(0.1, l2=0.01), "sgd"),
    "momentum, cosine": (lambda: SGD(cosine(0.1, steps=9), momentum=0.9, nesterov=True), "momentum"),
    "Adam": (lambda: Adam(0.01, l2=0.01), "adam"),
    "AdamW": (lambda: AdamW(cosine(0.01, steps=6)), "adam"),
    "RMSProp": (lambda: RMSProp(0.01), "scaled"),
}


def trained(make: Callable[[], Sequential], x: np.ndarray, optimizer: Any, backend: Any, capture: bool) -> list[Any]:
    """Everything a run leaves behind, on the host."""
    net = make().build(x.shape[1:], backend=backend, dtype="float64", seed=5)
    data = (x, LABELS)
    history = fit(net, optimizer, data, epochs=2, batch_size=7, validation=data, progress=False, capture=capture)
    storage, host = net.storage, net.ops.to_host
    numbers = [np.array(value) for name, value in history.as_dict().items() if name not in ("seconds", "stopped")]
    return [*(np.array(host(a)) for a in (storage.params, storage.grads, net.predict(x))), *numbers]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_train_as_on_numpy(name: str, optimizer: str) -> None:
    (make, x, kernels), (optimize, update) = NETWORKS[name], OPTIMIZERS[optimizer]
    eager, captured = EmulatedDevice(), EmulatedDevice()
    right = trained(make, x, optimize(), "numpy", False)
    by_hand = trained(make, x, optimize(), eager, False)
    replayed = trained(make, x, optimize(), captured, True)
    for a, b, c in zip(right, by_hand, replayed, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-8, atol=1e-10)
        np.testing.assert_array_equal(c, b)  # bit for bit
    for device in (eager, captured):
        assert set(device.launched) >= {*kernels, update}


@pytest.mark.parametrize("name", ROWS)
def test_every_layer_gives_what_numpy_gives(name: str) -> None:
    @settings(max_examples=8)
    @given(ROWS[name].cases)
    def check(case: Case) -> None:
        assert_as_on_numpy(case, EmulatedDevice())

    check()
