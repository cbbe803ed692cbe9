"""Training step by step beside scikit-learn, another implementation of the same mathematics: equal weight for weight.

scikit-learn divides its alpha by the number of rows in the batch, so tinynn's l2 is alpha / N.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

from tinynn import (
    SGD,
    Adam,
    Affine,
    Layer,
    Optimizer,
    QuadraticCost,
    ReLU,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    Tanh,
)

ROWS, FEATURES, STEPS = 10, 6, 50
ALPHA, LR, EPS = 0.03, 0.1, 1e-4
ACTIVATIONS: dict[str, type[Layer]] = {"relu": ReLU, "tanh": Tanh, "logistic": Sigmoid}
HIDDEN = [(), (8,), (7, 5)]


PLAIN: dict[str, Any] = {"solver": "sgd", "momentum": 0.0, "nesterovs_momentum": False}
# The options of scikit-learn, and the same optimizer for an l2.
SOLVERS: dict[str, tuple[dict[str, Any], Callable[[float], Optimizer]]] = {
    "momentum": ({**PLAIN, "momentum": 0.9}, lambda l2: SGD(LR, l2, momentum=0.9)),
    "nesterov": (
        {**PLAIN, "momentum": 0.9, "nesterovs_momentum": True},
        lambda l2: SGD(LR, l2, momentum=0.9, nesterov=True),
    ),
    "adam": (
        {"solver": "adam", "beta_1": 0.8, "beta_2": 0.99, "epsilon": EPS, "learning_rate_init": 0.01},
        lambda l2: Adam(0.01, 0.8, 0.99, EPS, l2=l2),
    ),
}


def other(kind: type, hidden: tuple[int, ...], activation: str, alpha: float, **solver: Any) -> Any:
    return kind(
        hidden_layer_sizes=hidden,
        activation=activation,
        alpha=alpha,
        batch_size=ROWS,
        shuffle=False,
        random_state=0,
        **{"learning_rate_init": LR, **(solver or PLAIN)},
    )


def network(hidden: tuple[int, ...], activation: str, outputs: int, loss: Layer, seed: int) -> Sequential:
    layers = [layer for M in hidden for layer in (Affine(M), ACTIVATIONS[activation]())]
    return Sequential(*layers, Affine(outputs), loss).build((FEATURES,), dtype="float64", seed=seed)


def parameters(net: Sequential) -> tuple[list[np.ndarray], list[np.ndarray]]:
    affine = [layer for layer in net if isinstance(layer, Affine)]
    return [layer.W for layer in affine], [layer.b for layer in affine]


def start_alike(net: Sequential, model: Any) -> None:
    """Makes scikit-learn start from this network's weights, and from biases that are not 0."""
    weights, biases = parameters(net)
    rng = np.random.default_rng(5)
    for own, theirs in zip(weights + biases, model.coefs_ + model.intercepts_, strict=True):
        if own.ndim == 1:
            own[...] = 0.1 * rng.standard_normal(own.shape)
        theirs[...] = own
    optimizer = model._optimizer  # has made a step when it made its arrays
    for array in [a for name in ("velocities", "ms", "vs") for a in getattr(optimizer, name, [])]:
        array[...] = 0
    optimizer.t = 0


def difference(net: Sequential, model: Any) -> float:
    weights, biases = parameters(net)
    pairs = zip(weights + biases, model.coefs_ + model.intercepts_, strict=True)
    return max(float(np.abs(own - theirs).max()) for own, theirs in pairs)


def step(net: Sequential, x: np.ndarray, t: np.ndarray, alpha: float, optimizer: Optimizer | None = None) -> float:
    """One step; the loss before it, with the L2 term as scikit-learn counts it."""
    loss, cache = net.forward(x, t)
    penalty = sum(float((W**2).sum()) for W in parameters(net)[0]) * alpha / (2 * len(x))
    net.backward(1.0, cache)
    (optimizer or SGD(LR, l2=alpha / len(x))).step(net)
    return float(loss) + penalty


@pytest.mark.parametrize("alpha", [0.0, ALPHA])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_classifier(hidden: tuple[int, ...], activation: str, alpha: float) -> None:
    rng = np.random.default_rng(1)
    X, t = rng.standard_normal((STEPS, ROWS, FEATURES)), rng.integers(0, 4, (STEPS, ROWS))
    net = network(hidden, activation, 4, SoftmaxCrossEntropy(), seed=2)
    model = other(MLPClassifier, hidden, activation, alpha)
    model.partial_fit(X[0], t[0], classes=range(4))  # only makes its arrays
    start_alike(net, model)
    start = [W.copy() for W in parameters(net)[0]]

    for number in range(STEPS):
        model.partial_fit(X[number], t[number])
        loss = step(net, X[number], t[number], alpha)
        assert loss == pytest.approx(model.loss_, rel=1e-12)
        if number == 0:
            assert difference(net, model) <= 1e-12
    assert difference(net, model) <= 1e-12
    assert all(np.abs(W - before).max() > 0.01 for W, before in zip(parameters(net)[0], start, strict=True))
    np.testing.assert_allclose(net.predict(X[0]), model.predict_proba(X[0]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, ALPHA])
@pytest.mark.parametrize("solver", SOLVERS)
def test_solver(solver: str, alpha: float) -> None:
    rng = np.random.default_rng(7)
    X, t = rng.standard_normal((STEPS, ROWS, FEATURES)), rng.integers(0, 4, (STEPS, ROWS))
    options, make = SOLVERS[solver]
    net, optimizer = network((7, 5), "tanh", 4, SoftmaxCrossEntropy(), seed=2), make(alpha / ROWS)
    model = other(MLPClassifier, (7, 5), "tanh", alpha, **options)
    model.partial_fit(X[0], t[0], classes=range(4))
    start_alike(net, model)
    start = [W.copy() for W in parameters(net)[0]]
    for number in range(STEPS):
        if isinstance(optimizer, Adam):  # whose eps is added to the corrected root, and scikit-learn's before
            optimizer.eps = EPS / math.sqrt(1 - optimizer.beta2 ** (number + 1))
        model.partial_fit(X[number], t[number])
        assert step(net, X[number], t[number], alpha, optimizer) == pytest.approx(model.loss_, rel=1e-12)
        assert difference(net, model) <= 1e-12
    assert all(np.abs(W - before).max() > 0.01 for W, before in zip(parameters(net)[0], start, strict=True))


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_regressor(hidden: tuple[int, ...], activation: str, outputs: int) -> None:
    """Its gradient is that of the sum of squares over 2N; the loss it reports is divided by the outputs as well."""
    rng = np.random.default_rng(3)
    X, t = rng.standard_normal((STEPS, ROWS, FEATURES)), rng.standard_normal((STEPS, ROWS, outputs))
    net = network(hidden, activation, outputs, QuadraticCost(), seed=4)
    model = other(MLPRegressor, hidden, activation, ALPHA)
    # A single output is a vector to scikit-learn.
    theirs = t[..., 0] if outputs == 1 else t
    model.partial_fit(X[0], theirs[0])
    start_alike(net, model)

    for number in range(STEPS):
        W2 = sum(float((W**2).sum()) for W in model.coefs_) * ALPHA / (2 * ROWS)
        model.partial_fit(X[number], theirs[number])
        loss = step(net, X[number], t[number], ALPHA)
        assert loss - W2 == pytest.approx((model.loss_ - W2) * outputs, rel=1e-10)
        if number == 0:
            assert difference(net, model) <= 1e-12
    assert difference(net, model) <= 1e-12
    np.testing.assert_allclose(net.predict(X[0]).reshape(theirs[0].shape), model.predict(X[0]), rtol=0, atol=1e-12)


def test_alpha_that_is_not_divided_by_the_rows_is_noticed() -> None:
    """The comparison is sharp: with l2 = alpha the first step already differs."""
    rng = np.random.default_rng(1)
    x, t = rng.standard_normal((ROWS, FEATURES)), rng.integers(0, 4, ROWS)
    net = network((8,), "tanh", 4, SoftmaxCrossEntropy(), seed=2)
    model = other(MLPClassifier, (8,), "tanh", ALPHA)
    model.partial_fit(x, t, classes=range(4))
    start_alike(net, model)
    model.partial_fit(x, t)
    step(net, x, t, ALPHA * ROWS)
    assert difference(net, model) > 1e-6
