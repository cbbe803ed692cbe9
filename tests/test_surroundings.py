"""What the last bits depend on is known, whatever is there to tell of it."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinynn
from tinynn import Affine, Sequential
from tinynn.training.surroundings import different, surroundings, threads


def test_what_is_known_of_a_network_on_this_machine() -> None:
    found = surroundings(Sequential(Affine(2)).build((3,)))
    assert found["tinynn"] == tinynn.__version__ and found["NumPy"] == np.__version__
    assert found["backend"] == "numpy" and found["precision"] == "float32"
    assert int(found["BLAS threads"]) >= 1 and all(isinstance(value, str) and value for value in found.values())


def test_a_compiler_and_a_gpu_count_too() -> None:
    assert surroundings(Sequential(Affine(2)).build((3,), backend="llvm"))["llvmlite"]
    runtime = SimpleNamespace(getDeviceProperties=lambda number: {"name": b"Some GPU"})
    cupy = SimpleNamespace(__version__="14.2.0", cuda=SimpleNamespace(runtime=runtime))
    net: Any = SimpleNamespace(ops=SimpleNamespace(name="cupy", precision="tf32"), xp=cupy)
    found = surroundings(net)
    assert (found["CuPy"], found["GPU"], found["precision"]) == ("14.2.0", "Some GPU", "tf32")


def test_without_threadpoolctl_the_environment_tells_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert threads() >= 1
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert threads() >= 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads() == 3
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "5")
    assert threads() == 5


def test_what_differs_is_said_both_ways() -> None:
    assert different({"a": "1", "b": "2", "gone": "3"}, {"a": "1", "b": "4", "new": "5"}) == [
        "b: 2 before, 4 now",
        "new: none before, 5 now",
        "gone: 3 before, none now",
    ]
