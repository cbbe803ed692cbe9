"""What the tables of mistakes share: small networks to mistreat, and what a helpful error is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinynn import (
    SGD,
    Affine,
    ConfigurationError,
    DataError,
    GradientError,
    LabelError,
    NonFiniteError,
    NotBuiltError,
    ReLU,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
    StateError,
    TinynnError,
    fit,
)

Case = tuple[Callable[[], Any], type[TinynnError], str, str, str]
"""The mistake, its error, and what the lines `where`, `got` and `fix` contain."""

X = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
T = np.array([0, 1, 2, 0, 1, 2])
BUILTIN = {
    ConfigurationError: ValueError,
    ShapeError: ValueError,
    LabelError: ValueError,
    DataError: ValueError,
    StateError: RuntimeError,
    NonFiniteError: FloatingPointError,
    NotBuiltError: AttributeError,
    GradientError: AssertionError,
}


def net(*layers: Any, shape: Any = (4,), **options: Any) -> Sequential:
    return Sequential(*(layers or (Affine(5), ReLU(), Affine(3), SoftmaxCrossEntropy()))).build(shape, **options)


def bare() -> Sequential:
    return net(Affine(5), ReLU(), Affine(3))


def unbuilt() -> Sequential:
    return Sequential(Affine(3), SoftmaxCrossEntropy())


def learn(x: Any = X, t: Any = T, network: Any = None, optimizer: Any = None, **options: Any) -> Any:
    options = {"epochs": 1, "progress": False, **options}
    return fit(net() if network is None else network, optimizer or SGD(0.1), (x, t), **options)


def assert_helpful(case: Case) -> None:
    """The mistake raises exactly this error; its text has all four lines, which say what the case wants."""
    mistake, kind, where, got, fix = case
    with pytest.raises(kind) as caught:
        mistake()
    error = caught.value
    assert type(error) is kind
    assert isinstance(error, BUILTIN[kind])
    what, *rest = str(error).splitlines()
    lines = {line.split(":")[0].strip(): line.partition(":")[2].strip() for line in rest}
    for part in ("expected", "got", "where", "fix"):
        assert lines[part], f"the line {part!r} is missing from:\n{error}"
    assert where in lines["where"]
    assert got in lines["got"]
    assert fix in lines["fix"]
    assert what == error.what
