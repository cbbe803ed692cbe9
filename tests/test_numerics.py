"""Sigmoid, softmax and cross-entropy against 60-digit decimal arithmetic, over all that their number formats hold.

Errors are counted in ulps: units in the last place of the right result, those of denormals included.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from exact import ULPS, exact, sixty_digits, ulps
from hypothesis import example, given, settings

from tinynn import Sequential, Sigmoid, Softmax, SoftmaxCrossEntropy

pytestmark = pytest.mark.usefixtures(sixty_digits.__name__)

F32, F64 = np.float32, np.float64
HUGE = float(F32(1e38))
DENORMAL = float(np.finfo(F32).smallest_subnormal)
FORTY = F32(40)
HAND = [
    *(0.0, -0.0, 1e-38, -1e-38, DENORMAL, -DENORMAL, 1e-40, 1.0, -1.0, 16.0, 80.0, 88.7, -87.3, -88.0, -103.0, -103.9),
    *(-104.0, -110.0, 16.63, 17.4, HUGE, -HUGE, 1e20, -1e20, 36.7, 37.0),
    *(40.0, float(np.nextafter(FORTY, F32(0))), float(np.nextafter(FORTY, F32(99)))),
]
hand = st.sampled_from([float(F32(value)) for value in HAND])
anywhere = st.floats(-HUGE, HUGE, width=32)
moderate = st.floats(-110, 110, width=32)
single = st.one_of(hand, moderate, anywhere)


def sigmoid(x: Decimal) -> Decimal:
    e = (-abs(x)).exp()
    return (1 if x >= 0 else e) / (1 + e)


def softmax(row: np.ndarray) -> list[Decimal]:
    x = exact(row)
    e = [(value - max(x)).exp() for value in x]
    return [value / sum(e) for value in e]


def surprise(row: np.ndarray, label: int) -> Decimal:
    """-log softmax(row)[label]; the largest term, which is 1, is kept out of the sum so that no digit of it is lost."""
    x = exact(row)
    top = x.index(max(x))
    rest = sum(((value - x[top]).exp() for j, value in enumerate(x) if j != top), Decimal(0))
    series = rest - rest**2 / 2 + rest**3 / 3  # of log(1 + rest), for a rest whose cube is beyond 60 digits
    log = series if rest < Decimal("1e-25") else (1 + rest).ln()
    return log + x[top] - x[label]


def network(layer: Any, width: int, dtype: str = "float32") -> Sequential:
    return Sequential(layer).build((width,), dtype=dtype, needs_dx=True)


@settings(max_examples=200)
@given(st.lists(single, min_size=1, max_size=20))
@example(HAND)
def test_sigmoid_in_float32(values: list[float]) -> None:
    x = np.array([values], F32)
    net, right = network(Sigmoid(), len(values)), [sigmoid(value) for value in exact(x)]
    assert ulps(net.forward(x)[0], right) <= ULPS
    assert ulps(net.predict(x), right) <= ULPS


@settings(max_examples=200)
@given(st.lists(st.one_of(hand, st.floats(-1e308, 1e308), st.floats(-750, 50)), min_size=1, max_size=20))
@example([-1e308, 1e308, 5e-324, -5e-324, -708.4, -709.8, -744.4, -745.2, -746.0, 36.7, 37.0, 709.8, 745.0])
def test_sigmoid_in_float64(values: list[float]) -> None:
    x = np.array([values])
    assert ulps(network(Sigmoid(), len(values), "float64").predict(x), [sigmoid(value) for value in exact(x)]) <= ULPS


@pytest.mark.parametrize(("dtype", "low"), [("float32", -106), ("float64", -748)])
def test_sigmoid_on_a_dense_grid(dtype: str, low: float) -> None:
    x = np.linspace(low, 42, 4001, dtype=dtype)[None]
    assert ulps(network(Sigmoid(), x.size, dtype).predict(x), [sigmoid(value) for value in exact(x)]) <= ULPS


rows = st.integers(2, 6).flatmap(
    lambda classes: st.lists(st.lists(single, min_size=classes, max_size=classes), min_size=1, max_size=4)
)
SCORES = [
    [0.0, 0.0, 0.0],
    [HUGE, HUGE, -HUGE],
    [HUGE, -HUGE, 0.0],
    [-HUGE, -HUGE, -HUGE],
    [0.0, -16.0, -80.0],
    [1000.0, 984.0, 920.0],
    [0.0, -69.1, -69.2],
    [0.0, -103.0, -104.0],
    [88.7, 0.3, -14.9],
    [1e-38, -1e-38, DENORMAL],
    [16.0, 0.0, -0.0],
]


@settings(max_examples=200)
@given(rows)
@example(SCORES)
def test_softmax_in_float32(values: list[list[float]]) -> None:
    x = np.array(values, F32)
    right = [p for row in x for p in softmax(row)]
    assert ulps(network(Softmax(), x.shape[1]).forward(x)[0], right) <= ULPS
    assert ulps(network(SoftmaxCrossEntropy(), x.shape[1]).predict(x), right) <= ULPS


@settings(max_examples=200)
@given(
    st.integers(2, 6).flatmap(lambda n: st.lists(st.floats(-350, 350), min_size=n, max_size=n)),
    st.sampled_from([0.0, 1e3]),
)
def test_softmax_in_float64(values: list[float], shift: float) -> None:
    """z = x - max is rounded by up to |z| eps/2, which exp turns into a relative error of the same size.

    Besides that there are exp, the sum and the quotient, for which 8 eps are allowed, and the unit of a denormal.
    """
    x = np.array([values]) + shift
    right = softmax(x[0])
    for value, reference, z in zip(
        exact(network(Softmax(), x.size, "float64").predict(x)), right, x.max() - x[0], strict=True
    ):
        allowed = (Decimal(float(z)) / 2 + 8) * Decimal(float(np.finfo(F64).eps)) * reference
        assert abs(value - reference) <= allowed + Decimal("5e-324")


@settings(max_examples=200)
@given(rows, st.randoms(use_true_random=False))
def test_cross_entropy_of_labels_in_float32(values: list[list[float]], random: Any) -> None:
    x = np.array(values, F32)
    labels = np.array([random.randrange(x.shape[1]) for _ in x])
    right = sum((surprise(row, int(label)) for row, label in zip(x, labels, strict=True)), Decimal(0)) / len(x)
    loss, _ = network(SoftmaxCrossEntropy(), x.shape[1]).forward(x, labels)
    assert loss.dtype == F32
    assert ulps(loss, [right]) <= ULPS


@pytest.mark.parametrize("row", SCORES, ids=str)
def test_cross_entropy_of_single_rows(row: list[float]) -> None:
    x = np.array([row], F32)
    net = network(SoftmaxCrossEntropy(), 3)
    for label in range(3):
        right = surprise(x[0], label)
        for targets in (np.array([label]), np.eye(3, dtype=F32)[[label]]):
            assert ulps(net.forward(x, targets)[0], [right]) <= ULPS
            assert abs(Decimal(net.loss(x, targets)) - right) <= ULPS * Decimal(float(np.spacing(F32(right))))


@settings(max_examples=200)
@given(st.lists(st.floats(-120, 120, width=32), min_size=3, max_size=3), st.lists(st.integers(1, 99), min_size=3))
def test_cross_entropy_of_probability_rows_in_float32(values: list[float], shares: list[int]) -> None:
    x = np.array([values], F32)
    t = (np.array([shares[:3]]) / sum(shares[:3])).astype(F32)
    right = sum((w * surprise(x[0], j) for j, w in enumerate(exact(t))), Decimal(0))
    assert ulps(network(SoftmaxCrossEntropy(), 3).forward(x, t)[0], [right]) <= ULPS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loss_of_1e_30_is_not_0(dtype: str) -> None:
    """log(1 + 1e-30) = 1e-30, although 1 + 1e-30 = 1 in floating point."""
    x = np.array([[69.07755, 0.0]], dtype)
    loss, _ = network(SoftmaxCrossEntropy(), 2, dtype).forward(x, np.array([0]))
    assert loss == pytest.approx(1e-30, rel=1e-4)
    assert ulps(loss, [surprise(x[0], 0)]) <= (ULPS if dtype == "float32" else 64)


def gradient(net: Sequential, x: np.ndarray, targets: np.ndarray) -> np.ndarray:
    _, cache = net.forward(x, targets)
    return net.backward(1.0, cache)


@pytest.mark.parametrize("away", [1e-1, 1e-6, 1e-9, 1e-12, 1e-30])
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_gradient_of_the_cross_entropy_when_p_is_near_1(away: float, classes: int) -> None:
    """(p - t) / N, of which p - t keeps its digits: it is minus the sum of the other probabilities."""
    rng = np.random.default_rng(classes)
    x = rng.uniform(-1, 1, (2, classes)).astype(F32)
    labels = np.array([0, classes - 1])
    x[[0, 1], labels] = np.log((classes - 1) / away)
    net = network(SoftmaxCrossEntropy(), classes)
    p = [softmax(row) for row in x]
    for targets in (labels, np.eye(classes, dtype=F32)[labels], np.eye(classes)[labels]):
        dx = gradient(net, x, targets)
        assert dx.dtype == F32
        for n, label in enumerate(labels):
            others = sum((value for j, value in enumerate(p[n]) if j != label), Decimal(0))
            assert float(abs(Decimal(float(dx[n, label])) / (-others / 2) - 1)) < 1e-6
            for j in {0, classes // 2, classes - 1} - {int(label)}:
                assert float(abs(Decimal(float(dx[n, j])) / (p[n][j] / 2) - 1)) < 1e-6


@settings(max_examples=200)
@given(rows, st.randoms(use_true_random=False))
@example(SCORES, None)
def test_gradient_of_the_cross_entropy_is_finite_and_right(values: list[list[float]], random: Any) -> None:
    x = np.array(values, F32)
    labels = np.array([random.randrange(x.shape[1]) if random else n % x.shape[1] for n in range(len(x))])
    dx = gradient(network(SoftmaxCrossEntropy(), x.shape[1]), x, labels)
    right = []
    for row, label in zip(x, labels, strict=True):
        p = softmax(row)
        others = sum((value for j, value in enumerate(p) if j != label), Decimal(0))
        right += [(-others if j == label else value) / len(x) for j, value in enumerate(p)]
    # The label's element is a float32 sum of the others, each of which may round by half a denormal's unit.
    assert ulps(dx, right) <= ULPS
