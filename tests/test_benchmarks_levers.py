"""The levers of speed: each leaves the loss as it is."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import levers
from tinynn.backend import NumpyOps


def test_every_lever_leaves_the_loss_as_it_is() -> None:
    rng = np.random.default_rng(0)
    found = levers.measure(rng.random((60, 8), dtype=np.float32), rng.integers(0, 10, 60), rounds=2)
    assert list(found) == list(levers.LEVERS)
    assert len(levers.table(found).splitlines()) == 2 + len(found)


def test_a_lever_that_changes_the_loss_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def half(self: NumpyOps, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> np.ndarray:
        return np.multiply(a @ b, 0.5, out=out)

    monkeypatch.setattr(levers, "LEVERS", {"half the product": lambda: patch.object(NumpyOps, "matmul", half)})
    with pytest.raises(RuntimeError, match="half the product"):
        levers.measure(np.ones((20, 8), np.float32), np.arange(20) % 10, rounds=1)
