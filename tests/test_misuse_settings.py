"""What users get wrong when they build and train: every mistake meets an error that says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from misuse_helpers import Case, T, X, assert_helpful, bare, learn, net, unbuilt

from tinynn import (
    SGD,
    Affine,
    ConfigurationError,
    DataError,
    NonFiniteError,
    NotBuiltError,
    QuadraticCost,
    ReLU,
    Rescale,
    Reshape,
    Sequential,
    ShapeError,
    Softmax,
    SoftmaxCrossEntropy,
    StateError,
    fit,
)


def shared() -> Any:
    layer = Affine(3)
    return [net(layer), net(layer)]


def twice() -> Any:
    relu = ReLU()
    return net(Affine(3), relu, Affine(3), relu)


CASES: dict[str, Case] = {
    # building
    "unknown backend": (lambda: net(backend="torch"), ConfigurationError, "backend", "'torch'", 'backend="numpy"'),
    "backend in a list": (lambda: net(backend=["numpy"]), ConfigurationError, "backend", "numpy", 'backend="numpy"'),
    "unknown dtype": (lambda: net(dtype="float16"), ConfigurationError, "Sequential", "float16", 'dtype="float32"'),
    "negative seed": (lambda: net(seed=-1), ConfigurationError, "seed", "-1", "seed=0"),
    "fractional seed": (lambda: net(seed=1.5), ConfigurationError, "seed", "1.5", "seed=0"),
    "build(784)": (lambda: net(shape=784), ShapeError, "Sequential", "784", "net.build((784,))"),
    "batch axis None": (lambda: net(shape=(None, 784)), ShapeError, "Sequential", "(None, 784)", "net.build((784,))"),
    "a shape of 0": (lambda: net(shape=(0,)), ShapeError, "Sequential", "(0,)", "net.build((784,))"),
    "build()": (lambda: unbuilt().build(), ShapeError, "Sequential", "nothing", "net.build((784,))"),
    "two shapes": (lambda: Sequential(Affine(3)).build((4,), (4,)), ShapeError, "Seq", "((4,), (4,))", "build((4,))"),
    "wide targets": (lambda: unbuilt().build((4,), (7,)), ShapeError, "layer 1: Softmax", "(7,)", "leave the targets"),
    "softmax of a number": (
        lambda: net(Reshape(()), Softmax(), shape=(1,)),
        ConfigurationError,
        "layer 1: Softmax()",
        "()",
        "Affine",
    ),
    "one class": (lambda: net(Affine(1), SoftmaxCrossEntropy()), ShapeError, "layer 1: Softmax", "(1,)", "Affine(C)"),
    "a class as layer": (lambda: net(Affine(3), ReLU), ConfigurationError, "layer 1", "ReLU", "ReLU(...)"),
    "no layer": (lambda: net(Affine(3), "relu"), ConfigurationError, "layer 1", "'relu'", "remove it"),
    "the same layer twice": (twice, ConfigurationError, "layer 3: ReLU()", "layer 1", "copy.deepcopy"),
    "one layer in two networks": (shared, ConfigurationError, "layer 0: Affine(3)", "another network", "copy.deepcopy"),
    "built network inside": (lambda: net(bare()), ConfigurationError, "layer 0: Seq", "by itself", "copy.deepcopy"),
    "loss in the middle": (
        lambda: net(QuadraticCost(), ReLU()),
        ConfigurationError,
        "layer 0: Quad",
        "1",
        "to the end",
    ),
    "loss in a part": (
        lambda: net(Sequential(Affine(3), QuadraticCost()), ReLU()),
        ConfigurationError,
        "layer 0: Sequential",
        "QuadraticCost()",
        "outer network",
    ),
    "no layers": (Sequential, ConfigurationError, "Sequential()", "none", "Sequential(Affine(10)"),
    "Affine(0)": (lambda: Affine(0), ConfigurationError, "Affine", "0", "Affine(10)"),
    "Affine(2.5)": (lambda: Affine(2.5), ConfigurationError, "Affine", "2.5", "Affine(10)"),  # pyright: ignore[reportArgumentType]
    "Affine('10')": (lambda: Affine("10"), ConfigurationError, "Affine", "'10'", "Affine(10)"),  # pyright: ignore[reportArgumentType]
    "weights of another shape": (lambda: net(Affine(3, W=X)), ShapeError, "layer 0: Affine", "(6, 4)", "(rng, shape)"),
    "weights by name": (lambda: net(Affine(3, W="he")), ConfigurationError, "layer 0: Affine", "'he'", "init.he"),
    "NaN weights": (
        lambda: net(Affine(3, W=X[:4, :3] * np.nan)),
        ConfigurationError,
        "initial value of W",
        "nan",
        "finite",
    ),
    "initialiser of (shape)": (lambda: net(Affine(3, W=np.ones)), ConfigurationError, "layer 0", "", "init.he"),
    "Rescale(nan)": (lambda: Rescale(np.nan), ConfigurationError, "Rescale", "nan", "Rescale(1 / 255)"),
    # before build
    "forward unbuilt": (
        lambda: unbuilt().forward(X, T),
        NotBuiltError,
        "Sequential",
        "not been built",
        "net.build(shape)",
    ),
    "predict unbuilt": (
        lambda: unbuilt().predict(X),
        NotBuiltError,
        "Sequential",
        "not been built",
        "net.build(shape)",
    ),
    "loss unbuilt": (lambda: unbuilt().loss(X, T), NotBuiltError, "Sequential", "not been built", "net.build(shape)"),
    "summary unbuilt": (lambda: unbuilt().summary(), NotBuiltError, "Sequential", "not been built", "net.build(shape)"),
    "save unbuilt": (
        lambda: unbuilt().save("never.npz"),
        NotBuiltError,
        "Sequential",
        "not been built",
        "net.build(shape)",
    ),
    "fit unbuilt": (
        lambda: learn(network=unbuilt()),
        NotBuiltError,
        "Sequential",
        "not been built",
        "net.build(shape)",
    ),
    "W unbuilt": (lambda: Affine(3).W, NotBuiltError, "Affine(3)", "not been built", "net.build(shape)"),
    "a layer alone": (lambda: Affine(3).forward(X), NotBuiltError, "Affine(3)", "not been built", "net.build(shape)"),
    # training
    "SGD(-1)": (lambda: SGD(-1), ConfigurationError, "SGD", "-1", "SGD(lr=0.1)"),
    "SGD(nan)": (lambda: SGD(np.nan), ConfigurationError, "SGD", "nan", "SGD(lr=0.1)"),
    "SGD('0.1')": (lambda: SGD("0.1"), ConfigurationError, "SGD", "'0.1'", "SGD(lr=0.1)"),  # pyright: ignore[reportArgumentType]
    "l2=-1": (lambda: SGD(0.1, l2=-1), ConfigurationError, "SGD", "-1", "l2=1e-4"),
    "epochs=0": (lambda: learn(epochs=0), ConfigurationError, "fit", "0", "epochs=10"),
    "batch_size=0": (lambda: learn(batch_size=0), ConfigurationError, "fit", "0", "batch_size=32"),
    "predict by 0 rows": (lambda: net().predict(X, batch_size=0), ConfigurationError, "Sequential", "0", "1024"),
    "patience alone": (lambda: learn(patience=2), ConfigurationError, "fit", "None", "validation=(x, targets)"),
    "seed 'a'": (lambda: learn(seed="a"), ConfigurationError, "seed", "'a'", "seed=0"),
    "fit without a loss": (lambda: learn(network=bare()), StateError, "Sequential", "without", "SoftmaxCrossEntropy()"),
    "fit of a layer": (lambda: learn(network=Affine(3)), ConfigurationError, "fit", "Affine(3)", "Sequential("),
    "fit with a class": (lambda: learn(optimizer=SGD), ConfigurationError, "fit", "SGD", "SGD(0.1)"),
    "half the labels": (lambda: learn(t=T[:3]), ShapeError, "fit, train", "(3,)", "each row its target"),
    "no rows": (lambda: learn(X[:0], T[:0]), ShapeError, "fit, train", "(0, 4)", "at least one row"),
    "wrong width in fit": (lambda: learn(X[:, :2]), ShapeError, "fit, train", "(6, 2)", "x.reshape(-1, 4)"),
    "ragged rows in fit": (lambda: learn([[1, 2], [1]], [0, 1]), ShapeError, "fit, train", "inhomogeneous", "pad"),
    "strings in fit": (lambda: learn(np.full((6, 4), "1")), DataError, "fit, train", "<U1", "astype(float)"),
    "no pair": (lambda: fit(net(), SGD(0.1), X, epochs=1), ConfigurationError, "fit, train", "ndarray", "(x, targets)"),
    "validation=0.2": (lambda: learn(validation=0.2), ConfigurationError, "fit, validation", "float", "(x, targets)"),
    "divergence": (
        lambda: learn(network=net(Affine(3), QuadraticCost()), optimizer=SGD(1e30), epochs=5),
        NonFiniteError,
        "before the epoch",
        "inf",
        "smaller learning rate",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_in_settings_meets_an_error_that_says_what_to_do(name: str) -> None:
    assert_helpful(CASES[name])
