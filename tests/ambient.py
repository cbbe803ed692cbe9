"""NumPy's global random state, which nothing of tinynn's reads or sets. Tests touch it here alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["numpy_state", "numpys_own", "set_numpy_seed"]


def set_numpy_seed(seed: int) -> None:
    """As a program does that knows no better."""
    np.random.seed(seed)


def numpy_state() -> tuple[Any, ...]:
    """The state, to be compared with another."""
    state: Any = np.random.get_state()
    return state[1].tobytes(), *state[2:]


@contextlib.contextmanager
def numpys_own(seed: int) -> Iterator[None]:
    """Within the block it begins with this seed; after it the state is as it was."""
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)
