"""What the tests of the optimizers share: networks that are only parameters, and what their storage must keep."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynn import Layer, Sequential
from tinynn.init import standard_normal
from tinynn.network.storage import ALIGNMENT, BLOCK

__all__ = ["PLACES", "Parameters", "check_padding", "network"]

PLACES = {
    "boundary inside the first block": ([1000, 7], [5, BLOCK]),
    "boundary inside the second block": ([BLOCK, 1000], [BLOCK, 1]),
    "boundary at the edge of a block": ([BLOCK], [BLOCK + 3]),
    "boundary at the edge of the last block": ([BLOCK, BLOCK], [9]),
    "only decayed": ([2 * BLOCK + 1], []),
    "only kept": ([], [2 * BLOCK + 1]),
    "exactly one block": ([BLOCK - ALIGNMENT], [ALIGNMENT]),
    "a single number": ([1], []),
}
"""Where the decayed parameters may end: sizes of decayed arrays, and of the others."""


class Parameters(Layer):
    """y = x, with parameters of the given sizes that have no part in it."""

    def __init__(self, decayed: list[int], kept: list[int]) -> None:
        self.sizes = [(f"W{i}", size, True) for i, size in enumerate(decayed)]
        self.sizes += [(f"b{i}", size, False) for i, size in enumerate(kept)]

    def build(self, shape: Any) -> Any:
        # Declared in reverse, so that the order in the storage is the storage's own doing.
        for name, size, decay in reversed(self.sizes):
            self.param(name, (size,), standard_normal, decay=decay)
        return shape

    def forward(self, x: Any) -> Any:
        return x, None

    def backward(self, dy: Any, cache: Any) -> Any:
        return dy


def network(decayed: list[int], kept: list[int], dtype: str, seed: int = 1) -> Sequential:
    """With those parameters, and gradients drawn at random."""
    net = Sequential(Parameters(decayed, kept)).build((1,), dtype=dtype)
    rng = np.random.default_rng(seed)
    for gradient in net.storage.gradients.values():
        gradient[...] = rng.standard_normal(gradient.shape)
    return net


def check_padding(net: Sequential) -> None:
    """What lies between the arrays is 0 and stays it."""
    marked = net.storage.params.copy()
    for name, view in net.storage.parameters.items():
        start = (
            view.__array_interface__["data"][0] - net.storage.params.__array_interface__["data"][0]
        ) // view.itemsize
        assert start % ALIGNMENT == 0, name
        marked[start : start + view.size] = 0
    assert not marked.any()
