"""Graphs that cannot work are refused with the node, what was expected, what came, and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinynn import (
    Add,
    Affine,
    Concat,
    ConfigurationError,
    GradientError,
    Graph,
    Layer,
    MissingExtraError,
    Multiply,
    QuadraticCost,
    ReLU,
    Residual,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
    Tanh,
    TinynnError,
    fit,
    gradcheck,
)

TWO = Graph(y=(Add(), "a", "b"))


class Gives(Layer):
    """y = a value of a shape that was not promised."""

    def __init__(self, method: str) -> None:
        self.method = method

    def forward(self, x: Any) -> Any:
        return (x[:, :1] if self.method == "forward" else x), None

    def backward(self, dy: Any, cache: Any) -> Any:
        return dy[:, :1] if self.method == "backward" else None if self.method == "silent" else dy


def wrong_gradient(method: str) -> None:
    net = Graph(
        a=(Affine(3), "x"), b=(Gives(method), "a"), y=(Add(), "a", "b") if method != "silent" else (Tanh(), "b")
    )
    net.build((3,)).backward(np.ones((2, 3)), net.forward(np.ones((2, 3)))[1])


CASES: dict[str, tuple[Callable[[], Any], type[TinynnError], str, str]] = {
    # what is called, the error, where it is, and a word of it
    "no nodes": (lambda: Graph(), ConfigurationError, "Graph()", "without nodes"),
    "no reads": (lambda: Graph(a=ReLU()), ConfigurationError, "node 'a'", 'a=(ReLU(), "x")'),
    "no reads in a tuple": (lambda: Graph(a=(ReLU(),)), ConfigurationError, "node 'a': ReLU()", "at least one name"),
    "a class": (lambda: Graph(a=(ReLU, "x")), ConfigurationError, "node 'a'", "ReLU(...), with parentheses"),
    "no layer": (lambda: Graph(a=("x", ReLU())), ConfigurationError, "node 'a'", "(layer, name, ...)"),
    "a layer as name": (lambda: Graph(a=(Add(), "x", ReLU())), ConfigurationError, "node 'a': Add()", "by name"),
    "itself": (lambda: Graph(a=(Add(), "x", "a")), ConfigurationError, "node 'a'", "reads itself"),
    "below": (lambda: Graph(a=(Tanh(), "b"), b=(Tanh(), "a")), ConfigurationError, "node 'a'", "stands below"),
    "a name with a dot": (lambda: Graph(**{"a.b": (Tanh(), "x")}), ConfigurationError, "node 'a.b'", "Python name"),
    "a loss is read": (
        lambda: Graph(l=(QuadraticCost(), "x", "t"), y=(Tanh(), "l")),
        ConfigurationError,
        "node 'y'",
        "the loss l",
    ),
    "no such output": (lambda: Graph((), ("z",), y=(Tanh(), "x")), ConfigurationError, "Graph", "no node"),
    "an output too few": (
        lambda: Graph((), ("y",), y=(Tanh(), "x"), z=(Tanh(), "x")),
        ConfigurationError,
        "node 'z'",
        "leads nowhere",
    ),
    "other inputs": (lambda: Graph(("a", "c"), y=(Add(), "a", "b")), ConfigurationError, "Graph", "a, b"),
    "too few shapes": (lambda: TWO.build((3,)), ShapeError, "Graph", "2 inputs: a, b"),
    "too many shapes": (lambda: TWO.build((3,), (3,), (3,)), ShapeError, "Graph", "(3,), (3,), (3,)"),
    "unequal shapes": (lambda: TWO.build((3,), (4,)), ShapeError, "layer y: Add()", "(3,), (4,)"),
    "two for one": (
        lambda: Graph(y=(ReLU(), "a", "b")).build((3,), (3,)),
        ConfigurationError,
        "layer y: ReLU()",
        "2: a, b",
    ),
    "one for two": (lambda: Graph(y=(Multiply(), "a")).build((3,)), ShapeError, "layer y: Multiply()", "two inputs"),
    "joined across": (
        lambda: Graph(y=(Concat(), "a", "b")).build((2, 3), (2, 4)),
        ShapeError,
        "layer y: Concat()",
        "(2, 3), (2, 4)",
    ),
    "axis missing": (lambda: Graph(y=(Concat(2), "a", "b")).build((3,), (3,)), ShapeError, "layer y", "axis 2"),
    "axis no integer": (lambda: Concat(0.5), ConfigurationError, "Concat", "0.5"),  # pyright: ignore[reportArgumentType]
    "residual of another shape": (
        lambda: Sequential(Residual(Affine(3))).build((4,)),
        ShapeError,
        "layer 0: Residual(Affine(3))",
        "(4,)",
    ),
    "a loss within": (
        lambda: Graph(y=(Sequential(Affine(2), SoftmaxCrossEntropy()), "x")).build((3,)),
        ConfigurationError,
        "layer y",
        "node of the outer graph",
    ),
    "a loss within a residual": (
        lambda: Sequential(Residual(Sequential(Affine(2), SoftmaxCrossEntropy()))).build((2,)),
        ConfigurationError,
        "layer 0",
        "cannot end in a loss",
    ),
    "several outputs within": (
        lambda: Sequential(Graph(a=(Tanh(), "x"), b=(ReLU(), "x"))).build((3,)),
        ConfigurationError,
        "layer 0",
        "a, b",
    ),
    "parameters for a target": (
        lambda: Graph(t=(Affine(2), "x"), s=(Affine(2), "x"), l=(QuadraticCost(), "s", "t")).build((3,)),
        ConfigurationError,
        "layer t: Affine(2)",
        "no gradient reaches",
    ),
    "one input to predict": (lambda: TWO.build((3,), (3,)).predict(np.ones((2, 3))), ShapeError, "Graph", "a of shape"),
    "wrong shape of one": (
        lambda: TWO.build((3,), (3,)).predict(np.ones((2, 3)), np.ones((2, 4))),
        ShapeError,
        "Graph",
        "input 'b'",
    ),
    "rows that differ": (
        lambda: TWO.build((3,), (3,)).forward(np.ones((2, 3)), np.ones((4, 3))),
        ShapeError,
        "Graph",
        "2 rows of b",
    ),
    "a broken promise": (lambda: wrong_gradient("forward"), ShapeError, "layer b", "forward returned another shape"),
    "a gradient of a wrong shape": (lambda: wrong_gradient("backward"), ShapeError, "layer b", "(N, 3)"),
    "no gradient": (lambda: wrong_gradient("silent"), GradientError, "layer a", "None from all"),
    "fit without targets": (
        lambda: fit(loss_of_two(), Any, (np.ones((2, 3)),), epochs=1),  # pyright: ignore[reportArgumentType]
        ConfigurationError,
        "fit",
        "SGD(0.1)",
    ),
    "several outputs to check": (
        lambda: gradcheck(Graph(a=(Tanh(), "x"), b=(ReLU(), "x")), (3,)),
        ConfigurationError,
        "Graph(a=",
        "(3,), (3,)",
    ),
    "an unknown picture": (lambda: TWO.build((3,), (3,)).plot("net.gif"), ConfigurationError, "net.gif", ".svg"),
}


def loss_of_two() -> Graph:
    return Graph(s=(Add(), "a", "b"), l=(QuadraticCost(), "s", "t")).build((3,), (3,))


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_with_the_place_and_the_fix(case: str) -> None:
    call, kind, where, word = CASES[case]
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.where is not None and where in caught.value.where
    assert word in str(caught.value)
    for part in ("expected", "got", "fix"):
        assert getattr(caught.value, part) is not None, part


def test_fit_says_what_it_wants() -> None:
    from tinynn import SGD

    x = np.ones((2, 3))
    with pytest.raises(ConfigurationError, match=r"train must be a tuple of 3") as caught:
        fit(loss_of_two(), SGD(0.1), (x, x), epochs=1)
    assert "(a, b, t)" in str(caught.value)
    with pytest.raises(ShapeError, match="inputs 'b' do not fit"):
        fit(loss_of_two(), SGD(0.1), (x, x[:, :2], x), epochs=1)


def test_a_wrong_graph_leaves_a_built_one_as_it_was() -> None:
    net = Graph(a=(Affine(3), "x"), y=(Add(), "a", "x")).build((3,))
    before = net.predict(np.ones((1, 3)))
    with pytest.raises(ShapeError):
        net.build((4,))
    np.testing.assert_array_equal(net.predict(np.ones((1, 3))), before)


def test_a_picture_needs_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(MissingExtraError, match="graphviz") as caught:
        TWO.build((3,), (3,)).plot(tmp_path / "net.svg")
    assert caught.value.extra == "plot"
    assert not [*tmp_path.iterdir()]
