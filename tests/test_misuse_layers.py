"""What authors of layers get wrong: the error names their layer, and the network is unharmed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from misuse_helpers import Case, T, X, assert_helpful, learn, net
from planted_bugs.custom import Gain

from tinynn import (
    Affine,
    ConfigurationError,
    GradientError,
    Graph,
    Layer,
    Loss,
    NotBuiltError,
    ReLU,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
    StateError,
)
from tinynn.init import ones
from tinynn.network.stumbled import BrokenPromise


def wrong(**methods: Callable[..., Any]) -> Callable[[], Any]:
    """A training step, then an inference, of a network whose layer 1 is a Gain with these methods instead."""

    def run() -> None:
        network = net(Affine(4), type("Mine", (Gain,), methods)(), Affine(3), SoftmaxCrossEntropy())
        network.backward(1.0, network.forward(X, T)[1])
        network.storage.check_gradients_written()

    return run


def wrong_predict(**methods: Callable[..., Any]) -> Callable[[], Any]:
    return lambda: net(Affine(4), type("Mine", (Gain,), methods)(), Affine(3)).predict(X)


def wrong_loss(**methods: Callable[..., Any]) -> Callable[[], Any]:
    def run() -> None:
        network = net(Affine(3), type("Mine", (Loss,), methods)())
        network.backward(1.0, network.forward(X, T)[1])

    return run


def declare(*arguments: Any) -> Callable[[], Any]:
    return wrong(build=lambda self, shape: self.param(*arguments) or shape)


def narrow() -> Layer:
    return type("Mine", (Gain,), {"forward": lambda self, x: (x[:, :2], x)})()


def squared(self: Any, scores: Any, targets: Any) -> Any:
    return (scores**2).mean(), scores


HERE = "layer 1: Mine()"
CASES: dict[str, Case] = {
    "build without return": (wrong(build=lambda self, s: None), ShapeError, HERE, "None", "return shape"),
    "build of no shape": (wrong(build=lambda self, shape: 3), ShapeError, HERE, "3", "return shape"),
    "build for two inputs": (wrong(build=lambda self, a, b: a), ConfigurationError, HERE, "TypeError", "each input"),
    "build that fails": (
        wrong(build=lambda self, s: s.index(0)),
        ConfigurationError,
        HERE,
        "ValueError",
        "correct build",
    ),
    "no tuple as shape": (declare("g", 4, ones), ShapeError, HERE, "4", "(4,) in place of 4"),
    "a fractional size": (declare("g", (2.5,), ones), ShapeError, HERE, "(2.5,)", "integer"),
    "a method's name": (declare("forward", (4,), ones), ConfigurationError, HERE, "'forward'", "another name"),
    "a taken gradient": (declare("type", (4,), ones), ConfigurationError, HERE, "'type'", "another name"),
    "no name": (declare("my gain", (4,), ones), ConfigurationError, HERE, "'my gain'", "another name"),
    "declared twice": (
        wrong(build=lambda self, shape: [self.param("g", shape, ones) for _ in "ab"]),
        ConfigurationError,
        HERE,
        "'g'",
        "another name",
    ),
    "declared too late": (
        wrong(forward=lambda self, x: self.param("late", (4,), ones)),
        StateError,
        HERE,
        "after",
        "self.empty",
    ),
    "initial shape": (declare("g", (4,), np.ones(7)), ShapeError, HERE, "(7,)", "(rng, shape)"),
    "initial values of two lengths": (
        declare("g", (4,), [[1.0], [2.0, 3.0]]),
        ConfigurationError,
        HERE,
        "inhomogeneous",
        "",
    ),
    "another output shape": (
        wrong(forward=lambda self, x: (x[:, :2], x)),
        ShapeError,
        HERE,
        "(6, 2)",
        "what build returns",
    ),
    "another output shape, predicted": (
        wrong_predict(predict=lambda self, x: x[:, :2]),
        ShapeError,
        HERE,
        "(6, 2)",
        "what build returns",
    ),
    "another number of rows": (
        wrong(forward=lambda self, x: (x[:2], x)),
        ShapeError,
        HERE,
        "(2, 4)",
        "what build returns",
    ),
    "a list as output": (wrong(forward=lambda self, x: (x.tolist(), x)), ShapeError, HERE, "list", "correct forward"),
    "another output shape, and the loss does not mind": (
        lambda: net(ReLU(), narrow(), SoftmaxCrossEntropy()).forward(X, T % 2),
        ShapeError,
        HERE,
        "(6, 2)",
        "what build returns",
    ),
    "another output shape at the end": (
        lambda: net(ReLU(), narrow()).forward(X),
        ShapeError,
        HERE,
        "(6, 2)",
        "what build returns",
    ),
    "no cache": (wrong(forward=lambda self, x: x), ConfigurationError, HERE, "unpack", "return y, cache"),
    "no return": (wrong(forward=lambda self, x: None), ConfigurationError, HERE, "NoneType", "return y, cache"),
    "no cache, predicted": (
        wrong_predict(forward=lambda s, x: x),
        ConfigurationError,
        HERE,
        "unpack",
        "return y, cache",
    ),
    "clashing shapes": (wrong(forward=lambda self, x: (x + np.ones(5), x)), ShapeError, HERE, "(6, 4)", "gradcheck("),
    "no dx": (wrong(backward=lambda self, dy, x: None), ShapeError, HERE, "NoneType", "return dx"),
    "narrow dx": (wrong(backward=lambda self, dy, x: dy[:, :2]), ShapeError, HERE, "(6, 2)", "return dx"),
    "dx in a tuple": (wrong(backward=lambda self, dy, x: (dy,)), ShapeError, HERE, "tuple", "return dx"),
    "clashing gradients": (wrong(backward=lambda s, dy, x: dy + np.ones(5)), ShapeError, HERE, "(6, 4)", "gradcheck("),
    "no gradient": (wrong(backward=lambda self, dy, x: dy), GradientError, HERE, "4 of 4 elements", "self.dg[...] ="),
    "half a gradient": (
        wrong(backward=lambda self, dy, x: self.dg[:2].fill(0) or dy),
        GradientError,
        HERE,
        "2 of 4 elements, first in [2]",
        "self.dg[...] =",
    ),
    "rebound gradient": (
        wrong(backward=lambda self, dy, x: setattr(self, "dg", dy.sum(axis=0))),
        StateError,
        HERE,
        "ndarray",
        "self.dg[...] =",
    ),
    "loss without targets": (
        wrong_loss(forward=lambda self, scores: (scores.sum(), None)),
        ConfigurationError,
        HERE,
        "positional",
        "return y, cache",
    ),
    "loss gradient alone": (
        wrong_loss(forward=squared, backward=lambda self, dL, scores: scores),
        ShapeError,
        HERE,
        "(3,)",
        "(dscores, None)",
    ),
    "empty before build": (
        lambda: Gain().empty("y", (3,)),
        NotBuiltError,
        "Gain()",
        "not been built",
        "net.build(shape)",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_in_a_layer_meets_an_error_that_names_it(name: str) -> None:
    assert_helpful(CASES[name])


def test_the_layer_that_the_mistakes_are_made_in_is_right_as_it_stands() -> None:
    wrong()()
    wrong_predict()()


def test_an_error_of_the_layers_own_code_keeps_its_type_and_gains_a_note() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        wrong(forward=lambda self, x: 1 // 0)()
    assert caught.value.__notes__ == ["raised in forward of layer 1: Mine(), whose first argument had the shape (6, 4)"]
    with pytest.raises(AttributeError, match="no attribute 'gg'") as missing:
        wrong(forward=lambda self, x: x * self.gg)()
    assert "layer 1: Mine()" in missing.value.__notes__[0]


def test_of_networks_within_networks_the_innermost_layer_is_noted_alone() -> None:
    class Divides(Layer):
        """y = x, never."""

        def forward(self, x: Any) -> Any:
            return 1 // 0, None

    network = net(Affine(3), Sequential(Sequential(Divides())))
    with pytest.raises(ZeroDivisionError) as caught:
        network.forward(X)
    said = "raised in forward of layer 1.0.0: Divides(), whose first argument had the shape (6, 3)"
    assert caught.value.__notes__ == [said]


class Flickers(Layer):
    """y = x, and once, when it is told to, one row less."""

    broken = False

    def forward(self, x: Any) -> Any:
        broken, self.broken = self.broken, False
        return x[broken:], None

    def backward(self, dy: Any, cache: None) -> Any:
        return dy


@pytest.mark.parametrize("loss", [(), (SoftmaxCrossEntropy(),)])
def test_a_layer_that_breaks_its_promise_once_is_noticed_though_a_second_look_finds_nothing(loss: Any) -> None:
    network = net(Affine(3), Flickers(), *loss)
    network.layers[1].broken = True
    with pytest.raises(BrokenPromise) as caught:
        network.predict(X)
    assert "raised in predict of" in caught.value.__notes__[0]


class Reads(Layer):
    """y = x, of so many rows and no others."""

    shape: Any = None

    def forward(self, x: Any) -> Any:
        if x.shape != self.shape:
            raise ValueError(f"{len(x)} rows where {self.shape[0]} were wanted")
        return x, None

    def backward(self, dy: Any, cache: None) -> Any:
        return dy


def test_who_stumbles_over_such_a_layer_is_named() -> None:
    network = net(Affine(3), Flickers(), Reads())
    network.layers[1].broken, network.layers[2].shape = True, (6, 3)
    with pytest.raises(ShapeError, match="5 rows where 6 were wanted") as caught:
        network.predict(X)
    assert caught.value.where == "layer 2: Reads()"


def test_a_node_that_breaks_its_promise_at_inference_is_named() -> None:
    graph = Graph(h=(Affine(4), "x"), n=(narrow(), "h"), y=(Affine(3), "n")).build((4,))
    with pytest.raises(ShapeError, match="predict returned another shape than build promised") as caught:
        graph.predict(X)
    assert caught.value.where == "layer n: Mine()" and "(6, 2)" in str(caught.value.got)


def test_fit_refuses_a_forgotten_gradient_before_it_touches_a_parameter() -> None:
    forgetful = type("Mine", (Gain,), {"backward": lambda self, dy, x: dy})()
    network = net(Affine(4), forgetful, Affine(3), SoftmaxCrossEntropy())
    before = network.storage.params.copy()
    with pytest.raises(GradientError, match=r"1\.g") as caught:
        learn(network=network)
    assert (caught.value.array, caught.value.index) == ("dg", (0,))
    np.testing.assert_array_equal(network.storage.params, before)
