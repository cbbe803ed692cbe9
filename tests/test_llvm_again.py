"""fit again and again on one network, with anything in between: what was recorded before must not be used wrongly."""

from __future__ import annotations

import copy
import threading
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from strategies import laid_out
from test_llvm_backend import close, kept, quiet
from test_replay import IMAGES, LABELS

from tinynn import (
    SGD,
    Adam,
    AdamW,
    Affine,
    Dropout,
    Flatten,
    LeakyReLU,
    Rescale,
    RMSProp,
    Sequential,
    SoftmaxCrossEntropy,
    StateError,
)

OPTIMIZERS: list[Any] = [
    lambda: SGD(0.05),
    lambda: SGD(0.05, l2=1e-3),
    lambda: SGD(0.02, momentum=0.9, nesterov=True),
    lambda: SGD(lambda step: 0.05 / (1 + step)),
    lambda: Adam(0.01),
    lambda: AdamW(0.01, weight_decay=0.1),
    lambda: RMSProp(0.003, l2=1e-3),
    lambda: SGD(0.05, clip_norm=0.5),
]
CHANGES = ["lr", "l2", "momentum", "beta1", "weight_decay", "clip_value", "scale", "slope", "rate"]
SCALED = IMAGES / 255.0
DATA: dict[str, Any] = {
    "bytes": (IMAGES, LABELS),
    "other bytes": (IMAGES[::-1].copy(), LABELS[::-1].copy()),
    "backwards": (IMAGES[::-1], LABELS[::-1]),
    "every other": (IMAGES[::2], LABELS[::2]),
    "column-major": (np.asfortranarray(IMAGES), LABELS),
    "one row less": (IMAGES[:44], LABELS[:44]),
    "few": (IMAGES[:7], LABELS[:7]),
    "one": (IMAGES[:1], LABELS[:1]),
    "short labels": (IMAGES, LABELS.astype(np.uint8)),
    "big-endian labels": (IMAGES, LABELS.astype(">i4")),
    "floats": (255 * SCALED, LABELS),
    "single floats": (255 * SCALED.astype(np.float32), LABELS),
    "unaligned": (np.frombuffer(b"0" + IMAGES.astype(float).tobytes(), offset=1).reshape(IMAGES.shape), LABELS),
    "rows of a wider array": (laid_out(IMAGES, "rows of a wider array"), LABELS),
    "shares": (IMAGES, np.eye(4)[LABELS]),
    "weights": (IMAGES, LABELS, np.linspace(0.5, 1.5, 45)),
}


def network(backend: str) -> Sequential:
    layers = Rescale(1 / 255), Flatten(), Affine(7), LeakyReLU(0.1), Dropout(0.2), Affine(4)
    return Sequential(*layers, SoftmaxCrossEntropy()).build((1, 8, 8), backend=backend, dtype="float64", seed=1)


class Life:
    """A network and its optimizer, and what may be done to them; `told`: what came of it."""

    def __init__(self, backend: str, capture: bool = True) -> None:
        self.backend, self.net, self.optimizer = backend, network(backend), SGD(0.05)
        self.capture = capture
        self.told: list[Any] = []
        self.loose = False  # whether it has been in float32

    def fit(self, data: str, batch_size: int, epochs: int, capture: bool = True) -> None:
        options = {"batch_size": batch_size, "epochs": epochs, "capture": capture and self.capture}
        try:
            history = quiet(self.net, self.optimizer, DATA[data], **options)
        except StateError as error:  # of an optimizer that belongs to the network before it was built again
            self.told.append(str(error))
            self.optimizer = SGD(0.05)
        else:
            self.told.append((history.loss, history.accuracy))

    def elsewhere(self, data: str, batch_size: int) -> None:
        """In another thread."""
        thread = threading.Thread(target=self.fit, args=(data, batch_size, 2))
        thread.start()
        thread.join()

    def take(self, number: int) -> None:
        self.optimizer = OPTIMIZERS[number]()

    def change(self, what: str, number: float) -> None:
        """A setting of the optimizer or of a layer."""
        layers: Any = self.net
        if hasattr(self.optimizer, what):
            setattr(self.optimizer, what, number / 10)
        elif what == "scale":
            layers[0].scale = number / 64
        elif what == "slope":
            layers[3].slope = number
        elif what == "rate":
            layers[4].rate = number

    def look(self, rows: int) -> None:
        self.told.append((self.net.evaluate(IMAGES, LABELS), self.net.predict(IMAGES[:rows])))

    def step(self) -> None:
        """By hand."""
        loss, cache = self.net.forward(IMAGES[:10], LABELS[:10])
        self.net.backward(1.0, cache)
        self.optimizer.step(self.net)
        self.told.append(([float(loss)],))

    def write(self, factor: float) -> None:
        """Parameters from elsewhere, as `load` writes them."""
        arrays = {name: factor * array for name, array in self.net.storage.arrays().items()}
        arrays["4.stream"] /= factor  # counts
        self.net.storage.assign(arrays, where="test")

    def build(self, dtype: str) -> None:
        self.net.build((1, 8, 8), backend=self.backend, dtype=dtype, seed=2)
        self.optimizer = SGD(0.05)

    def duplicate(self) -> None:
        self.net, self.optimizer = copy.deepcopy(self.net), copy.deepcopy(self.optimizer)


def compare(one: Life, other: Life) -> None:
    """One by the layers' own code, the other by what was recorded, after the same doings."""
    single = one.net.dtype == np.float32 or other.loose
    other.loose = single
    tolerance = (0, 0) if other.backend == "numpy" else (1e-3, 1e-4) if single else (1e-8, 1e-10)
    assert other.optimizer.steps_taken == one.optimizer.steps_taken
    close(other.net.storage.params, one.net.storage.params, *tolerance)
    close(other.net.storage.state, one.net.storage.state, 0, 0)
    for got, right in zip(other.told, one.told, strict=True):
        if isinstance(right, str):
            assert got == right
        else:
            for a, b in zip(got, right, strict=True):
                close(a, b, *tolerance)


def live(doings: Any) -> Life:
    """Three lives of the same doings; that by machine code."""
    right, *others = Life("numpy", capture=False), Life("numpy"), Life("llvm")
    for name, *args in doings:
        for life in (right, *others):
            life.told.clear()
            getattr(life, name)(*args)
        for life in others:
            compare(right, life)
    return others[1]


FIT = ("fit", "bytes", 10, 2)
BETWEEN = [
    *(("fit", data, 10, 2) for data in DATA),
    *(("take", number) for number in range(len(OPTIMIZERS))),
    *(("change", what, number) for what, number in zip(CHANGES, [0.25, 0.5] * 9, strict=False)),
    *(("fit", "bytes", 22, 2), ("fit", "bytes", 10, 1, False), ("elsewhere", "bytes", 10), ("look", 10), ("look", 45)),
    *(("step",), ("write", 1.5), ("build", "float64"), ("build", "float32"), ("duplicate",)),
]


@pytest.mark.parametrize("between", BETWEEN, ids=str)
def test_whatever_comes_in_between(between: Any) -> None:
    life = live((FIT, between, FIT, FIT))
    assert kept(life.net).run is not None or life.optimizer.clips


fits = st.tuples(
    st.just("fit"),
    st.one_of(st.just("bytes"), st.sampled_from([*DATA])),
    st.sampled_from([10, 10, 10, 10, 10, 9, 22, 64]),
    st.sampled_from([1, 2, 3]),
)
doings = st.lists(st.one_of(fits, st.sampled_from(BETWEEN)), min_size=4, max_size=10)


@settings(max_examples=25, phases=[Phase.generate])  # to make a list of doings smaller takes minutes
@given(doings)
def test_a_life_on_both_backends(doings: list[Any]) -> None:
    live(doings)
