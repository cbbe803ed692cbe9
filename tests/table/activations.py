"""Activations."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
from scipy.special import erf
from strategies import arrays, batch_sizes, layouts, shapes

from table.row import Case, Row, elementwise
from tinynn import (
    ELU,
    GELU,
    SELU,
    Clip,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)

__all__ = ["ROWS"]


@st.composite
def softmax_cases(draw: st.DrawFn, kind: Any) -> Case:
    return Case(kind(), (draw(arrays((draw(batch_sizes), *draw(shapes(max_dims=2))))),), draw(layouts))


@st.composite
def prelu_cases(draw: st.DrawFn) -> Case:
    return Case(PReLU(), (draw(arrays((draw(batch_sizes), *draw(shapes())), away_from_0)),), draw(layouts))


away_from_0 = st.integers(-20, 20).filter(bool).map(lambda k: k / 8)  # where ReLU and its kind have their corner
away_from_corners = st.integers(-40, 40).map(lambda k: k / 8 + 0.06)  # at 0, at multiples of 1/2
slopes = st.sampled_from([0.0, 0.01, 0.3])


def gelu(layer: Any, x: Any) -> Any:
    if layer.approximate:
        return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x / 2 * (1 + erf(x / math.sqrt(2)))


def mish(layer: Any, x: Any) -> Any:
    return x * np.tanh(np.log(1 + np.exp(x)))


ROWS = (
    Row("ReLU", ReLU, elementwise(st.builds(ReLU), away_from_0)),
    Row("Sigmoid", Sigmoid, elementwise(st.builds(Sigmoid)), lambda layer, x: 1 / (1 + np.exp(-x))),
    Row("Tanh", Tanh, elementwise(st.builds(Tanh)), lambda layer, x: np.sinh(x) / np.cosh(x)),
    Row("Softmax", Softmax, softmax_cases(Softmax), lambda layer, x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)),
    Row(
        "LogSoftmax",
        LogSoftmax,
        softmax_cases(LogSoftmax),
        lambda layer, x: x - np.log(np.exp(x).sum(axis=-1, keepdims=True)),
    ),
    Row("LeakyReLU", LeakyReLU, elementwise(slopes.map(LeakyReLU), away_from_0)),
    Row("PReLU", PReLU, prelu_cases()),
    Row("ELU", ELU, elementwise(st.sampled_from([1.0, 0.5, 2.0]).map(ELU), away_from_0)),
    Row("SELU", SELU, elementwise(st.builds(SELU), away_from_0)),
    Row("GELU", GELU, elementwise(st.booleans().map(GELU)), gelu),
    Row("SiLU", SiLU, elementwise(st.builds(SiLU)), lambda layer, x: x / (1 + np.exp(-x))),
    Row("Softplus", Softplus, elementwise(st.builds(Softplus)), lambda layer, x: np.log(1 + np.exp(x))),
    Row("Mish", Mish, elementwise(st.builds(Mish)), mish),
    Row("Softsign", Softsign, elementwise(st.builds(Softsign), away_from_0)),
    Row("HardSigmoid", HardSigmoid, elementwise(st.builds(HardSigmoid), away_from_corners)),
    Row("Clip", Clip, elementwise(st.sampled_from([(0, 1), (-1, 1)]).map(lambda b: Clip(*b)), away_from_corners)),
    Row("HardSwish", HardSwish, elementwise(st.builds(HardSwish), away_from_corners)),
)
