"""What a steady step costs beside the arithmetic, counted and not timed: Python calls, calls of NumPy, allocations."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynn
from tinynn import (
    SGD,
    Affine,
    AveragePool2D,
    BatchNorm,
    Concat,
    Conv2D,
    Flatten,
    Graph,
    LayerNorm,
    MaxPool2D,
    Multiply,
    QuadraticCost,
    ReLU,
    Rescale,
    Residual,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
)
from tinynn.network import Network
from tinynn.training.batches import Batches
from tinynn.training.step import Step
from tinynn.training.tally import Tally

RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((1280, 96)).astype(np.float32)
IMAGES = RNG.integers(0, 256, (1280, 1, 12, 12)).astype(np.uint8)
LABELS = RNG.integers(0, 10, 1280).astype(np.uint8)
BATCH = 64
PACKAGE = str(Path(tinynn.__file__).parent)


def nielsen() -> Sequential:
    return Sequential(Affine(1024), Sigmoid(), Affine(10), Sigmoid(), QuadraticCost()).build((96,))


def relu() -> Sequential:
    return Sequential(Affine(1024), ReLU(), Affine(10), SoftmaxCrossEntropy()).build((96,))


def images() -> Sequential:
    layers = Rescale(1 / 255), Flatten(), Affine(1024), Tanh(), Affine(10), SoftmaxCrossEntropy()
    return Sequential(*layers).build((1, 12, 12))


def convolution() -> Sequential:
    layers = Rescale(1 / 255), Conv2D(16, 3), ReLU(), MaxPool2D(2), Conv2D(32, 3), AveragePool2D(3)
    return Sequential(*layers, Flatten(), Affine(10), SoftmaxCrossEntropy()).build((1, 12, 12))


def norms() -> Sequential:
    layers = Affine(1024), BatchNorm(), ReLU(), Affine(1024), LayerNorm(), Tanh(), Affine(10), SoftmaxCrossEntropy()
    return Sequential(*layers).build((96,))


def graph() -> Graph:
    inner = Sequential(Affine(1024), Tanh())
    return Graph(
        h=(Affine(1024), "x"),
        a=(Residual(inner), "h"),
        b=(Multiply(), "h", "a"),
        both=(Concat(), "a", "b"),
        scores=(Affine(10), "both"),
        loss=(SoftmaxCrossEntropy(), "scores", "t"),
    ).build((96,))


# For each network: the most functions of tinynn that a step with its gather, update and tally may enter, replayed and
# by the layers' own code; and the most kilobytes that it may have allocated at once. NumPy's own buffers, where it
# broadcasts or converts, take 33 KB for an array of the call, and 64 KB in 2.0; every activation here is an array of
# 256 KB or more. When a change lowers a figure, lower it here.
NETWORKS: dict[str, tuple[Callable[[], Network], Any, int, int, int]] = {
    "nielsen": (nielsen, ROWS, 13, 76, 72),
    "relu": (relu, ROWS, 17, 61, 72),
    "images": (images, IMAGES, 17, 69, 72),
    "convolution": (convolution, IMAGES, 28, 195, 144),
    "norms": (norms, ROWS, 17, 121, 144),
    "graph": (graph, ROWS, 17, 137, 72),
}


class Run:
    """Steps as `fit` makes them."""

    def __init__(self, net: Network, x: Any, capture: bool = True) -> None:
        self.net, self.optimizer, self.step, self.tally = net, SGD(0.01, l2=1e-4), Step(net, capture), Tally(net)
        self.batches = Batches(net.ops, (x, LABELS), BATCH)
        self.rows = np.arange(BATCH)

    def __call__(self) -> None:
        for batch in self.batches(self.rows):
            loss, given = self.step(batch)
            self.optimizer.step(self.net)
            self.tally.add(loss, *given)


def warm(run: Run) -> Run:
    """After two steps by the layers' own code every array is there; the third is recorded, later ones are replayed."""
    for _ in range(4):
        run()
    return run


def calls(run: Run) -> int:
    """Functions of tinynn entered in one steady step; those of NumPy that are Python differ by its version."""
    entered = 0

    def look(frame: Any, event: str, arg: Any) -> None:
        nonlocal entered
        entered += event == "call" and frame.f_code.co_filename.startswith(PACKAGE)

    warm(run)
    before = sys.getprofile()
    sys.setprofile(look)
    try:
        run()
    finally:
        sys.setprofile(before)
    return entered


def allocated(run: Run) -> int:
    """The most bytes that one steady step has allocated at once, Python's and NumPy's, beside what was there before."""
    warm(run)
    tracemalloc.start()
    try:
        run()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        run()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_enters_few_python_functions(name: str) -> None:
    make, x, replayed, own, _ = NETWORKS[name]
    assert calls(Run(make(), x)) <= replayed
    assert calls(Run(make(), x, capture=False)) <= own


@pytest.mark.parametrize("capture", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_steady_step_allocates_no_activation_and_no_gradient(name: str, capture: bool) -> None:
    make, x, *_, kilobytes = NETWORKS[name]
    assert allocated(Run(make(), x, capture)) <= kilobytes * 1024


def test_the_guard_sees_what_it_guards_against() -> None:
    class Careless(ReLU):
        def forward(self, x: Any) -> Any:
            y = x * (x > 0)
            return y, y

    def make() -> Sequential:
        return Sequential(Affine(1024), Careless(), Affine(10), SoftmaxCrossEntropy()).build((96,))

    assert allocated(Run(make(), ROWS)) > 256 * 1024
    assert calls(Run(make(), ROWS)) > NETWORKS["relu"][2]
