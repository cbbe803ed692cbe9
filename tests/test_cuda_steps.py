"""What a captured step costs, counted and not timed: how often a GPU is asked for something, kernels and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cuda_emulator import EmulatedDevice, needs_a_compiler

from tinynn import (
    SGD,
    Adam,
    Affine,
    Conv2D,
    Flatten,
    MaxPool2D,
    QuadraticCost,
    ReLU,
    Rescale,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    fit,
)
from tinynn.optim import cosine
from tinynn.testing.device_queue import Record
from tinynn.training.graph_run import SEVERAL

pytestmark = needs_a_compiler
RNG = np.random.default_rng(0)
ROWS, IMAGES = RNG.integers(0, 256, (48, 20), dtype=np.uint8), RNG.integers(0, 256, (48, 1, 16, 16), dtype=np.uint8)
LABELS = RNG.integers(0, 10, 48)


def rows() -> Sequential:
    return Sequential(Rescale(1 / 255), Affine(9), ReLU(), Affine(10), SoftmaxCrossEntropy())


def nielsen() -> Sequential:
    return Sequential(Affine(9), Sigmoid(), Affine(10), Sigmoid(), QuadraticCost())


def images() -> Sequential:
    layers = Conv2D(4, 5), ReLU(), MaxPool2D(2), Flatten(), Affine(10), SoftmaxCrossEntropy()
    return Sequential(Rescale(1 / 255), *layers)


STEPS: dict[str, tuple[Callable[[], Sequential], np.ndarray, Callable[[], Any], int]] = {
    # The gather, Rescale, 2 products with bias and 3 without, ReLU there and back, 2 for the loss, 2 sums for the
    # biases, update and tally; the bias is one more each, as the emulator has no product that adds it.
    "rows": (rows, ROWS, lambda: SGD(0.1), 17),
    "rows, a rate that moves": (rows, ROWS, lambda: Adam(cosine(0.1, steps=9)), 18),
    "nielsen": (nielsen, ROWS, lambda: SGD(0.1), 22),
    "images": (images, IMAGES, lambda: SGD(0.1, momentum=0.9), 27),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_captured_step_asks_little_of_the_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, x, optimizer, most = STEPS[name]
    asked: list[Any] = []
    add = Record.add
    monkeypatch.setattr(Record, "add", lambda self, call, arrays: (asked.append(call), add(self, call, arrays)))
    net = make().build(x.shape[1:], backend=EmulatedDevice())
    fit(net, optimizer(), (x, LABELS), epochs=1, batch_size=16, progress=False)
    assert 0 < len(asked) / (1 + SEVERAL) <= most  # a graph of one step, and one of several
