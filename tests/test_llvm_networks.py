"""Graphs, and chains and graphs drawn at random, on backend="llvm" and on NumPy."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from test_llvm_backend import close, kept, quiet
from test_replay import LABELS, LAYERS, LOSSES, NUMBERS, ROWS
from test_replay_graphs import GRAPHS, Whole, shapes_of

from tinynn import SGD, Affine, Sequential

RUNS = ["fan-out", "nested", "two inputs", "a target from within", "a graph in a chain", "chains in chains"]
RUNS += ["a container of one's own", "two inputs of other dtypes"]
"""Graphs all of whose steps are compiled, so that many are made in one call."""


def lives(make: Any, data: Any, lr: float, **options: Any) -> list[Any]:
    """The same network trained by the layers' own code on NumPy, and recorded on llvm."""
    nets, told = [], []
    for backend, capture in (("numpy", False), ("llvm", True)):
        net = make()
        net.build(*shapes_of(net, data), backend=backend, dtype="float64", seed=1)
        optimizer = SGD(lr, momentum=0.5)
        history = [quiet(net, optimizer, data, capture=capture, epochs=epochs, **options) for epochs in (3, 1)]
        nets.append(net)
        told.append([[*each.loss, *each.accuracy] for each in history])
    right, got = nets
    for a, b in zip(*told, strict=True):
        close(b, a, 1e-7)
    scale = abs(right.storage.params).max()
    close(got.storage.params, right.storage.params, 1e-7, 1e-9 * scale)
    close(got.storage.state, right.storage.state, 1e-7, 1e-9)
    inputs = data[: len(shapes_of(right, data))]
    for rows in (1, 45):
        some = [x[:rows] for x in inputs]
        y = right.predict(*some)
        for _ in range(3):
            close(got.predict(*some), y, 1e-6, 1e-8 * abs(y).max())
    return nets


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs(name: str) -> None:
    make, data = GRAPHS[name]
    _, got = lives(make, data, 0.02 if name == "pictures" else 0.05)
    assert (kept(got).run is not None) == (name in RUNS)


@settings(max_examples=12, phases=[Phase.generate])
@given(LAYERS, LOSSES, st.integers(2, 45), st.integers(1, 50), st.booleans())
def test_any_chain(layers: list[Any], loss: Any, rows: int, batch_size: int, as_rows: bool) -> None:
    targets = np.eye(4)[LABELS] if as_rows or loss in NUMBERS else LABELS
    data = ROWS[:rows].astype(np.float64), targets[:rows]
    lives(lambda: Sequential(*(make() for make in layers), Affine(4), loss()), data, 1e-3, batch_size=batch_size)


@settings(max_examples=12, phases=[Phase.generate])
@given(st.integers(0, 2**20), st.integers(2, 45), st.integers(1, 50))
def test_any_graph(seed: int, rows: int, batch_size: int) -> None:
    drawn = Whole(seed)
    data = (*(ROWS[:rows, : drawn.widths[name]].astype(np.float64) for name in drawn.inputs), LABELS[:rows])
    lives(lambda: Whole(seed).net(), data, 1e-3, batch_size=batch_size)
